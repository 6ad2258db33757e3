#include "source/postgres/aside.h"

#include <algorithm>
#include <set>

#include "source/postgres/dump.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/sqlstate.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_archive.h"
#include "source/postgres/wal_path.h"

namespace holdfast::postgres {

namespace {

constexpr int kFirstMajorWithSharedMemoryForQueries = 14;
constexpr int kFirstMajorWithStatisticsInMemory = 15;
constexpr int kFirstMajorWithoutTriggerFile = 16;
constexpr Duration kPollInterval = Duration::milliseconds(50);

std::string hba_path(const std::string& root) { return join_path(root, "hba.conf"); }
std::string ident_path(const std::string& root) { return join_path(root, "ident.conf"); }

}  // namespace

Result<std::string> stage_wal(FileSystem& fs, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const ResolvedTarget& target, const std::string& directory) {
  const SnapshotSource source = TRY(snapshot_source(snapshot));
  TRY(fs.make_directory(directory, 0755));
  auto archive = TRY(WalArchive::open(repository, {snapshot.component, source.system_id, source.segment_bytes}));
  const auto stage = [&](const std::string& name) -> Result<bool> {
    const auto content = TRY(archive->fetch(name));
    if (!content) return false;
    TRY(write_file_durably(fs, join_path(directory, name), *content, 0644));
    return true;
  };
  std::set<uint64_t> staged;
  const uint64_t size = source.segment_bytes;
  const std::vector<TimelineSwitch> ancestors = TRY(archive->history(target.timeline));
  for (const TimelinePiece& piece : path_to(target.timeline, ancestors)) {
    if (piece.timeline > 1) TRY(stage(history_name(piece.timeline)));  // recovery does without, or says so
    // A server that is to stop at once wants to see the record after that, too.
    const uint64_t from = std::max(piece.from.value, target.replay_from.value) / size * size;
    const uint64_t to = std::min(piece.to.value, target.replay_to.value + size);
    for (uint64_t at = from; at < to; at += size) {
      auto there = stage(segment_name(piece.timeline, {at}, size));
      // Behind the target it may be missing: the server does without.
      if (!there.ok() && at >= target.replay_to.value && is_unreadable(there.error())) continue;
      if (TRY(std::move(there))) staged.insert(at);
    }
  }
  // Recovery would end there as if it were the end of the log. The segment in which a
  // timeline begins may be stored under the older name, the newer one, or both.
  for (uint64_t at = target.replay_from.value / size * size; at < target.replay_to.value; at += size) {
    if (!staged.contains(at))
      return make_error(ErrorCode::kUnreachableTarget, "recovery up to {} needs the WAL of {}, which is not stored",
                        target.replay_to.text(), Lsn{at}.text());
  }
  return "cp '" + directory + "/%f' '%p'";
}

Result<void> prove_replayed(ServerSession& session, const ResolvedTarget& target) {
  if (!target.last_record) return {};
  const Rows rows = TRY(session.exec("select coalesce(pg_last_wal_replay_lsn(), '0/0')"));
  const Lsn reached = TRY(parse_lsn(rows.at(0, 0)));
  if (reached > *target.last_record) return {};
  return make_error(ErrorCode::kUnreachableTarget, "recovery ended at {}, before the record at {}, which is stored",
                    reached.text(), target.last_record->text())
      .with_hint("the server's log says what it missed; prove the stored WAL with 'holdfast check --read-data'");
}

Result<void> wait_for_end_of_recovery(const source::World& world, const RecoveringServer& server,
                                      const ResolvedTarget& target, Duration until, const std::string& purpose) {
  // What was counted is restored: from here on there is no share of anything to show.
  world.progress.bytes_total = world.progress.bytes_done = 0;
  world.progress.phase = "recovering";
  while (true) {
    auto session = ServerSession::connect(server.connection);
    if (session.ok()) {
      auto recovering = session.value()->value("select pg_is_in_recovery()");
      if (recovering.ok() && recovering.value() == "f") return prove_replayed(*session.value(), target);
    } else if (is_final(session.error())) {
      return std::move(session).error();
    }
    if (!server.running())
      return make_error(ErrorCode::kServer, "the server ended before recovery did; its log ends with: {}",
                        server.log_tail());
    if (world.progress.stop) return make_error(ErrorCode::kInterrupted, "{} was stopped", purpose);
    if (world.clock.monotonic() >= until)
      return make_error(ErrorCode::kTimeout, "recovery did not end in time{}; the server's log ends with: {}",
                        session.ok() ? "" : fmt::format(" ({})", session.error().message()), server.log_tail());
    world.clock.sleep(kPollInterval);
  }
}

Result<void> write_access_files(FileSystem& fs, const std::string& root) {
  TRY(write_file_durably(fs, hba_path(root), as_bytes("local all all trust\n"), 0644));
  return write_file_durably(fs, ident_path(root), as_bytes(""), 0644);
}

std::vector<std::pair<std::string, std::string>> settings_aside(int major, const std::string& data_directory,
                                                                const std::string& root) {
  std::vector<std::pair<std::string, std::string>> settings = {
      {"data_directory", data_directory},
      {"hba_file", hba_path(root)},
      {"ident_file", ident_path(root)},
      {"external_pid_file", join_path(root, "external.pid")},
      {"archive_mode", "off"},
      // Commands of the original's, and files that it works with.
      {"archive_cleanup_command", ""},
      {"recovery_end_command", ""},
      {"primary_conninfo", ""},
      {"primary_slot_name", ""},
      {"synchronous_standby_names", ""},
      {"max_logical_replication_workers", "0"},  // subscriptions would connect to their publishers
      {"ssl", "off"},
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
      {"fsync", "off"},
      {"autovacuum", "off"},
      {"hot_standby", "on"},
      {"recovery_min_apply_delay", "0"},
      // The original's machine may have more memory than this one. Settings that recovery wants to
      // be no smaller than they were (max_connections and the like) stay.
      {"shared_buffers", "128MB"},
      {"huge_pages", "off"},
      {"dynamic_shared_memory_type", "mmap"},  // in files that go with the directory, also when it is killed
      {"wal_buffers", "-1"},
      {"temp_buffers", "8MB"},
      {"work_mem", "16MB"},
      {"maintenance_work_mem", "64MB"},
      {"shared_preload_libraries", ""},
      {"session_preload_libraries", ""},
      {"local_preload_libraries", ""},
      {"cluster_name", "holdfast-boot"}};
  if (major >= kFirstMajorWithSharedMemoryForQueries) settings.emplace_back("min_dynamic_shared_memory", "0");
  if (major < kFirstMajorWithStatisticsInMemory) settings.emplace_back("stats_temp_directory", "pg_stat_tmp");
  if (major < kFirstMajorWithoutTriggerFile) settings.emplace_back("promote_trigger_file", "");
  return settings;
}

std::string aside_conninfo(const std::string& socket_directory, const std::string& port, const std::string& role) {
  return conninfo_with(fmt::format("host={} port={} dbname=postgres", socket_directory, port), "user", role);
}

Error with_scratch_hint(Error refused) {
  if (refused.code() != ErrorCode::kNoSpace) return refused;
  return std::move(refused).with_hint("make room there, or name a directory with more of it: --scratch DIR");
}

bool is_final(const Error& refused) {
  if (refused.code() == ErrorCode::kMismatch) return true;
  // At connect libpq has no SQLSTATE to give, and the server's word is FATAL.
  const bool servers_word = !sqlstate_of(refused).empty() || refused.message().find("FATAL:") != std::string::npos;
  return (refused.code() == ErrorCode::kPermission || refused.code() == ErrorCode::kNotFound) && servers_word;
}

}  // namespace holdfast::postgres
