#include "source/postgres/replication_session.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/log.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

namespace {

bool has_state(const Error& error, std::string_view sqlstate) {
  return error.message().find(fmt::format("SQLSTATE {}", sqlstate)) != std::string::npos;
}

template <typename T>
Result<T> number(std::string_view text, std::string_view what) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return make_error(ErrorCode::kServer, "the server sent '{}' as {}", text, what);
  return value;
}

// Where each timeline's stored WAL ends, behind its newest stretch; or before the
// first gap that the slot can still fill.
std::map<uint32_t, Lsn> stored_ends(const std::vector<WalPiece>& pieces, uint64_t segment_bytes,
                                    std::optional<Lsn> slot_restart) {
  std::map<uint32_t, Lsn> ends;
  for (const WalPiece& piece : pieces) {
    const auto known = ends.find(piece.timeline);
    const bool joins = known != ends.end() && known->second >= piece.from;
    if (known != ends.end() && !joins && slot_restart && known->second >= segment_start(*slot_restart, segment_bytes)) {
      // From the segment's beginning: the archive gives no part of a segment out that
      // others follow, since for a recovery that is a gap. The server keeps whole segments.
      known->second = segment_start(known->second, segment_bytes);
      continue;
    }
    // A part without the parts before it can't be gone on from: its segment is received again.
    const bool usable = joins || piece.from.value % segment_bytes == 0;
    const Lsn end = usable ? piece.to : segment_start(piece.from, segment_bytes);
    ends[piece.timeline] = known == ends.end() ? end : std::max(known->second, end);
  }
  return ends;
}

}  // namespace

Result<std::unique_ptr<ReplicationSession>> ReplicationSession::connect(const Connection& connection,
                                                                        const std::string& application_name,
                                                                        const WalArchive::Identity& identity,
                                                                        const std::atomic<bool>& stop) {
  SessionOptions options;
  options.kind = SessionKind::kReplication;
  options.application_name = application_name;
  options.deadline = Duration::seconds(60);
  options.stop = &stop;
  std::unique_ptr<ReplicationSession> session(new ReplicationSession(TRY(ServerSession::connect(connection, options))));
  TRY(session->identify(identity));
  return session;
}

Result<void> ReplicationSession::identify(const WalArchive::Identity& identity) {
  const Rows rows = TRY(session_->exec("IDENTIFY_SYSTEM"));
  if (rows.size() != 1 || rows.columns() < 3)
    return make_error(ErrorCode::kServer, "the server does not identify itself");
  if (rows.at(0, 0) != std::to_string(identity.system_id))
    return make_error(ErrorCode::kMismatch, "the server is of the cluster with system identifier {}, not {}",
                      rows.at(0, 0), identity.system_id)
        .with_hint("this is another cluster (or one made anew by initdb): give it its own component");
  timeline_ = TRY(number<uint32_t>(rows.at(0, 1), "its timeline"));
  end_ = TRY(parse_lsn(rows.at(0, 2)));
  return {};
}

Result<std::optional<Lsn>> ReplicationSession::ensure_slot(const std::string& slot) {
  const std::string name = TRY(session_->quote_identifier(slot));
  auto created = session_->exec(fmt::format("CREATE_REPLICATION_SLOT {} PHYSICAL RESERVE_WAL", name));
  if (created.ok())
    log_info("postgres.receive.slot_created", {{"slot", slot}});
  else if (!has_state(created.error(), "42710"))
    return std::move(created).error().with_context("creating the slot " + slot);
  if (session_->major() < 15) return std::optional<Lsn>();
  const Rows rows = TRY(session_->exec(fmt::format("READ_REPLICATION_SLOT {}", name)));
  if (rows.size() != 1 || rows.columns() < 2 || rows.is_null(0, 1)) return std::optional<Lsn>();
  return std::optional<Lsn>(TRY(parse_lsn(rows.at(0, 1))));
}

Result<void> ReplicationSession::drop_slot(const std::string& slot) {
  const std::string name = TRY(session_->quote_identifier(slot));
  TRY_CONTEXT(session_->exec(fmt::format("DROP_REPLICATION_SLOT {}", name)), "dropping the slot {}", slot);
  return {};
}

Result<void> ReplicationSession::fetch_histories(WalArchive& archive, uint32_t timeline) {
  if (timeline <= 1) return {};
  const Rows rows = TRY_CONTEXT(session_->exec(fmt::format("TIMELINE_HISTORY {}", timeline)),
                                "fetching the history of timeline {}", timeline);
  if (rows.size() != 1 || rows.columns() < 2)
    return make_error(ErrorCode::kServer, "the server sent no history of timeline {}", timeline);
  const std::string_view content = rows.at(0, 1);
  const auto ancestors = TRY(parse_history(as_bytes(content), timeline));
  // Oldest first: a history in the archive is worth something only with its ancestors' beside it.
  for (const TimelineSwitch& ancestor : ancestors) {
    if (ancestor.timeline <= 1 || TRY(archive.fetch(history_name(ancestor.timeline)))) continue;
    auto fetched = fetch_histories(archive, ancestor.timeline);
    if (!fetched.ok()) log_warn("postgres.receive.history_missing", {{"problem", fetched.error().text()}});
  }
  return archive.push(history_name(timeline), as_bytes(content));
}

Result<void> ReplicationSession::start(const std::string& slot, const StreamStart& from) {
  const std::string name = TRY(session_->quote_identifier(slot));
  TRY(session_->send(
      fmt::format("START_REPLICATION SLOT {} PHYSICAL {} TIMELINE {}", name, from.position.text(), from.timeline)));
  const auto taken =
      TRY_CONTEXT(session_->take(), "streaming from {} on timeline {}", from.position.text(), from.timeline);
  if (!taken || !taken->copy_both)
    return make_error(ErrorCode::kServer, "the server does not stream from {} on timeline {}", from.position.text(),
                      from.timeline);
  return {};
}

Result<std::optional<StreamStart>> ReplicationSession::finish() {
  std::optional<StreamStart> next;
  // The server has ended its side of the copy; it answers once we have ended ours.
  auto taken = TRY(session_->take());
  if (taken && taken->rows.columns() == 0) {
    TRY(session_->end_copy());
    taken = TRY(session_->take());
  }
  for (; taken; taken = TRY(session_->take())) {
    if (taken->rows.size() != 1 || taken->rows.columns() < 2) continue;
    next = StreamStart{TRY(number<uint32_t>(taken->rows.at(0, 0), "the next timeline")),
                       TRY(parse_lsn(taken->rows.at(0, 1)))};
  }
  return next;
}

namespace {

// Whether a timeline is stored from somewhere in its middle on, or its ancestor not to
// its end (a backup was faster than we), while the slot still has what is missing.
bool lacks_beginning(const TimelinePiece& piece, const TimelinePiece& ancestor, const std::vector<WalPiece>& stored,
                     const std::map<uint32_t, Lsn>& ends, Lsn kept_from, uint64_t segment_bytes) {
  const Lsn begin = segment_start(piece.from, segment_bytes);
  const auto first =
      std::find_if(stored.begin(), stored.end(), [&](const WalPiece& s) { return s.timeline == piece.timeline; });
  if (first != stored.end() && first->from > begin && kept_from <= begin) return true;
  const auto before = ends.find(ancestor.timeline);
  return before != ends.end() && before->second < begin && kept_from <= before->second;
}

}  // namespace

Result<StreamStart> plan_stream(WalArchive& archive, uint32_t server_timeline, std::optional<Lsn> slot_restart,
                                Lsn server_end) {
  const uint64_t segment_bytes = archive.identity().segment_bytes;
  const auto path = path_to(server_timeline, TRY(archive.history(server_timeline)));
  std::optional<Lsn> kept_from;
  if (slot_restart) kept_from = segment_start(*slot_restart, segment_bytes);
  const auto stored = TRY(archive.pieces());
  const auto ends = stored_ends(stored, segment_bytes, kept_from);
  std::optional<StreamStart> headless;
  for (auto piece = path.rbegin(); piece != path.rend(); ++piece) {
    const auto end = ends.find(piece->timeline);
    if (end == ends.end()) continue;
    const auto ancestor = piece + 1;
    if (ancestor != path.rend() && kept_from &&
        lacks_beginning(*piece, *ancestor, stored, ends, *kept_from, segment_bytes)) {
      headless = StreamStart{piece->timeline, segment_start(piece->from, segment_bytes)};
      continue;
    }
    if (end->second < piece->to) return StreamStart{piece->timeline, end->second};
    // This timeline is stored to where it was left; its successor begins with the same segment.
    const auto& next = *(piece - 1);
    return StreamStart{next.timeline, segment_start(next.from, segment_bytes)};
  }
  if (headless) return *headless;
  const Lsn from = segment_start(slot_restart.value_or(server_end), segment_bytes);
  const auto piece = std::find_if(path.begin(), path.end(), [&](const auto& p) { return from < p.to; });
  return StreamStart{piece->timeline, from};
}

}  // namespace holdfast::postgres
