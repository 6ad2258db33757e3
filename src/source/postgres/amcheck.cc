#include "source/postgres/amcheck.h"

#include "source/postgres/sqlstate.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kOwnSchema = "holdfast_amcheck";
constexpr int kVerifyHeapSince = 14;
constexpr size_t kMostFindingsOfTable = 20;

// Tables with TOAST tables behind them, and their valid B-tree indexes.
constexpr const char* kRelations =
    "select c.oid::text, c.oid::regclass::text, i.indexrelid::text, i.indexrelid::regclass::text from pg_class c left"
    " join (select x.* from pg_index x join pg_class k on k.oid = x.indexrelid join pg_am a on a.oid = k.relam where"
    " a.amname = 'btree' and x.indisvalid) i on i.indrelid = c.oid where c.relkind in ('r', 'm', 't') and"
    " c.relpersistence = 'p' and (c.relam = 0 or c.relam = (select oid from pg_am where amname = 'heap')) order by 1, "
    "3";

}  // namespace

Result<std::optional<std::string>> Amcheck::prepare() {
  const Rows there =
      TRY(session_.exec("select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = "
                        "e.extnamespace where e.extname ="
                        " 'amcheck'"));
  if (there.size() == 1) {
    schema_ = there.at(0, 0);
    return std::optional<std::string>();
  }
  const Rows facts =
      TRY(session_.exec("select exists (select from pg_available_extensions where name = 'amcheck'), "
                        "pg_is_in_recovery(), (select rolsuper"
                        " from pg_roles where rolname = current_user)"));
  if (facts.at(0, 0) != "t") return std::optional<std::string>("the server does not have it");
  if (facts.at(0, 1) == "t") return std::optional<std::string>("the server is a standby and the database lacks it");
  if (facts.at(0, 2) != "t")
    return std::optional<std::string>("only a superuser can make it where the database lacks it");
  schema_ = kOwnSchema;
  make_ = true;
  return std::optional<std::string>();
}

Result<void> Amcheck::begin() {
  TRY(session_.exec("begin"));
  if (!make_) return {};
  // Event triggers are for changes that stay.
  TRY(session_.exec("set local session_replication_role = replica; create schema " + schema_ +
                    "; create extension amcheck schema " + schema_));
  return {};
}

Result<Rows> Amcheck::ask(const std::string& sql, const std::string& relation) {
  TRY(session_.exec("savepoint look"));
  auto rows = session_.exec(sql, {relation});
  if (!rows.ok() && !sqlstate_of(rows.error()).empty()) TRY(session_.exec("rollback to look"));
  return rows;
}

Result<bool> Amcheck::is_there(const std::string& relation) {
  return TRY(session_.value("select exists (select from pg_class where oid = $1::oid)::text", {relation})) == "true";
}

Result<uint64_t> Amcheck::run(std::vector<source::VerifyFinding>& findings, std::vector<std::string>& notes) {
  const Rows relations = TRY(session_.exec(kRelations));
  const std::string of_table = "select msg, blkno from " + schema_ +
                               ".verify_heapam(relation => $1::oid::regclass, check_toast => true) limit " +
                               std::to_string(kMostFindingsOfTable);
  const std::string of_index = "select " + schema_ + ".bt_index_check($1::oid::regclass, true)";
  uint64_t checked = 0;
  const auto take = [&](const std::string& object, const std::string& relation, const Error& error) -> Result<void> {
    if (error.code() != ErrorCode::kServer && error.code() != ErrorCode::kPermission) return error.clone();
    // One that was dropped since it was listed can't be opened, which sounds like damage.
    if (!TRY(is_there(relation))) return {};
    const std::string_view state = sqlstate_of(error);
    if (state.starts_with("XX") || state.starts_with("58"))
      findings.push_back({object, error.message()});
    else
      notes.push_back(fmt::format("{} was not checked: {}", object, error.message()));
    return {};
  };
  for (size_t i = 0; i < relations.size(); i++) {
    if (stop_) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
    TRY(begin());
    const bool first = i == 0 || relations.at(i, 0) != relations.at(i - 1, 0);
    if (first && session_.major() >= kVerifyHeapSince) {
      const std::string object = "table " + std::string(relations.at(i, 1));
      const std::string table(relations.at(i, 0));
      const auto wrong = ask(of_table, table);
      checked++;
      if (!wrong.ok()) TRY(take(object, table, wrong.error()));
      for (size_t k = 0; wrong.ok() && k < wrong.value().size(); k++)
        findings.push_back({object, fmt::format("block {}: {}", wrong.value().at(k, 1), wrong.value().at(k, 0))});
    }
    if (!relations.is_null(i, 2)) {
      const std::string index(relations.at(i, 2));
      const auto wrong = ask(of_index, index);
      checked++;
      if (!wrong.ok()) TRY(take("index " + std::string(relations.at(i, 3)), index, wrong.error()));
    }
    TRY(session_.exec("rollback"));
  }
  return checked;
}

}  // namespace holdfast::postgres
