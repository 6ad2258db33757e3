#include "recovery/workload.h"

#include "servers/wait.h"

namespace holdfast::servers {

Result<std::array<int64_t, kWriters>> ledger_of(const PrivatePostgres& server) {
  auto session = TRY(server.connect());
  std::array<int64_t, kWriters> last{};
  for (size_t writer = 0; writer < kWriters; writer++) {
    auto rows = TRY(session->exec("select count(*), coalesce(max(seq), 0) from app.ledger where writer = $1",
                                  {std::to_string(writer)}));
    last[writer] = std::stoll(std::string(rows.at(0, 1)));
    if (rows.at(0, 0) != rows.at(0, 1)) {
      return make_error(ErrorCode::kVerifyFailed, "writer {}: {} commits are there, the last is {}", writer,
                        rows.at(0, 0), rows.at(0, 1));
    }
  }
  return last;
}

Result<std::string> digest_of(const PrivatePostgres& server) {
  auto session = TRY(server.connect());
  auto databases = TRY(session->exec("select datname from pg_catalog.pg_database order by 1"));
  std::string digest = "databases:";
  for (size_t row = 0; row < databases.size(); row++) digest += fmt::format(" {}", databases.at(row, 0));
  auto relations = TRY(session->exec(
      "select c.oid::regclass::text, c.relkind, coalesce((select count(*) from pg_catalog.pg_index i where i.indrelid "
      "= c.oid), 0) "
      "from pg_catalog.pg_class c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'S') order by 1"));
  for (size_t row = 0; row < relations.size(); row++) {
    const std::string name(relations.at(row, 0));
    const std::string rows =
        relations.at(row, 1) == "S"
            ? TRY(session->value(fmt::format("select last_value >= 1 from {}", name)))
            : TRY(session->value(fmt::format("select count(*) || ' ' || "
                                             "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {} t",
                                             name)));
    digest += fmt::format("\n{} {} indexes, {}", name, relations.at(row, 2), rows);
  }
  return digest;
}

Result<void> Workload::create() {
  auto session = TRY(server_.connect());
  TRY(
      session->exec("create schema app; "
                    "create table app.ledger (writer int, seq bigint, primary key (writer, seq)); "
                    "create table app.accounts (id int primary key, balance bigint, note text); "
                    "insert into app.accounts select i, 0, repeat('x', 200) from generate_series(1, 5000) i; "
                    "create sequence app.numbers; "
                    "create table app.marks (i int)"));
  return {};
}

Result<void> Workload::start() {
  const auto found = TRY(ledger_of(server_));
  for (size_t writer = 0; writer < kWriters; writer++) {
    const int64_t acknowledged = last_seq_[writer];
    if (found[writer] != acknowledged && found[writer] != acknowledged + 1) {
      return make_error(ErrorCode::kVerifyFailed, "writer {}: {} commits were acknowledged, the server holds {}",
                        writer, acknowledged, found[writer]);
    }
    last_seq_[writer] = found[writer];
    ended_[writer] = false;
    const auto seed = static_cast<uint32_t>(found[writer]);
    writers_.emplace_back([this, writer, seed](const std::stop_token& token) { write(writer, seed, token); });
  }
  return {};
}

void Workload::stop() { writers_.clear(); }

void Workload::return_to(const Instant& instant) {
  for (size_t writer = 0; writer < kWriters; writer++) last_seq_[writer] = instant.last_seq[writer];
}

void Workload::write(size_t writer, uint32_t seed, const std::stop_token& token) {
  std::mt19937 random(seed * kWriters + static_cast<uint32_t>(writer));
  auto session = server_.connect();
  while (session.ok() && !token.stop_requested()) {
    {
      const std::lock_guard pass(turnstile_);
    }
    const std::shared_lock lock(in_flight_);
    if (!write_one(**session, writer, random).ok()) break;
    last_seq_[writer]++;
  }
  ended_[writer] = true;
}

Result<void> Workload::write_one(postgres::ServerSession& session, size_t writer, std::mt19937& random) {
  const int64_t seq = last_seq_[writer] + 1;
  const auto account = static_cast<uint32_t>(1 + random() % 5000);
  std::string sql = fmt::format("begin; insert into app.ledger values ({}, {}); ", writer, seq);
  sql += fmt::format("update app.accounts set balance = balance + {} where id = {}; ", random() % 100, account);
  if (random() % 8 == 0)
    sql += fmt::format("select nextval('app.numbers'); delete from app.accounts where id = {}; ", account);
  if (random() % 8 == 0)
    sql += fmt::format("insert into app.accounts values ({}, 0, repeat(md5('{}'), {})) on conflict (id) do nothing; ",
                       account, seq, 1 + random() % 200);
  // A steady load, not one that takes the machine from what is tested.
  TRY(session.exec(sql + "commit; select pg_sleep(0.002)"));
  return {};
}

Result<void> Workload::let_commit(int64_t count) {
  std::array<int64_t, kWriters> goal{};
  for (size_t writer = 0; writer < kWriters; writer++) goal[writer] = last_seq_[writer] + count;
  bool ended = false;
  const bool reached = wait_until([&] {
    bool all = true;
    for (size_t writer = 0; writer < kWriters; writer++) {
      all = all && last_seq_[writer] >= goal[writer];
      ended = ended || ended_[writer];
    }
    return all || ended;
  });
  if (reached && !ended) return {};
  return make_error(ErrorCode::kServer, "the writers {}: {}", ended ? "were refused" : "make no progress",
                    server_.log_tail(1500));
}

Result<Instant> Workload::note_instant(const std::string& name) {
  const std::lock_guard hold(turnstile_);
  const std::unique_lock lock(in_flight_);
  auto session = TRY(server_.connect());
  Instant instant;
  instant.xid = TRY(session->value("insert into app.marks values (1) returning pg_current_xact_id()::xid::text"));
  for (size_t writer = 0; writer < kWriters; writer++) instant.last_seq[writer] = last_seq_[writer];
  instant.contents = TRY(digest_of(server_));
  instant.name = name;
  TRY(session->value("select pg_create_restore_point($1)", {name}));
  instant.lsn = TRY(session->value("select pg_current_wal_insert_lsn()"));
  instant.time =
      TRY(session->value("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"));
  return instant;
}

}  // namespace holdfast::servers
