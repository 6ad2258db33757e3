#include "source/postgres/inventory.h"

#include <mutex>

#include "base/parallel.h"

namespace holdfast::postgres {
namespace {

// The schemas looked at, and what is an extension's: its members, their indexes, and the
// relations of its composite types. $1: prefix of the schemas' names.
constexpr const char* kCommon =
    "with s as (select n.* from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
    " and starts_with(n.nspname, $1)),"
    " e as (select classid, objid from pg_depend where deptype = 'e'"
    " union all select d.classid, i.indexrelid from pg_depend d join pg_index i on i.indrelid = d.objid where d.deptype"
    " = 'e' and d.classid = 'pg_class'::regclass"
    " union all select 'pg_class'::regclass, y.typrelid from pg_depend d join pg_type y on y.oid = d.objid where"
    " d.deptype = 'e' and d.classid = 'pg_type'::regclass and y.typrelid <> 0)";

// Grants as text: grantors are left out, since what an owner's role gave is given anew by the owner.
std::string grants(const std::string& acl, const std::string& kind, const std::string& owner) {
  return "(select string_agg(g, ',' order by g) from (select distinct case a.grantee when 0 then 'public' else"
         " pg_get_userbyid(a.grantee) end || '=' || a.privilege_type || case when a.is_grantable then '*' else '' end"
         " as g from aclexplode(coalesce(" +
         acl + ", acldefault(" + kind + ", " + owner + "))) a) b)";
}

std::string relations_query() {
  return std::string(kCommon) +
         " select case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'"
         " when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' when 'c' then"
         " 'type' else 'index' end || ' ' || format('%I.%I', s.nspname, c.relname),"
         " concat_ws('; ', 'owner ' || pg_get_userbyid(c.relowner), case when c.relkind not in ('i', 'I', 'c') then"
         " 'grants ' || " +
         grants("c.relacl", "case c.relkind when 'S' then 's' else 'r' end::\"char\"", "c.relowner") +
         " end, case when c.relkind not in ('i', 'I', 'S') then 'columns ' || (select string_agg(quote_ident(a.attname)"
         " || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end ||"
         " coalesce(' ' || (select string_agg(x::text, ' ' order by x::text) from unnest(a.attacl) x), ''), ', '"
         " order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)"
         " end, case when c.relrowsecurity then 'row security' end, case c.relpersistence when 'u' then 'unlogged' end)"
         " from pg_class c join s on s.oid = c.relnamespace where c.relkind not in ('t')"
         " and not exists (select from pg_index i where i.indexrelid = c.oid and not i.indisvalid)"
         " and not exists (select from e where e.classid = 'pg_class'::regclass and e.objid = c.oid)";
}

// Of tables: constraints, triggers, policies; then functions and schemas.
std::string parts_query() {
  return std::string(kCommon) +
         ", t as (select c.oid, format('%I.%I', s.nspname, c.relname) as name from pg_class c join s on s.oid ="
         " c.relnamespace where not exists (select from e where e.classid = 'pg_class'::regclass and e.objid = c.oid))"
         " select 'constraint ' || quote_ident(o.conname) || ' of ' || t.name, o.contype::text || case when"
         " o.convalidated then '' else ' not valid' end from pg_constraint o join t on t.oid = o.conrelid where"
         " o.contype <> 'n'"
         " union all select 'trigger ' || quote_ident(g.tgname) || ' of ' || t.name, g.tgenabled::text from pg_trigger "
         "g"
         " join t on t.oid = g.tgrelid where not g.tgisinternal"
         " union all select 'policy ' || quote_ident(p.polname) || ' of ' || t.name, p.polcmd::text from pg_policy p"
         " join t on t.oid = p.polrelid"
         " union all select 'function ' || format('%I.%I(%s)', s.nspname, p.proname,"
         " pg_get_function_identity_arguments(p.oid)), 'owner ' || pg_get_userbyid(p.proowner) || '; grants ' ||"
         " coalesce(" +
         grants("p.proacl", "'f'", "p.proowner") +
         ", '') from pg_proc p join s on s.oid = p.pronamespace where not exists (select from e where e.classid ="
         " 'pg_proc'::regclass and e.objid = p.oid)"
         " union all select 'schema ' || quote_ident(s.nspname), 'owner ' || pg_get_userbyid(s.nspowner) || '; grants '"
         " || coalesce(" +
         grants("s.nspacl", "'n'", "s.nspowner") +
         ", '') from s where not exists (select from e where e.classid = 'pg_namespace'::regclass and e.objid = s.oid)";
}

std::string whole_query() {
  return "select 'extension ' || quote_ident(extname), 'there' from pg_extension"
         " union all select 'large objects of ' || pg_get_userbyid(lomowner), count(*)::text from"
         " pg_largeobject_metadata group by lomowner"
         " union all select 'database', concat_ws('; ', 'owner ' || pg_get_userbyid(d.datdba), 'encoding ' ||"
         " pg_encoding_to_char(d.encoding), 'collate ' || d.datcollate, 'ctype ' || d.datctype, 'limit ' ||"
         " d.datconnlimit, 'grants ' || " +
         grants("d.datacl", "'d'", "d.datdba") +
         ") from pg_database d where d.datname = current_database()"
         " union all select 'setting of ' || case r.setrole when 0 then 'all' else pg_get_userbyid(r.setrole) end,"
         " (select string_agg(u, ', ' order by u) from unnest(r.setconfig) u) from pg_db_role_setting r join"
         " pg_database d on d.oid = r.setdatabase where d.datname = current_database()";
}

constexpr const char* kLargeObjects =
    "select 'content of large objects', count(*)::text || ' pages, ' || coalesce(sum(length(data)), 0)::text || ' "
    "bytes'"
    " from pg_largeobject";

void add(const Rows& rows, Inventory& inventory) {
  for (size_t i = 0; i < rows.size(); i++) inventory[std::string(rows.at(i, 0))] = rows.at(i, 1);
}

// What is read relation by relation: rows of tables, values of sequences.
struct Counted {
  std::string key, name;
  bool sequence = false;
};

class Taker {
 public:
  Taker(const Connection& connection, const InventoryOptions& options) : connection_(connection), options_(options) {}

  Result<Inventory> take() {
    auto session = TRY(connect());
    add(TRY(session->exec(relations_query(), {options_.schema_prefix})), inventory_);
    add(TRY(session->exec(parts_query(), {options_.schema_prefix})), inventory_);
    if (options_.schema_prefix.empty()) add(TRY(session->exec(whole_query())), inventory_);
    if (options_.large_objects) add(TRY(session->exec(kLargeObjects)), inventory_);
    TRY(list_counted(*session));
    session.reset();
    const size_t threads = std::max<size_t>(options_.threads, 1);
    TRY(parallel_for(threads, threads, [&](size_t) { return count(); }));
    return std::move(inventory_);
  }

 private:
  Result<std::unique_ptr<ServerSession>> connect() const {
    SessionOptions options;
    options.database = options_.database;
    options.deadline = options_.deadline;
    options.stop = options_.stop;
    return ServerSession::connect(connection_, options);
  }

  Result<void> list_counted(ServerSession& session) {
    const Rows rows = TRY(session.exec(
        std::string(kCommon) +
            " select format('%I.%I', s.nspname, c.relname), c.relkind from pg_class c join s on s.oid = c.relnamespace"
            " where (c.relkind in ('r', 'S') or c.relkind = 'm' and c.relispopulated)"
            " and not exists (select from e where e.classid = 'pg_class'::regclass and e.objid = c.oid)"
            " order by pg_relation_size(c.oid) desc",
        {options_.schema_prefix}));
    for (size_t i = 0; i < rows.size(); i++) {
      const std::string name(rows.at(i, 0));
      const bool sequence = rows.at(i, 1) == "S";
      counted_.push_back({(sequence ? "value of sequence " : "rows of ") + name, name, sequence});
    }
    return {};
  }

  // One session takes one relation after the other, the largest first.
  Result<void> count() {
    auto session = TRY(connect());
    TRY(session->exec("set row_security = off"));
    while (true) {
      const Counted* item = nullptr;
      {
        std::lock_guard lock(mutex_);
        if (next_ == counted_.size()) return {};
        item = &counted_[next_++];
      }
      const std::string what =
          item->sequence ? "last_value || case when is_called then ', used' else '' end" : "count(*)::text";
      std::string value =
          TRY_CONTEXT(session->value("select " + what + " from " + item->name), "reading {}", item->name);
      std::lock_guard lock(mutex_);
      inventory_[item->key] = std::move(value);
    }
  }

  const Connection& connection_;
  const InventoryOptions& options_;
  std::mutex mutex_;
  Inventory inventory_;
  std::vector<Counted> counted_;
  size_t next_ = 0;
};

}  // namespace

Result<Inventory> take_inventory(const Connection& connection, const InventoryOptions& options) {
  return Taker(connection, options).take();
}

std::vector<std::string> differences(const Inventory& wanted, const Inventory& found, size_t limit) {
  std::vector<std::string> lines;
  size_t more = 0;
  const auto tell = [&](std::string line) {
    if (lines.size() < limit)
      lines.push_back(std::move(line));
    else
      more++;
  };
  for (const auto& [object, value] : wanted) {
    const auto there = found.find(object);
    if (there == found.end())
      tell(fmt::format("{}: is missing", object));
    else if (there->second != value)
      tell(fmt::format("{}: {}, not {}", object, there->second, value));
  }
  for (const auto& [object, value] : found) {
    if (!wanted.contains(object)) tell(fmt::format("{}: is there and should not be", object));
  }
  if (more > 0) lines.push_back(fmt::format("and {} more", more));
  return lines;
}

}  // namespace holdfast::postgres
