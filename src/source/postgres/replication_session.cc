#include "source/postgres/replication_session.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/log.h"
#include "source/postgres/sqlstate.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

namespace {

template <typename T>
Result<T> number(std::string_view text, std::string_view what) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return make_error(ErrorCode::kServer, "the server sent '{}' as {}", text, what);
  return value;
}

// Where each timeline's stored WAL ends, behind its newest stretch; or before the
// first gap that the server may still fill.
std::map<uint32_t, Lsn> stored_ends(const std::vector<WalPiece>& pieces, uint64_t segment_bytes, Lsn gone_before) {
  std::map<uint32_t, Lsn> ends;
  for (const WalPiece& piece : pieces) {
    const auto known = ends.find(piece.timeline);
    const bool joins = known != ends.end() && known->second >= piece.from;
    if (known != ends.end() && !joins && segment_start(known->second, segment_bytes) >= gone_before) {
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

Error logical_slot(const std::string& slot) {
  return make_error(ErrorCode::kConfig, "the slot '{}' is one for logical replication", slot)
      .with_hint("give the component another 'slot'");
}

Result<std::unique_ptr<ReplicationSession>> ReplicationSession::connect(const Connection& connection,
                                                                        const std::string& application_name,
                                                                        const WalArchive::Identity& identity,
                                                                        const std::atomic<bool>& stop) {
  SessionOptions options;
  options.kind = SessionKind::kReplication;
  options.application_name = application_name;
  options.deadline = Duration::seconds(60);
  options.stop = &stop;
  auto session = TRY(ServerSession::connect(connection, options));
  std::unique_ptr<ReplicationSession> made(new ReplicationSession(std::move(session), identity.system_id));
  TRY(made->identify());
  return made;
}

Result<void> ReplicationSession::identify() {
  const Rows rows = TRY(session_->exec("IDENTIFY_SYSTEM"));
  if (rows.size() != 1 || rows.columns() < 3)
    return make_error(ErrorCode::kServer, "the server does not identify itself");
  if (rows.at(0, 0) != std::to_string(system_id_))
    return make_error(ErrorCode::kMismatch, "the server is of the cluster with system identifier {}, not {}",
                      rows.at(0, 0), system_id_)
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
  else if (sqlstate_of(created.error()) != "42710")
    return std::move(created).error().with_context("creating the slot " + slot);
  if (session_->major() < 15) return std::optional<Lsn>();
  auto read = session_->exec(fmt::format("READ_REPLICATION_SLOT {}", name));
  if (!read.ok() && sqlstate_of(read.error()) == "0A000") return logical_slot(slot);
  const Rows rows = TRY(std::move(read));
  if (rows.size() != 1 || rows.columns() < 2 || rows.is_null(0, 1)) return std::optional<Lsn>();
  return std::optional<Lsn>(TRY(parse_lsn(rows.at(0, 1))));
}

Result<std::optional<bool>> ReplicationSession::slot_is_physical(const std::string& slot) {
  if (session_->major() < 15) return std::optional<bool>();
  // It refuses to tell of a logical one, and says so.
  const std::string name = TRY(session_->quote_identifier(slot));
  const Rows rows = TRY(session_->exec(fmt::format("READ_REPLICATION_SLOT {}", name)));
  return std::optional<bool>(rows.size() == 1 && rows.at(0, 0) == "physical");
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
    if (ancestor.timeline <= 1) continue;
    const auto stored = archive.fetch(history_name(ancestor.timeline));
    if (stored.ok() && *stored) continue;
    if (!stored.ok() && stored.error().code() != ErrorCode::kDamaged) return stored.error().clone();
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

// Goes along the way to the server's timeline, oldest first, and looks for where
// something is missing.
class StreamPlan {
 public:
  StreamPlan(std::vector<TimelinePiece> path, const std::vector<WalPiece>& stored, uint64_t segment_bytes,
             std::optional<Lsn> kept_from, Lsn gone_before)
      : path_(std::move(path)),
        segment_bytes_(segment_bytes),
        kept_from_(kept_from),
        gone_before_(gone_before),
        ends_(stored_ends(stored, segment_bytes, gone_before)) {
    for (const TimelinePiece& piece : path_) {
      const auto first = std::find_if(stored.begin(), stored.end(), [&](const WalPiece& s) {
        return s.timeline == piece.timeline && s.from < piece.to;
      });
      if (first != stored.end()) firsts_[piece.timeline] = first->from;
    }
  }

  std::optional<StreamStart> first_missing() const {
    bool begun = false;  // something of the way is stored
    for (size_t i = 0; i < path_.size(); i++) {
      const TimelinePiece& piece = path_[i];
      const bool any = firsts_.contains(piece.timeline);
      // Before the first that is stored nothing is missing, except what the slot was made to keep.
      const bool wanted = begun || (any && kept_from_ && *kept_from_ <= begin_of(piece));
      if (wanted && !has_beginning(piece) && may_be_had(begin_of(piece)))
        return StreamStart{piece.timeline, begin_of(piece)};
      begun = begun || any;
      if (!any) continue;
      const Lsn end = ends_.at(piece.timeline);
      if (end < piece.to && !goes_over(i, end) && may_be_had(end)) return StreamStart{piece.timeline, end};
    }
    return std::nullopt;
  }

 private:
  Lsn begin_of(const TimelinePiece& piece) const { return segment_start(piece.from, segment_bytes_); }
  bool may_be_had(Lsn position) const { return segment_start(position, segment_bytes_) >= gone_before_; }
  bool has_beginning(const TimelinePiece& piece) const {
    const auto first = firsts_.find(piece.timeline);
    return first != firsts_.end() && first->second <= begin_of(piece);
  }
  // The segment in which a timeline was left is its successor's first, too: stored there it is not missing.
  bool goes_over(size_t i, Lsn end) const {
    return i + 1 < path_.size() && end >= begin_of(path_[i + 1]) && has_beginning(path_[i + 1]);
  }

  const std::vector<TimelinePiece> path_;
  const uint64_t segment_bytes_;
  const std::optional<Lsn> kept_from_;
  const Lsn gone_before_;
  const std::map<uint32_t, Lsn> ends_;
  std::map<uint32_t, Lsn> firsts_;  // of each timeline, where what is stored of it begins
};

}  // namespace

Result<StreamStart> plan_stream(WalArchive& archive, uint32_t server_timeline, std::optional<Lsn> slot_restart,
                                Lsn server_end, Lsn gone_before) {
  const uint64_t segment_bytes = archive.identity().segment_bytes;
  auto path = path_to(server_timeline, TRY(archive.history(server_timeline)));
  std::optional<Lsn> kept_from;
  if (slot_restart) kept_from = segment_start(*slot_restart, segment_bytes);
  // What the slot keeps is there, whatever was found before.
  if (kept_from) gone_before = std::min(gone_before, *kept_from);
  const StreamPlan plan(path, TRY(archive.pieces()), segment_bytes, kept_from, gone_before);
  if (const auto missing = plan.first_missing()) return *missing;
  const Lsn from = kept_from.value_or(segment_start(server_end, segment_bytes));
  const auto piece = std::find_if(path.begin(), path.end(), [&](const auto& p) { return from < p.to; });
  return StreamStart{piece->timeline, from};
}

}  // namespace holdfast::postgres
