#include "source/postgres/backup_session.h"

#include <unistd.h>

#include <cstdlib>

#include "base/log.h"
#include "source/postgres/beside.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kNow = "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

// One row; settings that only members of pg_read_all_settings may see come as null.
const std::string kFacts =
    "select s.system_identifier, current_setting('server_version_num'),"
    // The control file learns of a new timeline at the next checkpoint only.
    " case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())"
    "  else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,"
    " (select bytes_per_wal_segment from pg_control_init()),"
    " current_setting('block_size'), current_setting('data_checksums'), pg_is_in_recovery(),"
    " case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,"
    " (select setting from pg_settings where name = 'data_directory'),"
    " extract(epoch from pg_postmaster_start_time())::bigint,"
    " current_setting('archive_mode') in ('on', 'always') and"
    "  coalesce((select setting from pg_settings where name = 'archive_command'), '') like '%wal push%',"
    " (select blocks_per_segment from pg_control_init()), s.catalog_version_no, " +
    std::string(kIsBesideSql) + " from pg_control_system() s";

uint64_t to_number(std::string_view text) { return std::strtoull(std::string(text).c_str(), nullptr, 10); }

}  // namespace

Result<ServerFacts> read_facts(ServerSession& session) {
  const Rows rows = TRY_CONTEXT(session.exec(kFacts), "asking the server what it is");
  if (rows.size() != 1) return make_error(ErrorCode::kServer, "the server did not say what it is");
  ServerFacts facts;
  facts.system_id = to_number(rows.at(0, 0));
  facts.version = static_cast<int>(to_number(rows.at(0, 1)));
  facts.major = facts.version / 10000;
  facts.timeline = static_cast<uint32_t>(to_number(rows.at(0, 2)));
  facts.segment_bytes = to_number(rows.at(0, 3));
  facts.page_bytes = static_cast<uint32_t>(to_number(rows.at(0, 4)));
  facts.checksums = rows.at(0, 5) == "on";
  facts.in_recovery = rows.at(0, 6) == "t";
  if (!rows.is_null(0, 7)) facts.position = TRY(parse_lsn(rows.at(0, 7)));
  facts.data_directory = rows.at(0, 8);
  facts.start_unix_seconds = static_cast<int64_t>(to_number(rows.at(0, 9)));
  facts.archives = rows.at(0, 10) == "t";
  facts.segment_pages = static_cast<uint32_t>(to_number(rows.at(0, 11)));
  facts.catalog_version = static_cast<uint32_t>(to_number(rows.at(0, 12)));
  facts.is_beside = rows.at(0, 13) == "t";
  if (facts.major < 13 || facts.major > 18) {
    return make_error(ErrorCode::kUnsupported, "the server is PostgreSQL {}; holdfast knows 13 to 18", facts.major);
  }
  return facts;
}

Result<Time> server_time(ServerSession& session) {
  return parse_time(TRY(session.value(std::string("select ") + kNow)), Time());
}

Result<void> BackupSession::reserve_wal() {
  const std::string name = fmt::format("holdfast_backup_{}", getpid());
  auto reserved = session_->exec("select pg_create_physical_replication_slot($1, true, true)", {name});
  // Without a slot a busy server may recycle WAL before it is stored; that is seen
  // at the end, and the capture fails then rather than be believed.
  if (!reserved.ok()) log_warn("postgres.backup.no_slot", {{"error", reserved.error().text()}});
  return {};
}

Result<std::unique_ptr<BackupSession>> BackupSession::start(std::unique_ptr<ServerSession> session,
                                                            const ServerFacts& facts, const std::string& label,
                                                            Duration deadline) {
  std::unique_ptr<BackupSession> backup(new BackupSession(std::move(session), facts.major));
  TRY(backup->reserve_wal());
  const char* start =
      facts.major >= 15 ? "select pg_backup_start($1, true)" : "select pg_start_backup($1, true, false)";
  const Rows rows = TRY_CONTEXT(backup->session_->exec(start, {label}, deadline), "starting a backup");
  backup->start_ = TRY(parse_lsn(rows.at(0, 0)));
  return backup;
}

Result<BackupEnd> BackupSession::stop() {
  const std::string call = major_ >= 15 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  const Rows rows = TRY_CONTEXT(session_->exec("select lsn, labelfile, spcmapfile from " + call), "ending the backup");
  if (rows.size() != 1) return make_error(ErrorCode::kServer, "the server did not say where the backup ends");
  BackupEnd end;
  end.stop = TRY(parse_lsn(rows.at(0, 0)));
  end.label_text = rows.at(0, 1);
  end.tablespace_map_text = rows.at(0, 2);
  end.label = TRY(parse_backup_label(end.label_text));
  end.time = TRY(server_time(*session_));
  return end;
}

}  // namespace holdfast::postgres
