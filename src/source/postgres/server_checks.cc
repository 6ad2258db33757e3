#include "source/postgres/server_checks.h"

#include <algorithm>

#include "source/postgres/row_counts.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::postgres {

using source::Check;

namespace {

// Relations of every database that have a main file of their own: not views, not the
// partitioned, not those of other sessions.
constexpr const char* kRelationsWithoutFile =
    "select case c.relkind when 'i' then 'index ' when 'S' then 'sequence ' when 't' then 'TOAST table '"
    " when 'm' then 'materialized view ' else 'table ' end || format('%I.%I', n.nspname, c.relname),"
    " pg_relation_filepath(c.oid)"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'i', 'S', 't', 'm') and c.relpersistence = 'p'"
    " and pg_relation_filepath(c.oid) is not null"
    " and (pg_stat_file(pg_relation_filepath(c.oid), true)).size is null order by 1";

constexpr const char* kIndexesOutOfUse =
    "select format('%I.%I', n.nspname, c.relname), i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid"
    " join pg_namespace n on n.oid = c.relnamespace"
    " where not (i.indisvalid and i.indisready) and c.relkind = 'i' order by 1";

constexpr const char* kConstraints =
    "select format('%I.%I', n.nspname, c.relname), o.conname, pg_get_constraintdef(o.oid), o.contype"
    " from pg_constraint o join pg_class c on c.oid = o.conrelid join pg_namespace n on n.oid = c.relnamespace"
    " where o.contype in ('c', 'f') and o.convalidated and o.conparentid = 0 and c.relkind in ('r', 'p')"
    " and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2";

void compare_table(Check& check, const std::string& object, const nlohmann::json& then, const nlohmann::json& now) {
  if (!then.value("exact", false) || !now.value("exact", false)) return;
  const auto before = then.value("rows", int64_t{0}), after = now.value("rows", int64_t{0});
  check.objects++;
  if (before != after) check.add(object, fmt::format("has {} rows, {} were counted at capture", after, before));
}

// Whether somebody has stopped us: that says nothing of what was checked.
bool is_end(const Result<Rows>& rows) { return !rows.ok() && rows.error().code() == ErrorCode::kInterrupted; }

}  // namespace

Result<std::unique_ptr<ServerSession>> ServerChecks::connect(const std::string& database) const {
  SessionOptions options;
  options.database = database;
  options.deadline = left_();
  options.stop = &stop_;
  return ServerSession::connect(connection_, options);
}

Check ServerChecks::row_counts(const SnapshotSource& source) {
  Check check("row counts");
  if (!source.counts_problem.empty()) return Check::skipped(check.name, source.counts_problem);
  auto session = ServerSession::connect(connection_);
  if (!session.ok()) {
    check.add("counts", session.error().text());
    return check;
  }
  const nlohmann::json now = count_rows(connection_, *session.value());
  for (const auto& [database, tables] : source.counts.items()) {
    if (!now.contains(database)) {
      const auto there = (*session)->value("select count(*) from pg_database where datname = $1", {database});
      check.add(database,
                there.ok() && there.value() == "1" ? "its tables can't be counted" : "the database is missing");
      continue;
    }
    const bool all = now[database].size() < kMostCountedTables;
    for (const auto& [table, then] : tables.items()) {
      const std::string object = database + ": " + table;
      if (now[database].contains(table)) {
        compare_table(check, object, then, now[database][table]);
      } else if (all && then.value("exact", false)) {
        check.objects++;
        check.add(object, "the table is missing");
      }
    }
  }
  if (check.objects == 0 && check.findings_total == 0)
    return Check::skipped(check.name, "no count made at capture is exact");
  check.words =
      fmt::format("{} table{} compared with what was counted at capture", check.objects, check.objects == 1 ? "" : "s");
  return check;
}

Result<void> ServerChecks::in_each_database(Check& check, const Visit& visit) {
  std::vector<std::string> databases;
  {
    auto session = TRY(ServerSession::connect(connection_));
    const Rows rows = TRY(session->exec("select datname from pg_database where datallowconn order by 1"));
    for (size_t i = 0; i < rows.size(); i++) databases.emplace_back(rows.at(i, 0));
  }
  for (const std::string& database : databases) {
    auto session = connect(database);
    if (session.ok()) {
      TRY_CONTEXT(visit(*session.value(), database), "database {}", database);
    } else {
      check.add(database, session.error().text());
    }
  }
  return {};
}

Result<Check> ServerChecks::relation_files() {
  Check check("relation files");
  const Visit visit = [&](ServerSession& session, const std::string& database) -> Result<void> {
    const Rows missing = TRY(session.exec(kRelationsWithoutFile));
    for (size_t i = 0; i < missing.size(); i++)
      check.add(fmt::format("{}: {}", database, missing.at(i, 0)),
                fmt::format("its file {} is missing", missing.at(i, 1)));
    return {};
  };
  TRY(in_each_database(check, visit));
  check.words = "the file of every table, index, sequence and materialized view";
  return check;
}

Result<Check> ServerChecks::indexes() {
  Check check("indexes");
  const Visit visit = [&](ServerSession& session, const std::string& database) -> Result<void> {
    const Rows invalid = TRY(session.exec(kIndexesOutOfUse));
    for (size_t i = 0; i < invalid.size(); i++)
      check.add(fmt::format("{}: index {}", database, invalid.at(i, 0)),
                invalid.at(i, 1) == "t" ? "is marked not ready" : "is marked invalid");
    return {};
  };
  TRY(in_each_database(check, visit));
  check.words = "marks of all indexes";
  return check;
}

// Each is made again under another name and taken back.
Result<void> ServerChecks::prove_constraints(ServerSession& session, const std::string& database, Check& check) {
  const Rows constraints = TRY(session.exec(kConstraints));
  for (size_t i = 0; i < constraints.size(); i++) {
    const std::string table(constraints.at(i, 0)), name(constraints.at(i, 1)), definition(constraints.at(i, 2));
    TRY(session.exec("begin"));
    auto made = session.exec("alter table " + table + " add constraint holdfast_proof " + definition, {}, left_());
    if (is_end(made)) return std::move(made).error();
    TRY(session.exec("rollback"));
    check.objects++;
    if (!made.ok()) check.add(fmt::format("{}: constraint {} of {}", database, name, table), made.error().message());
  }
  return {};
}

Result<Check> ServerChecks::constraints() {
  Check check("constraints");
  TRY(in_each_database(check, [&](ServerSession& session, const std::string& database) {
    return prove_constraints(session, database, check);
  }));
  check.words = fmt::format("{} proven anew", check.objects);
  return check;
}

Result<void> ServerChecks::run_assertion(const Assertion& assertion, Check& check) {
  const std::string object = "assertion '" + assertion.name + "'";
  auto session = connect(assertion.database);
  if (!session.ok()) {
    check.add(object, session.error().text());
    return {};
  }
  TRY(session.value()->exec("reset search_path"));
  auto rows = session.value()->exec(assertion.sql);
  check.objects++;
  if (is_end(rows)) return std::move(rows).error();
  if (!rows.ok())
    check.add(object, rows.error().message());
  else if (rows.value().size() != 1)
    check.add(object, fmt::format("returned {} rows instead of one", rows.value().size()));
  else if (rows.value().at(0, 0) != "t")
    check.add(object, fmt::format("does not hold: {}", rows.value().is_null(0, 0) ? "null" : rows.value().at(0, 0)));
  return {};
}

Result<Check> ServerChecks::assertions(const std::vector<Assertion>& assertions) {
  Check check("assertions");
  check.words = fmt::format("{} of the stack", assertions.size());
  for (const Assertion& assertion : assertions) TRY(run_assertion(assertion, check));
  return check;
}

std::vector<std::string> amcheck_command(size_t jobs) {
  return {"pg_amcheck",
          "--all",
          "--install-missing",
          "--no-strict-names",
          fmt::format("--jobs={}", std::max<size_t>(jobs, 1)),
          "--heapallindexed"};
}

}  // namespace holdfast::postgres
