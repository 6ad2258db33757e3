#include "recovery/cluster_life.h"

#include "servers/wait.h"

namespace holdfast::servers {

Result<std::unique_ptr<ClusterLife>> ClusterLife::begin(int major, const Kind& kind, uint64_t seed) {
  RigOptions options;
  options.postgres.major = major;
  options.postgres.checksums = kind.checksums;
  options.postgres.wal_segment_mib = kind.wal_segment_mib;
  options.streaming = kind.streaming;
  options.postgres.settings["full_page_writes"] = "on";
  options.postgres.settings["track_commit_timestamp"] = "on";
  auto rig = TRY(Rig::create(options));
  std::unique_ptr<ClusterLife> life(new ClusterLife(std::move(rig), seed));
  life->wrote(fmt::format("cluster of PostgreSQL {}, checksums {}, segments of {} MiB, WAL by {}", major,
                          options.postgres.checksums, options.postgres.wal_segment_mib,
                          options.streaming ? "wal receive" : "wal push"));
  // Before the first capture: replay of CREATE TABLESPACE beside the cluster would write
  // into the cluster's own tablespace, as PostgreSQL's documentation warns.
  TRY(life->rig_->create_tablespace("space0"));
  TRY(life->rig_->create_tablespace("space1"));
  TRY(life->workload_.create());
  TRY(life->workload_.start());
  TRY(life->create_table());
  TRY(life->capture());
  TRY(life->note());
  return life;
}

ClusterLife::~ClusterLife() { workload_.stop(); }

void ClusterLife::wrote(std::string what) {
  history_.push_back(fmt::format("{} {}", format_rfc3339(system_clock().now()), what));
}

std::string ClusterLife::draw_method() {
  const size_t method = draw(4);
  return method == 0 ? "protocol" : method == 1 ? "files" : "auto";
}

Result<void> ClusterLife::live_a_while() {
  static const std::vector<Act> acts = {&ClusterLife::write,
                                        &ClusterLife::note,
                                        &ClusterLife::capture,
                                        &ClusterLife::capture,
                                        &ClusterLife::capture_under_changes,
                                        &ClusterLife::create_table,
                                        &ClusterLife::drop_table,
                                        &ClusterLife::drop_and_create_again,
                                        &ClusterLife::truncate,
                                        &ClusterLife::vacuum_full,
                                        &ClusterLife::delete_and_vacuum,
                                        &ClusterLife::change_tablespace,
                                        &ClusterLife::create_database,
                                        &ClusterLife::kill_and_start,
                                        &ClusterLife::promote,
                                        &ClusterLife::go_back};
  for (size_t left = 3 + draw(5); left > 0; left--) {
    TRY((this->*acts[draw(acts.size())])());
    TRY(workload_.let_commit(static_cast<int64_t>(1 + draw(20))));
    TRY(draw(2) == 0 ? note() : note_under_load());
  }
  TRY(note());
  TRY(note_under_load());
  return rig_->wait_until_stored();
}

Result<void> ClusterLife::sql(const std::string& statement) {
  wrote(statement);
  return rig_->server().exec(statement);
}

Result<std::string> ClusterLife::some_table() {
  auto session = TRY(rig_->server().connect());
  auto tables =
      TRY(session->exec("select oid::regclass::text from pg_catalog.pg_class where relnamespace = 'app'::regnamespace "
                        "and relkind = 'r' and relname like 't%' order by relname"));
  if (tables.size() == 0) return std::string();
  return std::string(tables.at(draw(tables.size()), 0));
}

Result<void> ClusterLife::write() {
  const auto count = static_cast<int64_t>(20 + draw(200));
  wrote(fmt::format("{} commits of each writer", count));
  return workload_.let_commit(count);
}

Result<void> ClusterLife::note() {
  const std::string name = fmt::format("instant-{}", instants_made_++);
  instants_.push_back(TRY(workload_.note_instant(name)));
  wrote(fmt::format("{} noted: {} {}", name, instants_.back().time, instants_.back().lsn));
  return {};
}

Result<void> ClusterLife::note_under_load() {
  moments_.push_back(TRY(note_moment(rig_->server(), workload_, random_)));
  moments_.back().instants_before = instants_.size();
  wrote(fmt::format("a moment under load noted: {}", moments_.back().text()));
  return {};
}

Result<void> ClusterLife::capture() {
  const bool full = draw(4) == 0;
  const std::string method = draw_method();
  wrote(fmt::format("capture{}, method {}", full ? ", full" : "", method));
  const std::string known_by = TRY(rig_->backup(full, method));
  if (known_by == "wal") captures_by_log_++;
  wrote("captured: " + known_by);
  return {};
}

Result<void> ClusterLife::change_relations() {
  static const std::vector<Act> acts = {&ClusterLife::create_table, &ClusterLife::drop_table,
                                        &ClusterLife::truncate,     &ClusterLife::vacuum_full,
                                        &ClusterLife::write,        &ClusterLife::delete_and_vacuum};
  return (this->*acts[draw(acts.size())])();
}

Result<void> ClusterLife::capture_under_changes() {
  const std::string method = draw_method();
  wrote(fmt::format("capture begins, method {}", method));
  auto backup = TRY(rig_->start_backup(draw(3) == 0, method));
  do {
    TRY(change_relations());
  } while (backup->running() && draw(4) != 0);
  if (!wait_until([&] { return !backup->running(); }, Duration::seconds(300))) {
    return make_error(ErrorCode::kTimeout, "the capture does not end: {}", backup->output());
  }
  const int status = TRY(backup->stop());
  wrote(fmt::format("captured, status {}", status));
  if (status == 0) return {};
  return make_error(ErrorCode::kSubprocess, "the capture ended with {}: {}", status, backup->output());
}

Result<void> ClusterLife::create_table() {
  const std::string table = fmt::format("app.t{}", tables_made_++);
  const size_t rows = 1 + draw(3000);
  TRY(
      sql(fmt::format("create table {0} as select i, md5(i::text) as k, repeat(md5((i * 7)::text), 1 + i % {2}) as v "
                      "from generate_series(1, {1}) i",
                      table, rows, 1 + draw(100))));
  return sql(fmt::format("create index on {} (k)", table));
}

Result<void> ClusterLife::drop_table() {
  const std::string table = TRY(some_table());
  return table.empty() ? create_table() : sql("drop table " + table);
}

Result<void> ClusterLife::drop_and_create_again() {
  const std::string table = TRY(some_table());
  if (table.empty()) return create_table();
  TRY(sql("drop table " + table));
  return sql(fmt::format("create table {0} as select i, md5((i + {1})::text) as k from generate_series(1, {1}) i",
                         table, 1 + draw(2000)));
}

Result<void> ClusterLife::truncate() {
  const std::string table = TRY(some_table());
  if (table.empty()) return create_table();
  TRY(sql("truncate " + table));
  if (draw(2) == 0) return {};
  return sql(fmt::format("insert into {} select i, md5(i::text) from generate_series(1, {}) i", table, 1 + draw(500)));
}

Result<void> ClusterLife::vacuum_full() {
  const std::string table = TRY(some_table());
  return sql("vacuum full " + (table.empty() || draw(3) == 0 ? "app.accounts" : table));
}

Result<void> ClusterLife::delete_and_vacuum() {
  const std::string table = TRY(some_table());
  if (table.empty()) return create_table();
  TRY(sql(fmt::format("delete from {} where i % {} = 0", table, 2 + draw(5))));
  return sql("vacuum " + table);
}

Result<void> ClusterLife::change_tablespace() {
  const std::string table = TRY(some_table());
  if (table.empty()) return create_table();
  static const std::array<const char*, 3> spaces = {"pg_default", "space0", "space1"};
  return sql(fmt::format("alter table {} set tablespace {}", table, spaces[draw(spaces.size())]));
}

Result<void> ClusterLife::create_database() {
  const std::string number =
      TRY(rig_->server().value("select count(*) from pg_catalog.pg_database where datname like 'other%'"));
  if (number != "0") return sql("drop database other");
  return sql("create database other");
}

Result<void> ClusterLife::start_again() {
  TRY(rig_->server().start_and_promote());
  TRY(rig_->follow_wal());
  return workload_.start();
}

Result<void> ClusterLife::kill_and_start() {
  wrote("SIGKILL under load, start");
  rig_->server().kill();
  workload_.stop();
  return start_again();
}

// The cluster becomes a standby of nothing and is promoted: a new timeline, nothing lost.
Result<void> ClusterLife::promote() {
  wrote("stop, start as a standby, promote");
  workload_.stop();
  TRY(rig_->server().stop());
  TRY(run_command_checked(as_server_user({"touch", rig_->server().data_directory() + "/standby.signal"})));
  // Where an earlier restore stopped is no target of this one.
  auto& settings = rig_->server().options().settings;
  const auto before = settings;
  for (const char* target : {"name", "time", "lsn", "xid"}) settings[fmt::format("recovery_target_{}", target)] = "";
  settings["recovery_target_timeline"] = "latest";
  TRY(rig_->server().start());
  TRY(rig_->server().value("select pg_promote()"));
  TRY(rig_->server().stop());
  settings = before;
  return start_again();
}

// Restore over the cluster to an instant: what came after it is another history.
Result<void> ClusterLife::go_back() {
  TRY(note());
  TRY(rig_->wait_until_stored());
  const size_t chosen = instants_.size() - 1 - draw(std::min<size_t>(3, instants_.size()));
  const std::vector<std::string> words = target_words(instants_[chosen]);
  wrote(fmt::format("restore in place to {} by {}", instants_[chosen].name, fmt::join(words, " ")));
  workload_.stop();
  if (draw(2) == 0) {
    TRY(rig_->server().stop());
  } else {
    rig_->server().kill();
  }
  TRY(rig_->stop_following());
  TRY(rig_->restore_in_place(words));
  instants_.resize(chosen + 1);
  if (words.front() == "--xid") instants_.back().on_the_way = false;  // it stopped before the restore point
  std::erase_if(moments_, [&](const Moment& moment) { return moment.instants_before > chosen; });
  workload_.return_to(instants_[chosen]);
  TRY(rig_->server().start_and_promote());
  TRY(compare(rig_->server(), instants_[chosen]));
  TRY(rig_->follow_wal());
  return workload_.start();
}

std::vector<std::string> ClusterLife::target_words(const Instant& instant) {
  switch (draw(6)) {
    case 0: return {"--lsn", instant.lsn};
    case 1:
      if (!instant.on_the_way) break;
      return {"--name", instant.name};
    case 2: return {"--xid", instant.xid};
    default: break;
  }
  return {"--at", instant.time};
}

Result<void> ClusterLife::recover_and_compare() {
  const Instant& instant = instants_[draw(instants_.size())];
  const std::vector<std::string> words = target_words(instant);
  wrote(fmt::format("restore beside to {} by {}", instant.name, fmt::join(words, " ")));
  auto restored = TRY(rig_->restore_aside(words));
  TRY(restored->start_and_promote());
  TRY(compare(*restored, instant));
  TRY(check_pages(*restored));
  return rig_->remove_aside(std::move(restored));
}

Result<void> ClusterLife::recover_under_load_and_compare() {
  const Moment& moment = moments_[draw(moments_.size())];
  const bool inclusive = draw(2) == 0;
  std::vector<std::string> words = {"--at", moment.time};
  if (!inclusive) words.emplace_back("--exclusive");
  wrote(fmt::format("restore beside to a moment under load by {}", fmt::join(words, " ")));
  auto restored = TRY(rig_->restore_aside(words));
  TRY(restored->start_and_promote());
  TRY(compare_moment(*restored, moment, inclusive));
  TRY(check_pages(*restored));
  return rig_->remove_aside(std::move(restored));
}

Result<void> ClusterLife::check_pages(PrivatePostgres& restored) {
  const std::string damage = TRY(restored.amcheck());
  if (damage.empty()) return {};
  return make_error(ErrorCode::kVerifyFailed, "pg_amcheck: {}", damage);
}

Result<void> ClusterLife::compare(PrivatePostgres& restored, const Instant& instant) {
  const auto ledger = TRY(ledger_of(restored));
  for (size_t writer = 0; writer < kWriters; writer++) {
    if (ledger[writer] == instant.last_seq[writer]) continue;
    return make_error(ErrorCode::kVerifyFailed, "{}: writer {} had {} commits, {} are there", instant.name, writer,
                      instant.last_seq[writer], ledger[writer]);
  }
  const std::string contents = TRY(digest_of(restored));
  if (contents == instant.contents) return {};
  return make_error(ErrorCode::kVerifyFailed, "{}: the contents differ\n-- then:\n{}\n-- restored:\n{}", instant.name,
                    instant.contents, contents);
}

}  // namespace holdfast::servers
