#include "source/postgres/row_counts.h"

#include <cstdlib>

#include "base/log.h"

namespace holdfast::postgres {
namespace {

using nlohmann::json;

constexpr int64_t kLargestTableBytes = 8 << 20;
constexpr int64_t kMostBytesOfDatabase = 64 << 20;
constexpr Duration kCountDeadline = Duration::seconds(10);

// Permanent tables and materialised views of users, the smallest first, and whether the
// account sees all their rows.
constexpr const char* kTables =
    "select n.nspname, c.relname, c.reltuples::bigint as rows, pg_relation_size(c.oid) as bytes, c.oid,"
    " has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and not row_security_active(c.oid)"
    " as readable"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'm') and c.relpersistence = 'p' and c.relispopulated"
    " and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'"
    " order by bytes, 1, 2 limit ";

int64_t to_number(std::string_view text) { return std::strtoll(std::string(text).c_str(), nullptr, 10); }

std::string tables_query() {
  // Definitions are dear: only of those that are taken.
  return "select c.nspname, c.relname, c.rows, c.bytes, " + table_definition() + ", c.readable from (" + kTables +
         std::to_string(kMostCountedTables) + ") c order by c.bytes, 1, 2";
}

Result<json> count_database(const Connection& connection, const std::string& database) {
  SessionOptions options;
  options.database = database;
  options.deadline = kCountDeadline;
  auto session = TRY(ServerSession::connect(connection, options));
  TRY(session->exec("begin transaction isolation level repeatable read read only"));
  const Rows tables = TRY(session->exec(tables_query()));
  json counts = json::object();
  int64_t bytes_left = kMostBytesOfDatabase;
  for (size_t i = 0; i < tables.size(); i++) {
    const std::string schema(tables.at(i, 0)), table(tables.at(i, 1));
    const int64_t size = to_number(tables.at(i, 3));
    json& item = counts[schema + "." + table];
    if (size > kLargestTableBytes || size > bytes_left || tables.at(i, 5) != "t") {
      item = {{"rows", std::max<int64_t>(to_number(tables.at(i, 2)), 0)}, {"exact", false}};
      if (tables.at(i, 5) != "t") item["readable"] = false;
    } else {
      bytes_left -= size;
      const std::string name = TRY(session->quote_identifier(schema)) + "." + TRY(session->quote_identifier(table));
      const int64_t rows = to_number(TRY(session->value("select count(*) from " + name)));
      item = {{"rows", rows}, {"exact", true}};
    }
    item["definition"] = tables.at(i, 4);
  }
  return counts;
}

}  // namespace

std::string table_definition() {
  return "left(encode(sha256(convert_to(concat_ws(E'\\n', (select string_agg(concat_ws(' ', quote_ident(a.attname),"
         " format_type(a.atttypid, a.atttypmod), a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)), ',' order by"
         " a.attnum) from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where"
         " a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), (select string_agg(quote_ident(o.conname) || ' "
         "'"
         " || pg_get_constraintdef(o.oid), ',' order by o.conname) from pg_constraint o where o.conrelid = c.oid),"
         " (select string_agg(pg_get_indexdef(i.indexrelid), ',' order by pg_get_indexdef(i.indexrelid)) from pg_index "
         "i"
         " where i.indrelid = c.oid), (select string_agg(pg_get_triggerdef(t.oid), ',' order by t.tgname) from "
         "pg_trigger"
         " t where t.tgrelid = c.oid and not t.tgisinternal)), 'UTF8')), 'hex'), 32)";
}

json count_rows(const Connection& connection, ServerSession& session) {
  json all = json::object();
  const auto databases =
      session.exec("select datname from pg_database where datallowconn and not datistemplate order by 1");
  if (!databases.ok()) return all;
  for (size_t i = 0; i < databases.value().size(); i++) {
    const std::string database(databases.value().at(i, 0));
    auto counts = count_database(connection, database);
    if (counts.ok())
      all[database] = std::move(counts).value();
    else
      log_info("postgres.capture.not_counted", {{"database", database}, {"error", counts.error().text()}});
  }
  return all;
}

std::string why_none_is_exact(const json& counts) {
  if (counts.empty()) return "no database could be counted at capture";
  size_t tables = 0, forbidden = 0;
  for (const auto& [database, items] : counts.items()) {
    for (const auto& [table, item] : items.items()) {
      if (item.value("exact", false)) return "";
      tables++;
      if (!item.value("readable", true)) forbidden++;
    }
  }
  if (tables == 0) return "there was no table to count at capture";
  if (forbidden == 0) return "the tables are too large to be counted at capture";
  return fmt::format("the account that took the point may not read {} of the {} tables (pg_read_all_data lets it)",
                     forbidden, tables);
}

Result<void> Stillness::look(ServerSession& session) {
  // The statement's snapshot is older than what it says of the log.
  const Rows rows =
      TRY(session.exec("select pg_current_snapshot()::text, pg_is_in_recovery(), case when pg_is_in_recovery() then"
                       " pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end"));
  if (rows.size() != 1 || rows.is_null(0, 2))
    return make_error(ErrorCode::kServer, "the server did not say where its log ends");
  const std::string horizon(rows.at(0, 0));
  if (horizon == horizon_) return {};
  horizon_ = horizon;
  in_recovery_ = rows.at(0, 1) == "t";
  since_ = TRY(parse_lsn(rows.at(0, 2)));
  return {};
}

Result<std::string> Stillness::why_not_beyond(ServerSession& session, Lsn stop) {
  // A commit is in the log before it is seen: for long, where it waits for a standby. Who
  // holds the lock on its own transaction id has not been seen to end. A standby sees the
  // end of a transaction as it replays it.
  const std::string writing =
      TRY(session.value("select count(*) from pg_locks where locktype = 'transactionid' and mode = 'ExclusiveLock' and"
                        " granted and not pg_is_in_recovery()"));
  if (writing != "0") return std::string("a transaction that writes was under way when the capture ended");
  TRY(look(session));
  // A primary's backup ends with a record of its own, behind all that was there before.
  if (in_recovery_ ? since_ <= stop : since_ < stop) return std::string();
  return std::string("the server was written to between the count at capture and the end of the capture");
}

}  // namespace holdfast::postgres
