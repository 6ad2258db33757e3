#include "source/postgres/extract_source.h"

#include <cstdlib>

namespace holdfast::postgres {
namespace {

std::vector<std::string> column_of(const Rows& rows, size_t column = 0) {
  std::vector<std::string> values;
  for (size_t i = 0; i < rows.size(); i++) values.emplace_back(rows.at(i, column));
  return values;
}

void take_roles(const Rows& rows, ExtractNeeds& needs) {
  for (size_t i = 0; i < rows.size(); i++) {
    needs.roles.emplace_back(rows.at(i, 0));
    if (rows.at(i, 1) == "t") needs.owners.emplace_back(rows.at(i, 0));
  }
}

uint64_t number_of(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

// Roles, and whether they own something. The bootstrap superuser (number 10) has no rows
// in pg_shdepend.
constexpr const char* kRolesOfDatabase =
    "with d as (select * from pg_database where datname = current_database()), r as ("
    " select s.refobjid as role, s.deptype = 'o' as owner from pg_shdepend s, d where s.refclassid ="
    " 'pg_authid'::regclass and (s.dbid = d.oid or s.dbid = 0 and s.classid = 'pg_database'::regclass and s.objid ="
    " d.oid)"
    " union all select d.datdba, true from d"
    " union all select s.setrole, false from pg_db_role_setting s, d where s.setdatabase = d.oid and s.setrole <> 0"
    " union all select 10, true where exists (select from pg_class where relowner = 10 and oid >= 16384)"
    " or exists (select from pg_proc where proowner = 10 and oid >= 16384)"
    " or exists (select from pg_namespace where nspowner = 10 and oid >= 16384)"
    " or exists (select from pg_type where typowner = 10 and oid >= 16384))"
    " select pg_get_userbyid(role), bool_or(owner) from r group by role order by 1";

constexpr const char* kTablespacesOfDatabase =
    "select spcname from pg_tablespace where spcname not in ('pg_default', 'pg_global') and (oid in (select"
    " reltablespace from pg_class) or oid = (select dattablespace from pg_database where datname ="
    " current_database())) order by 1";

constexpr const char* kUnlogged =
    "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where"
    " c.relpersistence = 'u' and c.relkind = 'r'";

// Columns of type oid, or of a domain over it such as lo, where there are large objects. $1 as below.
constexpr const char* kReferencesOfTables =
    "select n.nspname || '.' || c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid ="
    " a.attrelid join pg_namespace n on n.oid = c.relnamespace join pg_type t on t.oid = a.atttypid where c.oid ="
    " any($1::oid[]) and a.attnum > 0 and not a.attisdropped and 'oid'::regtype in (t.oid, t.typbasetype) and exists"
    " (select from pg_largeobject_metadata) order by 1";

// $1: the numbers of tables, as an array.
constexpr const char* kOfTables =
    "with t as (select unnest($1::oid[]) as oid), r as (select oid from t union select d.objid from pg_depend d join t"
    " on t.oid = d.refobjid where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and"
    " d.deptype in ('a', 'i'))";

std::string roles_of_tables() {
  return std::string(kOfTables) +
         ", o as (select s.refobjid as role, s.deptype = 'o' as owner from pg_shdepend s where s.refclassid ="
         " 'pg_authid'::regclass and s.dbid = (select oid from pg_database where datname = current_database()) and"
         " (s.classid = 'pg_class'::regclass and s.objid in (select oid from r) or s.classid = 'pg_policy'::regclass "
         "and"
         " s.objid in (select p.oid from pg_policy p join t on t.oid = p.polrelid))"
         " union all select c.relowner, true from pg_class c join t on t.oid = c.oid)"
         " select pg_get_userbyid(role), bool_or(owner) from o group by role order by 1";
}

std::string tablespaces_of_tables() {
  return std::string(kOfTables) +
         " select distinct s.spcname from pg_class c join r on r.oid = c.oid join pg_tablespace s on s.oid ="
         " c.reltablespace order by 1";
}

// Its number, when it is a table that can go alone.
Result<std::string> number_of_table(ServerSession& session, const TableName& table) {
  const Rows rows = TRY(session.exec(
      "select c.oid, c.relkind, c.relispartition or exists (select from pg_inherits i where c.oid in (i.inhrelid,"
      " i.inhparent)), exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and"
      " d.deptype = 'e') from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and"
      " c.relname = $2",
      {table.schema, table.name}));
  if (rows.size() == 0)
    return make_error(ErrorCode::kNotFound, "at that instant there is no table {}", table.text())
        .with_hint("name it as SQL does: public.orders, or '\"My Schema\".\"Orders\"' where letters are large");
  const std::string_view kind = rows.at(0, 1);
  if (kind == "r" && rows.at(0, 2) == "f" && rows.at(0, 3) == "f") return std::string(rows.at(0, 0));
  const char* what = rows.at(0, 3) == "t"                  ? "belongs to an extension"
                     : kind == "p" || rows.at(0, 2) == "t" ? "is partitioned, a partition, or has inheritance"
                                                           : "is not a plain table";
  return make_error(ErrorCode::kUnsupported, "{} {}: it can't be restored alone", table.text(), what)
      .with_hint("restore the database beside with --target-database, and take from there what is wanted");
}

// Takes the foreign keys away that lead out of the tables set aside, and tells how to make them anew.
Result<std::vector<OutgoingKey>> take_outgoing_keys(ServerSession& session, const std::string& prefix) {
  const Rows rows = TRY(session.exec(
      "select format('alter table %I.%I drop constraint %I', n.nspname, c.relname, o.conname), substr(n.nspname,"
      " length($1) + 2), o.conname, pg_get_constraintdef(o.oid), o.convalidated, m.nspname, f.relname from "
      "pg_constraint o join"
      " pg_class c on c.oid = o.conrelid join pg_namespace n on n.oid = c.relnamespace join"
      " pg_class f on f.oid = o.confrelid join pg_namespace m on m.oid = f.relnamespace where o.contype = 'f' and"
      // A key to a partitioned table has one more for each partition, which go and come with it.
      " o.conparentid = 0 and n.nspname ~ ('^' || $1 || '_[0-9]+$') and m.nspname !~ ('^' || $1 || '_[0-9]+$') order "
      "by 1",
      {prefix}));
  std::vector<OutgoingKey> keys;
  for (size_t i = 0; i < rows.size(); i++) {
    TRY(session.exec(std::string(rows.at(i, 0))));
    keys.push_back({number_of(std::string(rows.at(i, 1))),
                    std::string(rows.at(i, 2)),
                    std::string(rows.at(i, 3)),
                    rows.at(i, 4) == "t",
                    {std::string(rows.at(i, 5)), std::string(rows.at(i, 6))}});
  }
  return keys;
}

}  // namespace

Result<TableName> parse_table_name(ServerSession& session, const std::string& text, const std::string& schema) {
  const auto rows = session.exec("select array_length(p, 1), p[1], p[2] from parse_ident($1) p", {text});
  if (rows.ok() && rows.value().size() == 1) {
    if (rows.value().at(0, 0) == "1") return TableName{schema, std::string(rows.value().at(0, 1))};
    if (rows.value().at(0, 0) == "2")
      return TableName{std::string(rows.value().at(0, 1)), std::string(rows.value().at(0, 2))};
  }
  if (!rows.ok() && rows.error().code() != ErrorCode::kServer) return rows.error().clone();
  return make_error(ErrorCode::kUsage, "'{}' is not the name of a table", text)
      .with_hint("name it as SQL does: public.orders, or '\"My Schema\".\"Orders\"'");
}

Result<void> check_database(ServerSession& session, const std::string& database) {
  const auto names = column_of(
      TRY(session.exec("select datname from pg_database where datallowconn and not datistemplate order by 1")));
  for (const std::string& name : names) {
    if (name == database) return {};
  }
  return make_error(ErrorCode::kNotFound, "at that instant there is no database '{}'", database)
      .with_hint(fmt::format("there are: {}", fmt::join(names, ", ")));
}

Result<ExtractNeeds> needs_of_database(ServerSession& session) {
  ExtractNeeds needs;
  take_roles(TRY(session.exec(kRolesOfDatabase)), needs);
  needs.extensions = column_of(TRY(session.exec("select extname from pg_extension order by 1")));
  needs.tablespaces = column_of(TRY(session.exec(kTablespacesOfDatabase)));
  needs.subscriptions = column_of(TRY(
      session.exec("select s.subname from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname ="
                   " current_database() order by 1")));
  needs.unlogged = column_of(TRY(session.exec(std::string(kUnlogged) + " order by 1")));
  needs.bytes = number_of(TRY(session.value("select pg_database_size(current_database())")));
  return needs;
}

Result<ExtractNeeds> needs_of_tables(ServerSession& session, const std::vector<TableName>& tables) {
  std::string numbers;
  for (const TableName& table : tables) {
    numbers += (numbers.empty() ? "{" : ",") + TRY(number_of_table(session, table));
  }
  numbers += "}";
  ExtractNeeds needs;
  take_roles(TRY(session.exec(roles_of_tables(), {numbers})), needs);
  needs.tablespaces = column_of(TRY(session.exec(tablespaces_of_tables(), {numbers})));
  needs.unlogged =
      column_of(TRY(session.exec(std::string(kUnlogged) + " and c.oid = any($1::oid[]) order by 1", {numbers})));
  needs.references = column_of(TRY(session.exec(kReferencesOfTables, {numbers})));
  needs.bytes = number_of(
      TRY(session.value("select coalesce(sum(pg_total_relation_size(o)), 0) from unnest($1::oid[]) o", {numbers})));
  return needs;
}

Result<std::vector<OutgoingKey>> set_tables_aside(ServerSession& session, const std::vector<TableName>& tables,
                                                  const std::string& prefix) {
  // Event triggers of the database must not run: the changes are ours alone.
  TRY(session.exec("set session_replication_role = replica"));
  for (size_t i = 0; i < tables.size(); i++) {
    const std::string schema = fmt::format("{}_{}", prefix, i);
    const std::string from = TRY(session.quote_identifier(tables[i].schema));
    const std::string name = TRY(session.quote_identifier(tables[i].name));
    const std::string owner = TRY(session.value(
        "select quote_ident(pg_get_userbyid(relowner)) from pg_class where oid = $1::regclass", {from + "." + name}));
    TRY(session.exec("create schema " + schema + " authorization " + owner));
    TRY(session.exec("alter table " + from + "." + name + " set schema " + schema));
    const Rows statistics = TRY(session.exec(
        "select format('alter statistics %I.%I set schema " + schema +
            "', n.nspname, e.stxname) from pg_statistic_ext e join pg_namespace n on n.oid = e.stxnamespace where"
            " e.stxrelid = $1::regclass",
        {schema + "." + name}));
    for (const std::string& statement : column_of(statistics)) TRY(session.exec(statement));
  }
  return take_outgoing_keys(session, prefix);
}

Result<std::vector<std::string>> grants_as_revokes(ServerSession& session, const std::string& prefix) {
  return column_of(TRY(session.exec(
      "select format('revoke %s on %s %I.%I from %s', a.privilege_type, case c.relkind when 'S' then 'sequence' else"
      " 'table' end, n.nspname, c.relname, case a.grantee when 0 then 'public' else"
      " quote_ident(pg_get_userbyid(a.grantee)) end) from pg_class c join pg_namespace n on n.oid = c.relnamespace,"
      " aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", "
      "c.relowner))) a"
      " where c.relkind in ('r', 'S') and n.nspname ~ ('^' || $1 || '_[0-9]+$') order by 1",
      {prefix})));
}

}  // namespace holdfast::postgres
