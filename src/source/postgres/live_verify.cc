#include "source/postgres/live_verify.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "source/postgres/amcheck.h"
#include "source/postgres/row_counts.h"
#include "source/postgres/sqlstate.h"
#include "source/postgres/timeline.h"

namespace holdfast::postgres {
namespace {

using nlohmann::json;

// Without full_check tables up to these sizes are read, as at capture.
constexpr int64_t kLargestTableBytes = 8 << 20;
constexpr int64_t kMostBytesOfDatabase = 64 << 20;

struct LiveTable {
  std::string key;       // "public.orders", as points record it
  std::string name;      // quoted
  int64_t estimate = 0;  // of its rows; 0 and less: nobody has analyzed it
  int64_t bytes = 0;
  std::string definition;
};

int64_t number_of(std::string_view text) { return std::strtoll(std::string(text).c_str(), nullptr, 10); }

// Relations whose file is not there. A standby has none of unlogged ones. $1 restricts to
// one relation's number; 0: all.
constexpr const char* kMissingFiles =
    "select c.oid, case c.relkind when 'r' then 'table' when 'm' then 'materialized view' when 'S' then 'sequence' when"
    " 't' then 'TOAST table' else 'index' end || ' ' || c.oid::regclass::text, pg_relation_filepath(c.oid) from "
    "pg_class"
    " c where c.relkind in ('r', 'm', 'S', 't', 'i') and (c.relpersistence = 'p' or c.relpersistence = 'u' and not"
    " pg_is_in_recovery()) and pg_relation_filepath(c.oid) is not null and (pg_stat_file(pg_relation_filepath(c.oid), "
    "true)).size is null and $1::oid in (0, c.oid) order by 2";

// Indexes marked invalid on whose table nobody is at work: what builds or drops an index
// while writers go on holds this lock from beginning to end. VACUUM and ANALYZE take it,
// too, and say nothing of indexes. $1 as above.
constexpr const char* kInvalidIndexes =
    "select i.indexrelid, i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid where "
    "not"
    " i.indisvalid and c.relkind = 'i' and $1::oid in (0, c.oid) and not exists (select from pg_locks l where "
    "l.locktype"
    " = 'relation' and l.database = (select oid from pg_database where datname = current_database()) and l.relation ="
    " i.indrelid and l.mode = 'ShareUpdateExclusiveLock' and l.granted and not exists (select from"
    " pg_stat_progress_vacuum v where v.pid = l.pid) and not exists (select from pg_stat_progress_analyze a where "
    "a.pid ="
    " l.pid)) order by 2";

class LiveVerifier {
 public:
  LiveVerifier(source::World& world, const Connection& connection, const LiveVerifyOptions& options)
      : world_(world), connection_(connection), options_(options) {}

  Result<LiveVerifyReport> run() {
    SessionOptions session_options;
    session_options.database = options_.database;
    session_options.deadline = options_.deadline;
    session_options.stop = &world_.progress.stop;
    session_ = TRY(ServerSession::connect(connection_, session_options));
    // Rows that a policy hides are an error, not a smaller number.
    TRY(session_->exec("set lock_timeout = '5s'; set row_security = off"));
    standby_ = TRY(session_->value("select pg_is_in_recovery()::text")) == "true";
    TRY(look_for_files());
    TRY(look_at_indexes());
    TRY(look_at_checksums());
    TRY(list_tables());
    TRY(compare_tables());
    if (options_.full_check) TRY(run_amcheck());
    if (options_.recent) TRY(prove_recent());
    report_.report.details["full_check"] = options_.full_check;
    return std::move(report_);
  }

 private:
  void find(std::string object, std::string problem) {
    report_.report.findings.push_back({std::move(object), std::move(problem)});
  }

  // An error about data, not about our rights or somebody's lock.
  static bool is_damage(const Error& error) {
    const std::string_view state = sqlstate_of(error);
    return state.starts_with("XX") || state.starts_with("58") || state.starts_with("22");
  }

  // A relation that was dropped since it was listed.
  static bool is_gone(const Error& error) { return sqlstate_of(error) == "42P01"; }

  // The server's refusals are told; what breaks the session ends the verification.
  Result<void> take_trouble(const std::string& object, const Error& error) {
    if (is_damage(error)) {
      find(object, "can't be read: " + error.message());
      return {};
    }
    if (error.code() == ErrorCode::kPermission) {
      forbidden_.push_back(object);
      return {};
    }
    if (error.code() != ErrorCode::kServer) return error.clone();
    if (!is_gone(error)) report_.not_proven.push_back(fmt::format("{} was not read: {}", object, error.message()));
    return {};
  }

  // A file may be missing for the moment in which its table is rewritten: it is looked for twice.
  Result<void> look_for_files() {
    world_.progress.phase = "looking for files";
    const auto missing = session_->exec(kMissingFiles, {"0"});
    if (!missing.ok()) {
      if (missing.error().code() != ErrorCode::kPermission) return missing.error().clone();
      report_.notes.push_back("the files of relations were not looked for: the account may not call pg_stat_file");
      return {};
    }
    for (size_t i = 0; i < missing.value().size(); i++) {
      const Rows again = TRY(session_->exec(kMissingFiles, {std::string(missing.value().at(i, 0))}));
      if (again.size() == 1) find(std::string(again.at(0, 1)), fmt::format("its file {} is missing", again.at(0, 2)));
    }
    return {};
  }

  // The list of locks is younger than that of indexes, and a build may have ended between
  // them: each is looked at twice. A standby does not know its primary's locks.
  Result<void> look_at_indexes() {
    const Rows invalid = TRY(session_->exec(kInvalidIndexes, {"0"}));
    for (size_t i = 0; i < invalid.size(); i++) {
      const Rows again = TRY(session_->exec(kInvalidIndexes, {std::string(invalid.at(i, 0))}));
      if (again.size() == 0) continue;
      const std::string index = "index " + std::string(again.at(0, 1));
      if (standby_)
        report_.notes.push_back(index + " is marked invalid, unless its primary is building it now");
      else
        find(index, "is marked invalid: it is not used, and a unique one not enforced");
    }
    return {};
  }

  Result<void> look_at_checksums() {
    const Rows rows = TRY(session_->exec(
        "select case when datname is null then 'relations shared by all databases' else 'database ' || datname end,"
        " checksum_failures, checksum_last_failure from pg_stat_database where (datname = current_database() or datid ="
        " 0) and checksum_failures > 0"));
    for (size_t i = 0; i < rows.size(); i++)
      find(std::string(rows.at(i, 0)),
           fmt::format("{} page checksums did not hold when the server read them, last at {}", rows.at(i, 1),
                       rows.at(i, 2)));
    return {};
  }

  Result<void> list_tables() {
    const Rows rows = TRY(session_->exec(
        "select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname), c.reltuples::bigint,"
        " coalesce(pg_relation_size(c.oid), 0), " +
        table_definition() +
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm') and"
        " c.relpersistence = 'p' and c.relispopulated and n.nspname not in ('pg_catalog', 'information_schema') and"
        " n.nspname not like 'pg\\_toast%' order by 4, 1"));
    for (size_t i = 0; i < rows.size(); i++) {
      tables_.push_back({std::string(rows.at(i, 0)), std::string(rows.at(i, 1)), number_of(rows.at(i, 2)),
                         number_of(rows.at(i, 3)), std::string(rows.at(i, 4))});
    }
    return {};
  }

  Result<void> compare_tables() {
    world_.progress.phase = "reading tables";
    int64_t bytes_left = kMostBytesOfDatabase;
    std::set<std::string> seen;
    for (const LiveTable& table : tables_) {
      if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
      seen.insert(table.key);
      const bool read = options_.full_check || (table.bytes <= kLargestTableBytes && table.bytes <= bytes_left);
      bytes_left -= read && !options_.full_check ? table.bytes : 0;
      std::optional<int64_t> rows;
      if (read) rows = TRY(rows_of(table));
      compare(table, rows);
    }
    if (!forbidden_.empty())
      report_.not_proven.push_back(fmt::format(
          "{}{} not read: the account may not (pg_read_all_data, from PostgreSQL 14 on, lets it)", forbidden_.front(),
          forbidden_.size() == 1 ? " was" : fmt::format(" and {} more were", forbidden_.size() - 1)));
    for (const auto& [name, then] : options_.recorded.items()) {
      if (!seen.contains(name)) report_.changes.push_back(fmt::format("table {} is no longer there", name));
    }
    return {};
  }

  // Empty when it could not be read, which is told.
  Result<std::optional<int64_t>> rows_of(const LiveTable& table) {
    // Writing each row as text reads every value of it, also those stored apart.
    const std::string all = options_.full_check ? "count(t::text)" : "count(*)";
    const std::string query = "select greatest(count(*), " + all + ") from " + table.name + " t";
    auto counted = session_->value(query);
    // What was dropped or rewritten in that moment can't be opened, which sounds like damage.
    if (!counted.ok() && is_damage(counted.error())) counted = session_->value(query);
    if (counted.ok()) {
      report_.report.checked_objects++;
      report_.report.checked_bytes += static_cast<uint64_t>(std::max<int64_t>(table.bytes, 0));
      return std::optional<int64_t>(number_of(counted.value()));
    }
    TRY(take_trouble("table " + table.key, counted.error()));
    return std::optional<int64_t>();
  }

  void compare(const LiveTable& table, std::optional<int64_t> rows) {
    if (options_.recorded.is_null()) return;
    const auto then = options_.recorded.find(table.key);
    if (then == options_.recorded.end()) {
      // Where not all were recorded, nobody knows.
      if (options_.recorded.size() < kMostCountedTables)
        report_.changes.push_back(fmt::format("table {} is new", table.key));
      return;
    }
    const std::string definition = then->value("definition", "");
    if (!definition.empty() && definition != table.definition)
      report_.changes.push_back(fmt::format("table {} has another definition", table.key));
    const int64_t before = then->value("rows", int64_t{0}), after = rows.value_or(table.estimate);
    const bool counted = then->value("exact", false), exact = rows && counted;
    const bool known = (counted || before > 0) && (rows || table.estimate > 0);
    if (before == after || !known) return;
    report_.changes.push_back(
        fmt::format("table {}: {}{} rows, {} at the point", table.key, exact ? "" : "about ", after, before));
  }

  Result<void> run_amcheck() {
    world_.progress.phase = "running amcheck";
    Amcheck amcheck(*session_, world_.progress.stop);
    const auto unable = TRY(amcheck.prepare());
    report_.report.details["amcheck"] = !unable;
    if (unable) {
      report_.not_proven.push_back("amcheck was not run: " + *unable);
      return {};
    }
    report_.report.checked_objects += TRY(amcheck.run(report_.report.findings, report_.not_proven));
    return {};
  }

  // ---- transactions of the last time

  struct Position {
    uint32_t timeline = 0;
    Lsn lsn;
  };

  Result<Position> position() {
    Position position;
    const Rows rows = TRY(session_->exec(
        standby_ ? "select coalesce((select received_tli from pg_stat_wal_receiver), (select timeline_id from"
                   " pg_control_checkpoint())), pg_last_wal_replay_lsn()"
                 : "select ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int8,"
                   " pg_current_wal_insert_lsn()"));
    position.timeline = static_cast<uint32_t>(number_of(rows.at(0, 0)));
    position.lsn = TRY(parse_lsn(rows.at(0, 1)));
    return position;
  }

  // The ancestry of a timeline, and whether the server told it.
  struct Ancestry {
    std::vector<TimelineSwitch> switches;
    bool is_servers = true;
  };

  // As the server's own file has it; where the account may not read that, as it is stored.
  Result<Ancestry> history_of_server(uint32_t timeline) {
    if (timeline == 1) return Ancestry();
    const auto text = session_->value("select pg_read_file('pg_wal/" + history_name(timeline) + "')");
    if (text.ok()) return Ancestry{TRY(parse_history(as_bytes(text.value()), timeline)), true};
    if (sqlstate_of(text.error()).empty()) return text.error().clone();
    return Ancestry{TRY(options_.history(timeline)), false};
  }

  // Whether a timeline with this ancestry is the one of its number in the server's history.
  // Servers that are promoted apart from each other give their timelines one number; where
  // they branched off they differ.
  static bool continues(const std::vector<TimelineSwitch>& ancestors, const std::vector<TimelineSwitch>& of_server) {
    return ancestors.size() <= of_server.size() &&
           std::equal(ancestors.begin(), ancestors.end(), of_server.begin(),
                      [](const auto& a, const auto& b) { return a.timeline == b.timeline && a.left_at == b.left_at; });
  }

  // Up to where the server has the log of this timeline in its history; empty: nothing of it.
  Result<std::optional<Lsn>> part_in_history(const Position& server, uint32_t timeline) {
    if (server.timeline < timeline) return std::optional<Lsn>();
    const auto of_server = history_of_server(server.timeline);
    if (!of_server.ok() && server.timeline != timeline) return of_server.error().clone();
    const auto of_log = options_.history(timeline);
    if (of_server.ok() && of_log.ok() && !continues(of_log.value(), of_server->switches)) return std::optional<Lsn>();
    if (!of_server.ok() || !of_log.ok()) {
      report_.notes.push_back(
          fmt::format("where timeline {} branched off is not known: it is taken for the server's own", timeline));
    } else if (!of_server->is_servers) {
      report_.notes.push_back(
          fmt::format("the account may not read where the server's timeline {} branched off (pg_read_server_files): "
                      "it is taken for the one that is stored",
                      server.timeline));
    }
    if (server.timeline == timeline) return std::optional<Lsn>(server.lsn);
    for (const TimelineSwitch& ancestor : of_server->switches) {
      if (ancestor.timeline == timeline) return std::optional<Lsn>(ancestor.left_at);
    }
    return std::optional<Lsn>();
  }

  Result<std::optional<Time>> newest_commit_of_server() {
    if (TRY(session_->value("show track_commit_timestamp")) != "on") return std::optional<Time>();
    const Rows rows =
        TRY(session_->exec("select (extract(epoch from timestamp) * 1000000)::bigint from pg_last_committed_xact()"));
    if (rows.size() != 1 || rows.is_null(0, 0)) return std::optional<Time>();
    return std::optional<Time>(Time::from_unix_microseconds(number_of(rows.at(0, 0))));
  }

  Result<void> prove_recent() {
    world_.progress.phase = "comparing with the log";
    const Position server = TRY(position());
    json& details = report_.report.details["recent"];
    details = {{"span_seconds", options_.recent->in_seconds()},
               {"server_timeline", server.timeline},
               {"server_lsn", server.lsn.text()}};
    std::optional<Time> newest = TRY(newest_commit_of_server());
    if (options_.log) {
      const LogEnd& log = *options_.log;
      details["log_timeline"] = log.timeline;
      details["log_end"] = log.end.text();
      if (log.last_commit) details["log_last_commit"] = format_rfc3339(*log.last_commit);
      auto part = part_in_history(server, log.timeline);
      if (!part.ok()) {
        find("recent transactions", fmt::format("the history of the server's timeline {} is not known, so nothing is "
                                                "proven: {}",
                                                server.timeline, part.error().text()));
        return {};
      }
      if (!part.value() || *part.value() < log.end) {
        tell_lost(server, log, part.value());
      } else if (log.last_commit && (!newest || *newest < *log.last_commit)) {
        newest = log.last_commit;
      }
    }
    if (newest) details["newest_commit"] = format_rfc3339(*newest);
    const Time since = world_.clock.now() - *options_.recent;
    if (!newest || *newest < since)
      find("recent transactions", fmt::format("none since {} is proven to be there: the newest known is {}",
                                              format_local(since), newest ? "of " + format_local(*newest) : "none"));
    return {};
  }

  void tell_lost(const Position& server, const LogEnd& log, std::optional<Lsn> part) {
    const std::string until = log.last_commit ? ", whose last commit is of " + format_local(*log.last_commit) : "";
    if (standby_ && part && server.timeline == log.timeline) {
      report_.notes.push_back(fmt::format("the standby has replayed up to {}, the log is stored up to {}{}",
                                          server.lsn.text(), log.end.text(), until));
      return;
    }
    find("recent transactions",
         part
             ? fmt::format("the log is stored up to {} on timeline {}{}, and the server's history has it only up to {}",
                           log.end.text(), log.timeline, until, part->text())
             : fmt::format(
                   "the log is stored on timeline {}{}, which is not in the history of the server (timeline {}{})",
                   log.timeline, until, server.timeline,
                   server.timeline == log.timeline ? ", which branched off elsewhere" : ""));
  }

  source::World& world_;
  const Connection& connection_;
  const LiveVerifyOptions& options_;
  std::unique_ptr<ServerSession> session_;
  bool standby_ = false;
  std::vector<LiveTable> tables_;
  std::vector<std::string> forbidden_;  // tables that the account may not read
  LiveVerifyReport report_;
};

}  // namespace

Result<LiveVerifyReport> verify_live(source::World& world, const Connection& connection,
                                     const LiveVerifyOptions& options) {
  return LiveVerifier(world, connection, options).run();
}

}  // namespace holdfast::postgres
