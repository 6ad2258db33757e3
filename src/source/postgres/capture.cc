#include "source/postgres/capture.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>

#include "base/accounts.h"
#include "base/log.h"
#include "base/places.h"
#include "source/postgres/backup_session.h"
#include "source/postgres/bad_pages.h"
#include "source/postgres/base_backup.h"
#include "source/postgres/beside.h"
#include "source/postgres/capture_files.h"
#include "source/postgres/changed_blocks.h"
#include "source/postgres/page.h"
#include "source/postgres/row_counts.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/wal_gather.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kCheckpointDeadline = Duration::hours(1);
constexpr int64_t kStartDifferenceSeconds = 3;
constexpr size_t kMostSettingsLeftOut = 100;  // that are remembered, for people
constexpr Duration kBetweenLooks = Duration::seconds(1);

// Why the data directory can't be read here as that of the server; "" when it can.
std::string reason_against_files(source::World& world, const std::string& directory, const ServerFacts& facts) {
  if (directory.empty())
    return "the server does not tell its data directory (the role is no member of pg_read_all_settings)";
  const auto control = read_control_file(world.fs, world.clock, directory);
  if (!control.ok()) return control.error().text();
  if (control.value().fields.system_id != facts.system_id) return directory + " holds another cluster";
  // Not a standby of the same cluster that happens to be on this machine: the third line
  // of postmaster.pid is when this server was started, which both may have been at once.
  if (control.value().fields.in_recovery() != facts.in_recovery)
    return directory + (facts.in_recovery ? " is not that of a standby, which the server that answers is"
                                          : " is that of a standby, which the server that answers is not");
  const auto pid_file = read_file(world.fs, join_path(directory, "postmaster.pid"));
  if (!pid_file.ok()) return pid_file.error().text();
  std::string_view rest = as_text(pid_file.value());
  for (int line = 0; line < 2; line++) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return directory + "/postmaster.pid is not complete";
    rest = rest.substr(end + 1);
  }
  const int64_t started = std::strtoll(std::string(rest.substr(0, rest.find('\n'))).c_str(), nullptr, 10);
  if (std::llabs(started - facts.start_unix_seconds) > kStartDifferenceSeconds) {
    return directory + " belongs to another server than the one that answers";
  }
  return "";
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// One capture, step by step.
class Capture {
 public:
  Capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
          const repo::Snapshot* previous)
      : world_(world), session_(session), options_(options), given_previous_(previous) {}
  Result<repo::Snapshot> run();

 private:
  Result<void> connect();
  Result<void> choose_method();
  void note_owner();
  Result<void> open_previous();
  Result<void> await_last_segment(WalArchive& archive, Lsn start);
  Result<void> ask_the_log(Lsn start);
  Result<void> by_files();
  Result<void> by_protocol();
  Result<std::vector<std::string>> directories_wanted();
  Result<void> look_for_links(const std::vector<std::string>& wanted, const std::set<std::string>& sent);
  void lacks_settings(std::string path);
  Result<void> capture_control_file();
  Result<void> check_checkpoint(Lsn start);
  Result<void> count(ServerSession& session);
  Result<void> look_now_and_then();
  Result<void> judge_counts(ServerSession& session, Lsn stop);
  void tell_bad_from_torn(Lsn stop);
  Result<void> add_label(const BackupEnd& end);
  Result<void> keep_beginning_of_timeline();
  Result<void> gather(const BackupEnd& end);
  Result<repo::Snapshot> finish();
  PageRules rules(Lsn start) const;
  Result<WalArchive*> archive();

  source::World& world_;
  repo::WriteSession& session_;
  const CaptureOptions& options_;
  const repo::Snapshot* given_previous_;
  std::unique_ptr<ServerSession> server_;
  ServerFacts facts_;
  std::unique_ptr<WalArchive> archive_;
  std::string directory_;
  std::optional<Lsn> beginning_to_;  // how far the beginning of its timeline was stored
  std::unique_ptr<PreviousSnapshot> previous_;
  std::optional<ChangedBlocks> changes_;  // since previous_, when the log tells
  EntrySpool entries_;
  SnapshotSource source_;
  Stillness stillness_;
  std::optional<Duration> looked_;
  CaptureTotals totals_;
  std::vector<std::string> faults_;
  Time began_;
  Duration began_monotonic_;
};

Result<void> Capture::connect() {
  SessionOptions session;
  session.stop = &world_.progress.stop;
  server_ = TRY(ServerSession::connect(*options_.connection, session));
  facts_ = TRY(read_facts(*server_));
  if (options_.accept) TRY(options_.accept(facts_.system_id));
  if (facts_.is_beside) log_warn("postgres.backup.beside", {{"problem", std::string(kStillBeside)}});
  source_.system_id = facts_.system_id;
  source_.major = facts_.major;
  source_.server_version = facts_.version;
  source_.segment_bytes = facts_.segment_bytes;
  source_.page_bytes = facts_.page_bytes;
  source_.checksums = facts_.checksums;
  source_.from_standby = facts_.in_recovery;
  return {};
}

Result<void> Capture::choose_method() {
  directory_ = options_.data_directory.empty() ? facts_.data_directory : options_.data_directory;
  source_.data_directory = directory_;
  source_.method = "protocol";
  if (options_.method == CaptureMethod::kProtocol) return {};
  const std::string reason = reason_against_files(world_, directory_, facts_);
  if (reason.empty()) {
    source_.method = "files";
    return {};
  }
  if (options_.method == CaptureMethod::kFiles) {
    return make_error(ErrorCode::kPermission, "the data directory can't be captured by reading files: {}", reason)
        .with_hint("run as the server's user or root on its machine, or use the method protocol");
  }
  log_info("postgres.capture.by_protocol", {{"reason", reason}});
  return {};
}

// Of what is proven to be the server's: on another machine the same path is somebody else's.
void Capture::note_owner() {
  if (!reason_against_files(world_, directory_, facts_).empty()) return;
  const auto status = world_.fs.stat(resolved_path(directory_));
  if (!status.ok()) return;
  source_.owner = account_name(status.value().st_uid);
  source_.owner_group = group_name(status.value().st_gid);
}

Result<void> Capture::open_previous() {
  if (!given_previous_ || options_.force_full) return {};
  const std::string reason = PreviousSnapshot::reason_for_full(*given_previous_, facts_);
  if (!reason.empty()) {
    log_info("postgres.capture.full", {{"component", options_.component}, {"reason", reason}});
    return {};
  }
  auto opened = PreviousSnapshot::open(session_.repository(), *given_previous_);
  if (!opened.ok() && is_damage(opened.error())) {
    log_warn("postgres.capture.previous_damaged",
             {{"component", options_.component}, {"error", opened.error().text()}});
    return {};
  }
  previous_ = TRY(std::move(opened));
  source_.incremental = "pages";
  return {};
}

// The server has just ended it, and by it the stored log is known to be the server's own.
Result<void> Capture::await_last_segment(WalArchive& archive, Lsn start) {
  GatherOptions last;
  last.timeline = facts_.timeline;
  last.to = segment_start(start, facts_.segment_bytes);
  last.from = Lsn{last.to.value - facts_.segment_bytes};
  last.archives = facts_.archives;
  const auto gaps = await_archiver(world_, archive, last);
  if (!gaps.ok() && gaps.error().code() != ErrorCode::kNotFound) return gaps.error().clone();
  return {};
}

// What has changed between the previous snapshot's start and ours. Where the log can't
// tell, each changed file is read and its pages are compared with those of then.
Result<void> Capture::ask_the_log(Lsn start) {
  const bool regions_fit = facts_.segment_pages % ChangedBlocks::kRegionPages == 0;
  if (!previous_ || facts_.page_bytes != kPageBytes || !regions_fit) return {};
  world_.progress.phase = "asking the log what has changed";
  WalArchive& archive = *TRY(this->archive());
  TRY(await_last_segment(archive, start));
  auto changes = read_changes(world_, archive, {facts_.timeline, previous_->start(), start, directory_});
  if (!changes.ok() && changes.error().code() == ErrorCode::kInterrupted) return std::move(changes).error();
  if (!changes.ok()) {
    log_info("postgres.capture.by_pages", {{"component", options_.component}, {"reason", changes.error().text()}});
    return {};
  }
  changes_ = std::move(changes).value();
  source_.incremental = "wal";
  log_info("postgres.capture.by_log",
           {{"component", options_.component}, {"from", previous_->start().text()}, {"to", start.text()}});
  return {};
}

PageRules Capture::rules(Lsn start) const {
  PageRules rules;
  rules.checksums = facts_.checksums;
  rules.segment_pages = facts_.segment_pages;
  rules.start = start;
  rules.prove = options_.prove;
  if (previous_) rules.unchanged_below = previous_->start();
  rules.compare = !facts_.checksums || !changes_;
  return rules;
}

// The last of all files, so that what it says is not older than any of them; a
// standby's copy depends on it.
Result<void> Capture::capture_control_file() {
  const ControlFileRead control = TRY(read_control_file(world_.fs, world_.clock, directory_));
  if (control.fields.system_id != facts_.system_id) {
    return make_error(ErrorCode::kMismatch, "{}/global/pg_control changed to another cluster during the capture",
                      directory_);
  }
  const struct stat status = TRY(world_.fs.stat(resolved_path(join_path(directory_, "global/pg_control"))));
  return add_small_file(session_, entries_, entry_of("global/pg_control", status), control.bytes);
}

Result<void> Capture::count(ServerSession& session) {
  world_.progress.phase = "counting rows";
  TRY(stillness_.look(session));
  source_.counts = count_rows(*options_.connection, session);
  return {};
}

// Once counted, and the backup has ended: exact for that end only if nothing was committed between the two.
Result<void> Capture::judge_counts(ServerSession& session, Lsn stop) {
  source_.counts_problem = why_none_is_exact(source_.counts);
  const std::string moved = TRY(stillness_.why_not_beyond(session, stop));
  if (moved.empty()) return {};
  source_.counts_problem = moved;
  for (auto& [database, tables] : source_.counts.items()) {
    for (auto& [table, item] : tables.items()) item["exact"] = false;
  }
  return {};
}

// Whose files are read is whose backup has begun: its checkpoint is in pg_control.
Result<void> Capture::check_checkpoint(Lsn start) {
  const ControlFileRead control = TRY(read_control_file(world_.fs, world_.clock, directory_));
  if (control.fields.redo >= start) return {};
  return make_error(ErrorCode::kMismatch,
                    "{} is not the data directory of the server that answers: its newest checkpoint, {}, is before "
                    "the one with which the backup began, {}",
                    directory_, control.fields.redo.text(), start.text())
      .with_hint("let data_directory and connection name the same server, or use the method protocol");
}

// A page that was caught while it was written is of the time of the capture. One that looked
// so and says that it is of later was not written by this server.
void Capture::tell_bad_from_torn(Lsn stop) {
  const auto written = [&](const FilePageProblem& page) { return page.page.lsn < stop; };
  const auto bad = std::stable_partition(totals_.torn.begin(), totals_.torn.end(), written);
  std::move(bad, totals_.torn.end(), std::back_inserter(totals_.bad));
  totals_.torn.erase(bad, totals_.torn.end());
}

Result<void> Capture::add_label(const BackupEnd& end) {
  if (previous_ && end.label.timeline != facts_.timeline) {
    return make_error(ErrorCode::kServer, "the server went from timeline {} to {} under the incremental",
                      facts_.timeline, end.label.timeline)
        .with_retryable()
        .with_hint("take the backup again: it will be a full one");
  }
  tell_bad_from_torn(end.stop);
  source_.start = end.label.start;
  source_.stop = end.stop;
  source_.checkpoint = end.label.checkpoint;
  source_.timeline = end.label.timeline;
  source_.stop_time = end.time;
  repo::Entry entry;
  entry.mode = 0600;
  entry.modified = end.time;
  if (!directory_.empty()) {
    if (auto status = world_.fs.stat(directory_); status.ok()) {
      entry.uid = status.value().st_uid;
      entry.gid = status.value().st_gid;
    }
  }
  entry.path = "backup_label";
  TRY(add_small_file(session_, entries_, entry, as_bytes(end.label_text)));
  if (trimmed(end.tablespace_map_text).empty()) return {};
  entry.path = "tablespace_map";
  return add_small_file(session_, entries_, entry, as_bytes(end.tablespace_map_text));
}

// One for the whole capture: it remembers what the log holds.
Result<WalArchive*> Capture::archive() {
  if (archive_) return archive_.get();
  WalArchive::Identity identity;
  identity.component = options_.component;
  identity.system_id = facts_.system_id;
  identity.segment_bytes = facts_.segment_bytes;
  archive_ = TRY(WalArchive::open(session_.repository(), identity, options_.compression_level));
  return archive_.get();
}

// Before the checkpoint of the backup: it lets the server remove what is older.
Result<void> Capture::keep_beginning_of_timeline() {
  if (facts_.in_recovery || facts_.timeline <= 1) return {};
  GatherOptions gather;
  gather.data_directory = directory_;
  gather.timeline = facts_.timeline;
  gather.to = TRY(parse_lsn(TRY(server_->value("select pg_current_wal_flush_lsn()"))));
  gather.in_recovery = true;  // its last segment is not complete
  WalArchive& archive = *TRY(this->archive());
  auto stored = gather_beginning(world_, archive, gather);
  if (!stored.ok()) log_warn("postgres.capture.beginning_not_stored", {{"problem", stored.error().text()}});
  if (stored.ok() && *stored) beginning_to_ = gather.to;
  return {};
}

Result<void> Capture::gather(const BackupEnd& end) {
  WalArchive& archive = *TRY(this->archive());
  GatherOptions gather;
  gather.data_directory = directory_;
  gather.timeline = end.label.timeline;
  gather.from = end.label.start;
  gather.to = end.stop;
  gather.in_recovery = facts_.in_recovery;
  gather.archives = facts_.archives;
  if (beginning_to_ && end.label.timeline == facts_.timeline) {
    GatherOptions between = gather;
    between.from = *beginning_to_;
    between.to = end.label.start;
    auto stored = gather_between(world_, archive, between);
    if (!stored.ok()) log_warn("postgres.capture.beginning_not_stored", {{"problem", stored.error().text()}});
  }
  return gather_wal(world_, archive, gather);
}

Result<void> Capture::by_files() {
  TRY(keep_beginning_of_timeline());
  world_.progress.phase = "waiting for a checkpoint";
  const std::string label = "holdfast " + options_.component + " " + format_rfc3339(began_);
  auto backup = TRY(BackupSession::start(std::move(server_), facts_, label, kCheckpointDeadline));
  TRY(check_checkpoint(backup->start_lsn()));
  TRY(ask_the_log(backup->start_lsn()));
  world_.progress.phase = "copying";
  const std::vector<std::string> configuration = configuration_files(backup->session());
  for (std::string& path : TRY(capture_outside_configuration(world_, session_, configuration, directory_, entries_)))
    lacks_settings(std::move(path));
  const std::string version_directory = fmt::format("PG_{}_{}", facts_.major, facts_.catalog_version);
  DirectorySource::Options options;
  options.previous = previous_.get();
  options.with_pages = facts_.page_bytes == kPageBytes;
  options.by_log = changes_.has_value();
  for (const std::string& path : configuration) {
    if (path.starts_with(directory_ + "/")) options.configuration.push_back(path.substr(directory_.size() + 1));
  }
  DirectorySource files(world_, directory_, version_directory, options);
  CapturePipeline pipeline(world_, session_, rules(backup->start_lsn()), entries_, changes_ ? &*changes_ : nullptr);
  TRY(pipeline.run([&] { return files.next(); }));
  session_.store_ahead();  // while the backup ends and its WAL is gathered; a few KB of data follow
  TRY(capture_control_file());
  TRY(count(backup->session()));
  const BackupEnd end = TRY(backup->stop());
  TRY(judge_counts(backup->session(), end.stop));
  for (const auto& [oid, location] : files.tablespaces())
    source_.tablespaces.push_back({oid, location, "pg_tblspc/" + oid});
  source_.links = files.links();
  faults_ = files.faults();
  totals_ = std::move(pipeline.totals());
  TRY(add_label(end));
  return gather(end);
}

// What BASE_BACKUP must send, of what is not made anew: directories of every cluster, and of databases.
Result<std::vector<std::string>> Capture::directories_wanted() {
  std::vector<std::string> wanted = {"base",
                                     "global",
                                     "pg_commit_ts",
                                     "pg_logical",
                                     "pg_multixact",
                                     "pg_multixact/members",
                                     "pg_multixact/offsets",
                                     "pg_stat",
                                     "pg_twophase",
                                     "pg_xact"};
  const Rows rows = TRY(server_->exec(
      "select 'base/' || d.oid from pg_database d join pg_tablespace s on s.oid = d.dattablespace where s.spcname ="
      " 'pg_default' union all select 'pg_tblspc/' || oid from pg_tablespace where spcname !~ '^pg_'"));
  for (size_t i = 0; i < rows.size(); i++) wanted.emplace_back(rows.at(i, 0));
  return wanted;
}

void Capture::lacks_settings(std::string path) {
  if (source_.settings_left_out.size() < kMostSettingsLeftOut) source_.settings_left_out.push_back(std::move(path));
}

// Of links to elsewhere the server sends nothing. `wanted`: from before; databases that went meanwhile are no loss.
Result<void> Capture::look_for_links(const std::vector<std::string>& wanted, const std::set<std::string>& sent) {
  const std::vector<std::string> still = TRY(directories_wanted());
  for (const std::string& path : wanted) {
    if (sent.contains(path) || std::find(still.begin(), still.end(), path) == still.end()) continue;
    if (path.starts_with("pg_tblspc/")) {
      return make_error(ErrorCode::kUnsupported,
                        "{} is a tablespace in place (allow_in_place_tablespaces), of which BASE_BACKUP sends nothing",
                        path)
          .with_hint("capture by reading files (method: files)");
    }
    return make_error(ErrorCode::kUnsupported,
                      "{} is a link, and of links in the data directory BASE_BACKUP sends nothing", path)
        .with_hint("capture by reading files (method: files), or put a directory there in place of the link");
  }
  if (facts_.data_directory.empty()) return {};
  for (const std::string& path : configuration_files(*server_)) {
    if (!path.starts_with(facts_.data_directory + "/")) {
      if (!path.empty()) lacks_settings(path);
      continue;
    }
    const std::string name = path.substr(facts_.data_directory.size() + 1);
    if (may_be_settings(name) && !sent.contains(name))
      faults_.push_back(
          name + " is not in the point: it is a link, or lies behind one, and BASE_BACKUP sends nothing of those");
  }
  return {};
}

// The server ends the copy unasked. The later the last look before, the less may come between it and the count.
Result<void> Capture::look_now_and_then() {
  if (looked_ && world_.clock.monotonic() - *looked_ < kBetweenLooks) return {};
  TRY(stillness_.look(*server_));
  looked_ = world_.clock.monotonic();
  return {};
}

Result<void> Capture::by_protocol() {
  const std::vector<std::string> wanted = TRY(directories_wanted());
  WalArchive& archive = *TRY(this->archive());
  BaseBackup backup(world_, session_, *options_.connection, facts_, archive, entries_);
  BaseBackup::Watcher watcher;
  watcher.begun = [&](Lsn start) { return rules(start); };
  watcher.copying = [&] { return look_now_and_then(); };
  // Not when all of the WAL has come: what was committed until then lies behind the backup's end.
  std::optional<Time> ended;
  watcher.ended = [&]() -> Result<void> {
    ended = TRY(server_time(*server_));
    return {};
  };
  BaseBackup::Outcome outcome = TRY(backup.run(watcher, previous_.get(), began_));
  outcome.end.time = ended ? *ended : TRY(server_time(*server_));
  TRY(look_for_links(wanted, outcome.sent));
  TRY(count(*server_));
  TRY(judge_counts(*server_, outcome.end.stop));
  totals_ = std::move(outcome.totals);
  source_.tablespaces = std::move(outcome.tablespaces);
  TRY(add_label(outcome.end));
  return {};
}

Result<repo::Snapshot> Capture::finish() {
  repo::TreeWriter tree(session_);
  TRY(entries_.drain([&](const repo::Entry& entry) { return tree.add(entry); }));
  source_.segment_pages = facts_.segment_pages;
  source_.bad_pages = named_of(totals_.bad);
  source_.torn_pages = totals_.torn;
  repo::Snapshot snapshot;
  snapshot.component = options_.component;
  snapshot.kind = "postgres";
  snapshot.root = TRY(tree.finish());
  snapshot.instant = source_.stop_time;
  snapshot.source_bytes = totals_.source_bytes;
  snapshot.read_bytes = totals_.read_bytes;
  snapshot.files = totals_.files;
  snapshot.incremental = previous_ != nullptr;
  snapshot.faults = faults_;
  for (std::string& fault : faults_of(totals_.bad)) snapshot.faults.push_back(std::move(fault));
  snapshot.source = to_json(source_);
  snapshot.source["bad_page_count"] = totals_.bad.size();
  snapshot.took = world_.clock.monotonic() - began_monotonic_;
  return snapshot;
}

Result<repo::Snapshot> Capture::run() {
  began_ = world_.clock.now();
  began_monotonic_ = world_.clock.monotonic();
  const uint64_t stored_before = session_.stats().stored_bytes;
  world_.progress.phase = "connecting";
  TRY(connect());
  TRY(choose_method());
  note_owner();
  TRY(open_previous());
  // For the eyes only: a role that may not know leaves the total unknown.
  const auto size = server_->value("select sum(pg_tablespace_size(oid)) from pg_tablespace");
  if (size.ok()) world_.progress.bytes_total = std::strtoull(size.value().c_str(), nullptr, 10);
  if (source_.method == "files")
    TRY(by_files());
  else
    TRY(by_protocol());
  repo::Snapshot snapshot = TRY(finish());
  snapshot.stored_bytes = session_.stats().stored_bytes - stored_before;
  return snapshot;
}

}  // namespace

Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
                               const repo::Snapshot* previous) {
  CHECK(options.connection != nullptr);
  return Capture(world, session, options, previous).run().context(fmt::format("capturing '{}'", options.component));
}

Result<ClusterIdentity> identify_server(const Connection& connection) {
  auto session = TRY(ServerSession::connect(connection));
  const ServerFacts facts = TRY(read_facts(*session));
  ClusterIdentity identity;
  identity.system_id = facts.system_id;
  identity.major = facts.major;
  identity.timeline = facts.timeline;
  identity.segment_bytes = facts.segment_bytes;
  identity.page_bytes = facts.page_bytes;
  identity.checksums = facts.checksums;
  identity.in_recovery = facts.in_recovery;
  identity.data_directory = facts.data_directory;
  return identity;
}

Result<ClusterIdentity> identify_directory(FileSystem& fs, const std::string& data_directory) {
  const Bytes version = TRY_CONTEXT(read_file(fs, join_path(data_directory, "PG_VERSION"), 64),
                                    "{} is no PostgreSQL data directory", data_directory);
  const ControlFile control = TRY(read_control_file(fs, system_clock(), data_directory)).fields;
  ClusterIdentity identity;
  identity.system_id = control.system_id;
  identity.major = std::atoi(std::string(as_text(version)).c_str());
  identity.timeline = control.timeline;
  identity.segment_bytes = control.segment_bytes;
  identity.page_bytes = control.page_bytes;
  identity.checksums = control.checksum_version != 0;
  identity.in_recovery = control.in_recovery();
  identity.data_directory = data_directory;
  return identity;
}

}  // namespace holdfast::postgres
