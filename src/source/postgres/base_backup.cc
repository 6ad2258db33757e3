#include "source/postgres/base_backup.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "source/postgres/capture_files.h"
#include "source/postgres/control_file.h"
#include "source/postgres/page.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kCheckpointDeadline = Duration::hours(1);
constexpr uint64_t kLargestSmallFile = 1 << 20;  // label, map
const std::string kWalPrefix = "pg_wal/";

Result<std::string> text_up_to_zero(ByteView& rest) {
  const auto end = std::find(rest.begin(), rest.end(), uint8_t{0});
  if (end == rest.end()) return make_error(ErrorCode::kInvalidData, "a base backup message ends within a text");
  std::string text(rest.begin(), end);
  rest = rest.subspan(text.size() + 1);
  return text;
}

}  // namespace

Result<ArchiveMessage> parse_archive_message(ByteView message) {
  if (message.empty()) return make_error(ErrorCode::kInvalidData, "an empty base backup message");
  ArchiveMessage parsed;
  ByteView rest = message.subspan(1);
  switch (message[0]) {
    case 'n':
      parsed.kind = ArchiveMessage::Kind::kNewArchive;
      parsed.archive = TRY(text_up_to_zero(rest));
      parsed.location = TRY(text_up_to_zero(rest));
      return parsed;
    case 'm': parsed.kind = ArchiveMessage::Kind::kManifest; return parsed;
    case 'p': parsed.kind = ArchiveMessage::Kind::kProgress; return parsed;
    case 'd': parsed.data = rest; return parsed;
    default: return make_error(ErrorCode::kInvalidData, "a base backup message of unknown type {}", message[0]);
  }
}

Result<void> BaseBackup::begin() {
  SessionOptions options;
  options.kind = SessionKind::kReplication;
  options.stop = &world_.progress.stop;
  server_ = TRY(ServerSession::connect(connection_, options));
  const std::string slot =
      fmt::format("CREATE_REPLICATION_SLOT \"holdfast_backup_{}\" TEMPORARY PHYSICAL RESERVE_WAL", getpid());
  auto reserved = server_->exec(slot);
  if (!reserved.ok()) log_warn("postgres.backup.no_slot", {{"error", reserved.error().text()}});
  world_.progress.phase = "waiting for a checkpoint";
  TRY(server_->send(facts_.major >= 15
                        ? "BASE_BACKUP (LABEL 'holdfast', CHECKPOINT 'fast', WAL true, WAIT false, TABLESPACE_MAP true,"
                          " MANIFEST 'no', VERIFY_CHECKSUMS false)"
                        : "BASE_BACKUP LABEL 'holdfast' FAST WAL NOWAIT TABLESPACE_MAP NOVERIFY_CHECKSUMS"));
  auto first = TRY(server_->take(kCheckpointDeadline));
  if (!first || first->rows.size() != 1)
    return make_error(ErrorCode::kServer, "the server did not say where the base backup starts");
  start_ = TRY(parse_lsn(first->rows.at(0, 0)));
  auto second = TRY(server_->take());
  if (!second) return make_error(ErrorCode::kServer, "the server did not list its tablespaces");
  for (size_t row = 0; row < second->rows.size(); row++) {
    const std::string oid(second->rows.at(row, 0));
    archives_.push_back(oid);
    const std::string location(second->rows.at(row, 1));
    // One in place lies in pg_tblspc itself, which a path that is not absolute says.
    if (location.starts_with('/')) outcome_.tablespaces.push_back({oid, location, "pg_tblspc/" + oid});
  }
  world_.progress.phase = "copying";
  return {};
}

// The next bytes of the archive at hand; none at its end.
Result<ByteView> BaseBackup::pull() {
  if (facts_.major >= 15) return pull_message();
  // Before 15 a tar has no marks of its end: whoever reads it has seen that of the copy.
  if (!in_copy_) return ByteView();
  const auto message = TRY(server_->read_copy());
  if (message.state == ServerSession::CopyState::kEnd) {
    in_copy_ = false;
    return ByteView();
  }
  return message.data;
}

Result<ByteView> BaseBackup::pull_message() {
  while (true) {
    if (new_archive_ || copy_ended_) return ByteView();
    const auto message = TRY(server_->read_copy());
    if (message.state == ServerSession::CopyState::kEnd) {
      copy_ended_ = true;
      return ByteView();
    }
    ArchiveMessage parsed = TRY(parse_archive_message(message.data));
    if (parsed.kind == ArchiveMessage::Kind::kManifest)
      return make_error(ErrorCode::kInvalidData, "the server sent a manifest that nobody asked for");
    if (parsed.kind == ArchiveMessage::Kind::kNewArchive) {
      if (!parsed.archive.ends_with(".tar"))
        return make_error(ErrorCode::kInvalidData, "the server sent an archive '{}'", parsed.archive);
      archive_name_ = parsed.location.empty() ? "" : parsed.archive.substr(0, parsed.archive.size() - 4);
      new_archive_ = true;
      return ByteView();
    }
    if (parsed.kind == ArchiveMessage::Kind::kData && !parsed.data.empty()) return parsed.data;
  }
}

// Goes to the next archive; false at the end of all.
Result<bool> BaseBackup::open_archive() {
  if (facts_.major >= 15) {
    if (!in_copy_) {
      auto copy = TRY(server_->take());
      if (!copy || !copy->copy_out) return make_error(ErrorCode::kServer, "the server sent no base backup");
      in_copy_ = true;
    }
    while (!new_archive_ && !copy_ended_) TRY(pull_message());
    if (copy_ended_) return false;
    new_archive_ = false;
  } else {
    if (next_archive_ == archives_.size()) return false;
    auto copy = TRY(server_->take());
    if (!copy || !copy->copy_out) return make_error(ErrorCode::kServer, "the server sent no base backup");
    in_copy_ = true;
    archive_name_ = archives_[next_archive_++];
  }
  prefix_ = archive_name_.empty() ? "" : "pg_tblspc/" + archive_name_ + "/";
  if (!archive_name_.empty()) outcome_.sent.insert("pg_tblspc/" + archive_name_);
  tar_ = std::make_unique<TarReader>([this] { return pull(); });
  return true;
}

Result<std::optional<CaptureTask>> BaseBackup::next() {
  while (true) {
    if (!tar_ && !TRY(open_archive())) return std::optional<CaptureTask>();
    auto task = TRY(next_of_archive());
    if (task) return task;
    // Whatever follows the last member belongs to this archive still.
    while (!TRY(pull()).empty()) {
    }
    tar_.reset();
  }
}

Result<std::optional<CaptureTask>> BaseBackup::next_of_archive() {
  if (current_) return std::optional<CaptureTask>(TRY(next_region()));
  while (true) {
    auto member = TRY(tar_->next());
    if (!member) return std::optional<CaptureTask>();
    auto task = TRY(begin_member(*member));
    if (task) return task;
  }
}

// The task of a member, or nothing when it is none of the snapshot's.
Result<std::optional<CaptureTask>> BaseBackup::begin_member(const TarMember& member) {
  const std::string path = prefix_ + member.path;
  if (path == "backup_label" || path == "tablespace_map") {
    if (member.size_bytes > kLargestSmallFile)
      return make_error(ErrorCode::kInvalidData, "{} has {} bytes", path, member.size_bytes);
    const Bytes content = TRY(read_member(member.size_bytes));
    (path == "backup_label" ? outcome_.end.label_text : outcome_.end.tablespace_map_text) = as_text(content);
    return std::optional<CaptureTask>();
  }
  const bool is_directory =
      member.kind == repo::EntryKind::kDirectory || (member.kind == repo::EntryKind::kSymlink && path == "pg_wal");
  if (path.starts_with(kWalPrefix) && !is_directory) {
    TRY(take_wal(path.substr(kWalPrefix.size()), member.size_bytes));
    return std::optional<CaptureTask>();
  }
  const bool is_link_of_tablespace = member.kind == repo::EntryKind::kSymlink && path.starts_with("pg_tblspc/");
  if (is_link_of_tablespace || treatment_of(path, is_directory) == Treatment::kSkip)
    return std::optional<CaptureTask>();
  current_ = std::make_shared<CapturedFile>();
  repo::Entry& entry = current_->entry;
  entry.path = path;
  entry.kind = is_directory ? repo::EntryKind::kDirectory : member.kind;
  entry.mode = member.kind == repo::EntryKind::kSymlink ? directory_mode_ : member.mode;
  entry.uid = uid_ = member.uid;
  entry.gid = gid_ = member.gid;
  entry.modified = member.modified;
  entry.captured = began_;
  if (!is_directory) entry.link_target = member.link_target;
  entry.size_bytes = member.size_bytes;
  if (path == "base" || path == "global") directory_mode_ = member.mode;
  if (entry.kind == repo::EntryKind::kFile && facts_.page_bytes == kPageBytes) {
    current_->relation = parse_relation_path(path);
    if (current_->relation && previous_) current_->previous = TRY(previous_->find(path));
  }
  if (is_directory || may_be_settings(path)) outcome_.sent.insert(path);
  offset_ = 0;
  return std::optional<CaptureTask>(TRY(next_region()));
}

Result<CaptureTask> BaseBackup::next_region() {
  const uint64_t size = current_->entry.size_bytes;
  CaptureTask task{current_, offset_, std::min(kRegionBytes, size - offset_), false, std::nullopt};
  if (task.length > 0) task.bytes = TRY(read_member(task.length));
  offset_ += task.length;
  task.last = offset_ == size;
  if (task.last) current_.reset();
  return task;
}

Result<Bytes> BaseBackup::read_member(uint64_t size) {
  Bytes content(size);
  const size_t got = TRY(tar_->read(content.mutable_view()));
  if (got != size) return make_error(ErrorCode::kInvalidData, "the server's tar stream ends within a member");
  return content;
}

// WAL comes in order at the end. Each segment but the newest is complete; how much
// of that one counts is known when the server says where the backup stopped.
Result<void> BaseBackup::take_wal(const std::string& name, uint64_t size) {
  if (is_history_name(name)) return archive_.push(name, TRY(read_member(size)));
  if (!is_segment_name(name)) return {};
  if (size != facts_.segment_bytes)
    return make_error(ErrorCode::kInvalidData, "the server sent WAL segment {} with {} bytes", name, size);
  if (!std::exchange(wal_begun_, true)) TRY(watcher_->ended());
  TRY(store_held_wal(std::nullopt));
  held_ = TRY(read_member(size));
  held_name_ = name;
  return {};
}

Result<void> BaseBackup::store_held_wal(std::optional<Lsn> stop) {
  if (held_name_.empty()) return {};
  const std::string name = std::exchange(held_name_, {});
  const Bytes content = std::move(held_);
  const SegmentAddress address = TRY(parse_segment_name(name, facts_.segment_bytes));
  const bool complete = !stop || !facts_.in_recovery || address.start.value + facts_.segment_bytes <= stop->value;
  if (complete) return archive_.push(name, content);
  if (*stop <= address.start) return {};
  Lsn have = address.start;
  for (const WalRange& range : TRY(archive_.ranges())) {
    if (range.timeline == address.timeline && range.from <= address.start) have = std::max(have, range.to);
  }
  if (have >= *stop) return {};
  return archive_.push_part(address.timeline, have,
                            content.view(have.value - address.start.value, stop->value - have.value));
}

Result<void> BaseBackup::add_roots() {
  repo::Entry entry;
  entry.kind = repo::EntryKind::kDirectory;
  entry.mode = directory_mode_;
  entry.uid = uid_;
  entry.gid = gid_;
  entry.modified = began_;
  entries_.add(entry);
  // The server sends a map instead of the links in pg_tblspc.
  for (const std::string& oid : archives_) {
    if (oid.empty()) continue;
    entry.path = "pg_tblspc/" + oid;
    entries_.add(entry);
  }
  return {};
}

Result<void> BaseBackup::finish() {
  auto last = TRY(server_->take());
  if (!last || last->rows.size() != 1)
    return make_error(ErrorCode::kServer, "the server did not say where the base backup stops");
  outcome_.end.stop = TRY(parse_lsn(last->rows.at(0, 0)));
  while (TRY(server_->take())) {
  }
  outcome_.end.label = TRY(parse_backup_label(outcome_.end.label_text));
  TRY(store_held_wal(outcome_.end.stop));
  const auto gaps = TRY(archive_.gaps(outcome_.end.label.timeline, outcome_.end.label.start, outcome_.end.stop));
  if (!gaps.empty())
    return make_error(ErrorCode::kIncomplete, "WAL that the copy needs is not in the repository: {}", gaps.front());
  return add_roots();
}

Result<BaseBackup::Outcome> BaseBackup::run(const Watcher& watcher, PreviousSnapshot* previous, Time began) {
  watcher_ = &watcher;
  previous_ = previous;
  began_ = began;
  TRY(begin());
  CapturePipeline pipeline(world_, session_, watcher.begun(start_), entries_);
  TRY(pipeline.run([&]() -> Result<std::optional<CaptureTask>> {
    TRY(watcher.copying());
    return next();
  }));
  outcome_.totals = std::move(pipeline.totals());
  TRY(finish());
  return std::move(outcome_);
}

}  // namespace holdfast::postgres
