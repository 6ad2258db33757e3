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
    } else {
      bytes_left -= size;
      const std::string name = TRY(session->quote_identifier(schema)) + "." + TRY(session->quote_identifier(table));
      item = {{"rows", to_number(TRY(session->value("select count(*) from " + name)))}, {"exact", true}};
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

Result<std::string> transaction_horizon(ServerSession& session) {
  return session.value("select pg_current_snapshot()::text");
}

}  // namespace holdfast::postgres
