// The last step of an extraction of tables: from schemas of our name to where they belong.
#include <set>

#include "source/postgres/extract_target.h"
#include "source/postgres/sqlstate.h"

namespace holdfast::postgres {
namespace {

// Indexes, owned sequences and extended statistics of a table: what bears a name in its schema.
constexpr const char* kParts =
    "select 'index', n.nspname, c.relname from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n "
    "on"
    " n.oid = c.relnamespace where i.indrelid = $1::regclass"
    " union all select 'sequence', n.nspname, c.relname from pg_depend d join pg_class c on c.oid = d.objid and "
    "c.relkind"
    " = 'S' join pg_namespace n on n.oid = c.relnamespace where d.classid = 'pg_class'::regclass and d.refclassid ="
    " 'pg_class'::regclass and d.refobjid = $1::regclass and d.deptype in ('a', 'i')"
    " union all select 'statistics', n.nspname, e.stxname from pg_statistic_ext e join pg_namespace n on n.oid ="
    " e.stxnamespace where e.stxrelid = $1::regclass order by 1, 3";

struct Part {
  std::string kind, schema, name;
};

// Works within a transaction of the session's.
class TablePlacer {
 public:
  TablePlacer(ServerSession& session, std::string ours, Time now, PlacedReport& report)
      : session_(session), ours_(std::move(ours)), ending_(kept_ending(now)), report_(report) {}

  Result<void> place(size_t index, const TablePlace& table) {
    const std::string schema = own_schema(ours_, index);
    const TableName loaded{schema, table.from.name};
    if (TRY(taken(table.to.schema, table.to.name))) {
      if (!table.in_place) return make_error(ErrorCode::kAlreadyExists, "table {} was made meanwhile", table.to.text());
      TRY(set_away(table.to));
    }
    TRY(make_way_for_parts(loaded, table.to));
    const TableName renamed{schema, table.to.name};
    if (loaded.name != table.to.name) TRY(change("table", loaded, " rename to ", table.to.name));
    const std::vector<Part> parts = TRY(parts_of(renamed));
    TRY(change("table", renamed, " set schema ", table.to.schema));
    for (const Part& part : parts) {
      if (part.kind != "statistics") continue;  // the others go with their table
      TRY(change("statistics", {part.schema, part.name}, " set schema ", table.to.schema));
    }
    TRY(session_.exec("drop schema " + schema));
    return {};
  }

  // What the tables set away refer to is bound by their rows as long as they are kept.
  Result<void> tell_keys_of_kept() {
    const Rows rows = TRY(session_.exec(
        "select format('foreign key %I of %s, which is kept, still binds %s: rows that it refers to can''t be deleted,"
        " or take its rows with them; to end that: alter table %2$s drop constraint %1$I', o.conname,"
        " o.conrelid::regclass, o.confrelid::regclass) from pg_constraint o where o.contype = 'f' and o.conparentid ="
        " 0 and o.conrelid = any ($1::oid[]) and o.confrelid <> all ($1::oid[]) order by 1",
        {"{" + kept_numbers_ + "}"}));
    for (size_t i = 0; i < rows.size(); i++) report_.notes.emplace_back(rows.at(i, 0));
    return {};
  }

 private:
  Result<std::string> quoted(const TableName& name) {
    const std::string schema = TRY(session_.quote_identifier(name.schema));
    return schema + "." + TRY(session_.quote_identifier(name.name));
  }

  // alter KIND OBJECT (rename to | set schema) NAME
  Result<void> change(const std::string& kind, const TableName& object, const char* how, const std::string& name) {
    const std::string from = TRY(quoted(object));
    const std::string to = TRY(session_.quote_identifier(name));
    TRY(session_.exec("alter " + kind + " " + from + how + to));
    return {};
  }

  // Whether a relation, a type or statistics of the schema have the name.
  Result<bool> taken(const std::string& schema, const std::string& name) {
    return TRY(session_.value(
               "select exists (select from pg_namespace n where n.nspname = $1 and (exists (select from pg_class where"
               " relnamespace = n.oid and relname = $2) or exists (select from pg_type where typnamespace = n.oid and"
               " typname = $2) or exists (select from pg_statistic_ext where stxnamespace = n.oid and stxname = $2)))"
               "::text",
               {schema, name})) == "true";
  }

  Result<std::string> free_name(const std::string& schema, const std::string& name, const std::string& ending) {
    std::string candidate = name_with(name, ending);
    for (int i = 2; TRY(taken(schema, candidate)); i++) candidate = name_with(name, fmt::format("{}_{}", ending, i));
    return candidate;
  }

  Result<std::vector<Part>> parts_of(const TableName& table) {
    const std::string name = TRY(quoted(table));
    const Rows rows = TRY(session_.exec(kParts, {name}));
    std::vector<Part> parts;
    for (size_t i = 0; i < rows.size(); i++)
      parts.push_back({std::string(rows.at(i, 0)), std::string(rows.at(i, 1)), std::string(rows.at(i, 2))});
    return parts;
  }

  // Gives a table that is there, and its parts, names that say until when it was that.
  Result<void> set_away(const TableName& old) {
    const std::string name = TRY(quoted(old));
    TRY(session_.exec("lock table " + name + " in access exclusive mode"));
    for (const Part& part : TRY(parts_of(old))) {
      const std::string away = TRY(free_name(part.schema, part.name, ending_));
      TRY(change(part.kind, {part.schema, part.name}, " rename to ", away));
    }
    const std::string free = TRY(free_name(old.schema, old.name, ending_));
    const TableName kept{old.schema, free};
    TRY(tell_references(name, kept));
    kept_numbers_ += (kept_numbers_.empty() ? "" : ",") + TRY(session_.value("select $1::regclass::oid", {name}));
    TRY(change("table", old, " rename to ", kept.name));
    report_.kept.push_back(TRY(session_.value("select format('%I.%I', $1::text, $2::text)", {kept.schema, kept.name})));
    return {};
  }

  // Beside the table that it was its parts can't have their names: these follow the new one's.
  Result<void> make_way_for_parts(const TableName& loaded, const TableName& to) {
    for (const Part& part : TRY(parts_of(loaded))) {
      if (!TRY(taken(to.schema, part.name))) continue;
      const bool follows = part.name.starts_with(loaded.name);
      const std::string rest = follows ? part.name.substr(loaded.name.size()) : "_" + part.name;
      const std::string name = TRY(free_name(to.schema, to.name, rest));
      TRY(change(part.kind, {part.schema, part.name}, " rename to ", name));
    }
    return {};
  }

  // What refers to the old table by its number will go on doing so.
  Result<void> tell_references(const std::string& old, const TableName& kept) {
    const Rows rows = TRY(session_.exec(
        "select format('foreign key %I of %s', o.conname, o.conrelid::regclass) from pg_constraint o where o.contype ="
        " 'f' and o.conparentid = 0 and o.confrelid = $1::regclass and o.conrelid <> o.confrelid and not "
        "starts_with((select nspname from"
        " pg_namespace n join pg_class c on c.relnamespace = n.oid where c.oid = o.conrelid), $2)"
        " union all select distinct format('%s %s', case v.relkind when 'v' then 'view' when 'm' then 'materialized"
        " view' else 'rule of table' end, v.oid::regclass) from pg_depend d join pg_rewrite r on r.oid = d.objid join"
        " pg_class v on v.oid = r.ev_class where d.classid = 'pg_rewrite'::regclass and d.refclassid ="
        " 'pg_class'::regclass and d.refobjid = $1::regclass and v.oid <> $1::regclass"
        " union all select 'publication ' || quote_ident(p.pubname) from pg_publication_rel r join pg_publication p on"
        " p.oid = r.prpubid where r.prrelid = $1::regclass",
        {old, ours_}));
    for (size_t i = 0; i < rows.size(); i++)
      report_.notes.push_back(fmt::format("{} still refers to the old table, now {}", rows.at(i, 0), kept.text()));
    return {};
  }

  ServerSession& session_;
  const std::string ours_, ending_;
  PlacedReport& report_;
  std::string kept_numbers_;  // of the tables set away: "16385,16390"
};

// An outgoing foreign key under the names that hold after the last step.
struct PlacedKey {
  std::string what;    // "orders_customer_fkey of public.orders"
  std::string add;     // statement that makes it
  std::string prove;   // statement that validates it; "" when it was not valid before
  std::string parent;  // the table that it refers to, quoted
};

Result<PlacedKey> placed_key(ServerSession& session, const OutgoingKey& key, const TableName& table) {
  const std::string schema = TRY(session.quote_identifier(table.schema));
  const std::string alter = "alter table " + schema + "." + TRY(session.quote_identifier(table.name));
  const std::string name = TRY(session.quote_identifier(key.name));
  PlacedKey placed;
  placed.what = key.name + " of " + table.text();
  placed.add = alter + " add constraint " + name + " " + key.definition;
  if (key.validated) placed.prove = alter + " validate constraint " + name;
  placed.parent = TRY(session.quote_identifier(key.refers_to.schema)) + ".";
  placed.parent += TRY(session.quote_identifier(key.refers_to.name));
  return placed;
}

// What a key needs may have gone since the instant: a schema, a table, a column, the key
// that it refers to, or its type. No reason not to restore.
bool is_gone(const Error& error) {
  static const std::set<std::string_view> kGone = {"3F000", "42P01", "42703", "42830", "42804", "42809"};
  return kGone.contains(sqlstate_of(error));
}

// Locks what the keys will refer to while nothing else is held: most write to the parent
// first, and would wait for us while we wait for them.
Result<void> lock_parents(ServerSession& session, const std::vector<PlacedKey>& keys) {
  std::set<std::string> parents;
  for (const PlacedKey& key : keys) parents.insert(key.parent);
  for (const std::string& parent : parents) {
    TRY(session.exec("savepoint before_lock"));
    const auto locked = session.exec("lock table " + parent + " in share row exclusive mode");
    if (locked.ok()) continue;
    if (!is_gone(locked.error())) return locked.error().clone().with_context("locking what a foreign key refers to");
    TRY(session.exec("rollback to savepoint before_lock"));
  }
  return {};
}

// Makes a key, within the transaction that places its table: before, it would bind the
// table that it refers to for a restore that may yet fail.
Result<void> make_key(ServerSession& session, PlacedKey& key, PlacedReport& report) {
  TRY(session.exec("savepoint before_key"));
  const auto made = session.exec(key.add + (key.prove.empty() ? "" : " NOT VALID"));
  if (made.ok()) return {};
  if (!is_gone(made.error())) return made.error().clone().with_context("making foreign key " + key.what);
  TRY(session.exec("rollback to savepoint before_key"));
  report.notes.push_back(
      fmt::format("foreign key {} is left out: {}; to make it: {}", key.what, made.error().message(), key.add));
  key.prove.clear();
  return {};
}

// Rows that a key refers to may have gone since the instant.
void prove_key(ServerSession& session, const PlacedKey& key, PlacedReport& report) {
  if (key.prove.empty()) return;
  const auto proven = session.exec(key.prove);
  if (!proven.ok())
    report.notes.push_back(fmt::format("foreign key {} is left NOT VALID: {}; to prove it: {}", key.what,
                                       proven.error().message(), key.prove));
}

// The keys of tables that go in place of others. One beside would keep the application from
// deleting what its rows refer to, or go empty with it.
Result<std::vector<PlacedKey>> keys_to_make(ServerSession& session, const std::vector<TablePlace>& tables,
                                            const std::vector<OutgoingKey>& keys, PlacedReport& report) {
  std::vector<PlacedKey> wanted;
  for (const OutgoingKey& key : keys) {
    const TablePlace& table = tables.at(key.table);
    PlacedKey placed = TRY(placed_key(session, key, table.to));
    if (table.in_place) {
      wanted.push_back(std::move(placed));
    } else {
      report.notes.push_back(
          fmt::format("foreign key {} is not made, for it would bind the table that it refers to; to make it: {}",
                      placed.what, placed.add));
    }
  }
  return wanted;
}

}  // namespace

Result<PlacedReport> ExtractTarget::place_tables(const std::string& database, const std::vector<TablePlace>& tables,
                                                 const std::vector<OutgoingKey>& keys, Time now, Duration deadline) {
  PlacedReport report;
  auto session = TRY(connect(database, deadline));
  std::vector<PlacedKey> wanted = TRY(keys_to_make(*session, tables, keys, report));
  TRY(session->exec("begin"));
  TRY(lock_parents(*session, wanted));
  TablePlacer placer(*session, ours_, now, report);
  for (size_t i = 0; i < tables.size(); i++) TRY(placer.place(i, tables[i]));
  TRY(placer.tell_keys_of_kept());
  for (PlacedKey& key : wanted) TRY(make_key(*session, key, report));
  TRY(session->exec("commit"));
  for (const PlacedKey& key : wanted) prove_key(*session, key, report);
  return report;
}

}  // namespace holdfast::postgres
