#include "source/postgres/extract_target.h"

#include <cstdlib>

#include "base/log.h"
#include "source/postgres/sqlstate.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kOursBegins = "holdfast_restoring_";
constexpr size_t kOursBytes = 35;  // with 16 digits
constexpr size_t kLongestName = 63;
constexpr const char* kRoleMark = "made by holdfast for ";
constexpr int kMostSwaps = 10;  // sessions may come back between being ended and the lock
// Names of ours whose maker is dead: no session has the name.
constexpr const char* kDead = "not exists (select from pg_stat_activity where application_name = ";

uint64_t number_of(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

bool in_use(const Error& error) { return sqlstate_of(error) == "55006"; }

Error still_used(const std::string& database, const std::vector<std::string>& sessions) {
  return make_error(ErrorCode::kRefused, "database '{}' is in use and can't be renamed: {}", database,
                    sessions.empty() ? "a session" : fmt::format("{}", fmt::join(sessions, ", ")))
      .with_hint("end these sessions, or let --end-sessions do it at the last moment");
}

}  // namespace

std::string own_schema(const std::string& ours, size_t table) { return fmt::format("{}_{}", ours, table); }

std::string name_with(const std::string& name, const std::string& ending) {
  size_t size = std::min(name.size(), kLongestName - std::min(ending.size(), kLongestName));
  while (size > 0 && size < name.size() && (static_cast<unsigned char>(name[size]) & 0xc0) == 0x80) size--;
  return name.substr(0, size) + ending;
}

std::string kept_ending(Time now) {
  std::string digits;
  for (const char c : format_rfc3339(now)) {
    if (c == '.') break;
    if (c == 'T') digits += '_';
    if (c >= '0' && c <= '9') digits += c;
  }
  return "_before_" + digits;
}

Result<std::unique_ptr<ExtractTarget>> ExtractTarget::open(const Connection& connection, const std::string& database,
                                                           Random& random) {
  std::unique_ptr<ExtractTarget> target(
      new ExtractTarget(connection, fmt::format("{}{:016x}", kOursBegins, random.u64())));
  SessionOptions options;
  options.application_name = target->ours_;
  std::optional<Error> failure;
  for (const char* place : {"postgres", "", "template1"}) {
    if (!database.empty() && place == database) continue;
    options.database = place;
    auto session = ServerSession::connect(connection, options);
    if (!session.ok()) {
      // A server that is away is away for every database.
      if (session.error().code() == ErrorCode::kUnavailable) return std::move(session).error();
      if (!failure) failure = std::move(session).error();
      continue;
    }
    target->maintenance_ = TRY(session.value()->value("select current_database()"));
    if (target->maintenance_ == database) continue;
    target->admin_ = std::move(session).value();
    TRY(target->look());
    return target;
  }
  if (failure) return std::move(*failure);
  return make_error(ErrorCode::kNotFound, "there is no database beside '{}' to connect to", database);
}

Result<void> ExtractTarget::look() {
  TRY(admin_->exec("set lock_timeout = '5s'"));
  const Rows rows =
      TRY(admin_->exec("select pg_is_in_recovery(), (select rolsuper from pg_roles where rolname = current_user)"));
  if (rows.at(0, 0) == "t")
    return make_error(ErrorCode::kRefused, "the server is a standby, which can't be written to")
        .with_hint("name its primary with --server");
  superuser_ = rows.at(0, 1) == "t";
  return {};
}

Result<std::vector<std::string>> ExtractTarget::list(const std::string& sql,
                                                     const std::vector<std::string>& parameters) {
  const Rows rows = TRY(admin_->exec(sql, parameters));
  std::vector<std::string> values;
  for (size_t i = 0; i < rows.size(); i++) values.emplace_back(rows.at(i, 0));
  return values;
}

// ---- what the dead have left

Result<void> ExtractTarget::sweep_schemas(const std::string& database, std::vector<std::string>& swept) {
  auto session = TRY(connect(database, Duration::seconds(120)));
  const Rows schemas = TRY(
      session->exec(fmt::format("select nspname from pg_namespace where nspname ~ '^{}[0-9a-f]{{16}}_[0-9]+$' and {}"
                                "left(nspname, {}))",
                                kOursBegins, kDead, kOursBytes)));
  for (size_t i = 0; i < schemas.size(); i++) {
    const std::string name(schemas.at(i, 0));
    const std::string quoted = TRY(session->quote_identifier(name));
    TRY(session->exec("drop schema " + quoted + " cascade"));
    swept.push_back(fmt::format("schema {} in database {}", name, database));
  }
  return {};
}

Result<std::vector<std::string>> ExtractTarget::sweep() {
  std::vector<std::string> swept;
  const auto note = [](const std::string& what, const Error& error) {
    log_warn("postgres.extract.not_swept", {{"what", what}, {"error", error.text()}});
  };
  // A pg_restore that outlived its holdfast.
  TRY(
      admin_->exec(fmt::format("select pg_terminate_backend(pid) from pg_stat_activity a where application_name ~"
                               " '^{}[0-9a-f]{{16}}_load$' and not exists (select from pg_stat_activity where"
                               " application_name = left(a.application_name, {}))",
                               kOursBegins, kOursBytes)));
  for (const std::string& name :
       TRY(list(fmt::format("select datname from pg_database where datname ~ '^{}[0-9a-f]{{16}}$' and {}datname)",
                            kOursBegins, kDead)))) {
    const std::string quoted = TRY(admin_->quote_identifier(name));
    auto dropped = admin_->exec("drop database if exists " + quoted + " with (force)");
    if (dropped.ok())
      swept.push_back("database " + name);
    else
      note(name, dropped.error());
  }
  for (const std::string& name : TRY(list("select datname from pg_database where datallowconn and datname <>"
                                          " 'template1' and datname !~ '^holdfast_restoring_'"))) {
    if (auto done = sweep_schemas(name, swept); !done.ok()) note("database " + name, done.error());
  }
  for (const std::string& role : TRY(list(
           fmt::format("select rolname from pg_roles r where shobj_description(oid, 'pg_authid') ~ '^{0}{1}' and {2}"
                       "substr(shobj_description(r.oid, 'pg_authid'), {3}))",
                       kRoleMark, kOursBegins, kDead, std::string_view(kRoleMark).size() + 1)))) {
    const std::string quoted = TRY(admin_->quote_identifier(role));
    if (admin_->exec("drop role " + quoted).ok()) {
      swept.push_back("role " + role);
    } else if (auto kept = admin_->exec("comment on role " + quoted + " is null"); !kept.ok()) {
      note("role " + role, kept.error());  // it owns what was restored: it stays
    }
  }
  return swept;
}

// ---- looking

Result<void> ExtractTarget::check_rights(const std::vector<std::string>& owners) {
  if (superuser_) return {};
  constexpr const char* kHint =
      "name an account with more rights: --server 'host=... user=...', its password in PGPASSWORD or ~/.pgpass";
  const Rows rows = TRY(admin_->exec("select rolcreatedb, rolname from pg_roles where rolname = current_user"));
  if (rows.at(0, 0) != "t")
    return make_error(ErrorCode::kPermission, "role '{}' may not create databases on the server", rows.at(0, 1))
        .with_hint(kHint);
  std::vector<std::string> others;
  for (const std::string& role : owners) {
    const auto member = TRY(list("select pg_has_role(oid, 'member')::text from pg_roles where rolname = $1", {role}));
    if (!member.empty() && member.front() != "true") others.push_back(role);
  }
  if (others.empty()) return {};
  return make_error(ErrorCode::kPermission, "role '{}' is no member of {}, to whom what is restored belongs",
                    rows.at(0, 1), fmt::join(others, ", "))
      .with_hint(kHint);
}

Result<std::vector<std::string>> ExtractTarget::event_triggers(const std::string& database) {
  constexpr Duration kDeadline = Duration::seconds(30);
  auto session = TRY(connect(database, kDeadline));
  const Rows rows =
      TRY(session->exec("select quote_ident(evtname) from pg_event_trigger where evtenabled <> 'D' order by 1"));
  std::vector<std::string> names;
  for (size_t i = 0; i < rows.size(); i++) names.emplace_back(rows.at(i, 0));
  return names;
}

Result<bool> ExtractTarget::has_database(const std::string& database) {
  return !TRY(list("select 1 from pg_database where datname = $1", {database})).empty();
}

Result<std::vector<std::string>> ExtractTarget::sessions_on(const std::string& database) {
  return list(
      "select count(*) || ' ' || kind || case count(*) when 1 then '' else 's' end || ' of ' || coalesce(usename, '?')"
      " || case when coalesce(application_name, '') = '' then '' else ' (' || application_name || ')' end from (select"
      // Of others' sessions the type is hidden from accounts without pg_read_all_stats; an
      // autovacuum worker, which yields to us, is then known by having no user.
      " case when coalesce(backend_type, 'client backend') = 'client backend' then 'session' else backend_type end as"
      " kind, usename, application_name from pg_stat_activity where datname = $1 and backend_type is distinct from"
      " 'autovacuum worker' and not (backend_type is null and usesysid is null)) a"
      " group by kind, usename, application_name order by count(*) desc limit 10",
      {database});
}

Result<std::vector<std::string>> ExtractTarget::prepared_on(const std::string& database) {
  return list(
      "select 'prepared transaction ' || quote_literal(gid) || ' of ' || owner from pg_prepared_xacts where database ="
      " $1 order by prepared limit 10",
      {database});
}

Result<std::vector<std::string>> ExtractTarget::slots_of(const std::string& database) {
  return list("select quote_literal(slot_name) from pg_replication_slots where database = $1 order by 1", {database});
}

namespace {

std::string array_of(const std::vector<std::string>& values) {
  std::string text = "{";
  for (const std::string& value : values) {
    text += text.size() == 1 ? "\"" : ",\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + "}";
}

}  // namespace

Result<std::vector<std::string>> ExtractTarget::lacking_roles(const std::vector<std::string>& roles) {
  return list("select r from unnest($1::text[]) r where not exists (select from pg_roles where rolname = r) order by 1",
              {array_of(roles)});
}

Result<std::vector<std::string>> ExtractTarget::lacking_extensions(const std::vector<std::string>& extensions) {
  return list(
      "select e from unnest($1::text[]) e where not exists (select from pg_available_extensions where name = e) order"
      " by 1",
      {array_of(extensions)});
}

Result<std::vector<std::string>> ExtractTarget::lacking_tablespaces(const std::vector<std::string>& tablespaces) {
  return list(
      "select t from unnest($1::text[]) t where not exists (select from pg_tablespace where spcname = t) order by 1",
      {array_of(tablespaces)});
}

// A server that we reach by a socket of this machine, whose directory is what it says. Of the
// WAL a checkpoint removes what is above max_wal_size, but nothing that the archiver or a slot
// still needs, and both may be slower than the load.
Result<std::optional<LiveRoom>> ExtractTarget::room_for(uint64_t bytes, FileSystem& fs) {
  if (TRY(admin_->value("select (inet_server_addr() is null)::text")) != "true") return std::optional<LiveRoom>();
  const auto directory = admin_->value("select setting from pg_settings where name = 'data_directory'");
  if (!directory.ok() || directory.value().empty()) return std::optional<LiveRoom>();
  const auto free = fs.free_bytes(directory.value());
  if (!free.ok()) return std::optional<LiveRoom>();
  LiveRoom room;
  room.free = *free;
  room.wal = number_of(TRY(admin_->value(
      "select case when current_setting('archive_mode') <> 'off' or exists (select from pg_replication_slots) then"
      " $1::bigint else least($1::bigint, greatest(pg_size_bytes(current_setting('max_wal_size')),"
      " pg_size_bytes(current_setting('wal_keep_size')))) end",
      {std::to_string(bytes)})));
  const std::string wal = join_path(*directory, "pg_wal/.");  // it may be a link
  const auto data_place = fs.stat(*directory), wal_place = fs.stat(wal);
  const auto wal_free = fs.free_bytes(wal);
  if (data_place.ok() && wal_place.ok() && wal_free.ok() && data_place->st_dev != wal_place->st_dev)
    room.wal_free = *wal_free;
  return std::optional(room);
}

// ---- making, and taking back

Result<void> ExtractTarget::create_roles(const std::vector<std::string>& roles) {
  for (const std::string& role : roles) {
    const std::string name = TRY(admin_->quote_identifier(role));
    TRY(admin_->exec("begin"));
    auto made = admin_->exec("create role " + name + " nologin; comment on role " + name + " is '" + kRoleMark + ours_ +
                             "'; commit");
    if (!made.ok()) {
      ignore(admin_->exec("rollback"), "the statement's own error is what counts");
      return std::move(made).error().with_context("making role '" + role + "'");
    }
    roles_made_.push_back(role);
  }
  return {};
}

Result<void> ExtractTarget::keep_roles() {
  for (const std::string& role : roles_made_) {
    const std::string name = TRY(admin_->quote_identifier(role));
    TRY(admin_->exec("comment on role " + name + " is null"));
  }
  roles_made_.clear();
  return {};
}

Result<std::unique_ptr<ServerSession>> ExtractTarget::connect(const std::string& database, Duration deadline,
                                                              const std::atomic<bool>* stop) {
  SessionOptions options;
  options.database = database;
  options.deadline = deadline;
  options.stop = stop;
  auto session = TRY(ServerSession::connect(connection_, options));
  TRY(session->exec("set lock_timeout = '5s'"));
  return session;
}

Result<void> ExtractTarget::drop_ours(const std::string& database, size_t tables) {
  TRY(admin_->exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", {loader()}));
  TRY(admin_->exec("drop database if exists " + ours_ + " with (force)"));
  if (!database.empty()) {
    auto session = TRY(connect(database, Duration::seconds(120)));
    // By their numbers: a name that only begins as ours do is somebody else's.
    for (size_t i = 0; i < tables; i++)
      TRY(session->exec("drop schema if exists " + own_schema(ours_, i) + " cascade"));
  }
  for (const std::string& role : roles_made_) {
    const std::string name = TRY(admin_->quote_identifier(role));
    TRY(admin_->exec("drop role if exists " + name));
  }
  roles_made_.clear();
  return {};
}

// ---- the last step, of a database

Result<std::string> ExtractTarget::free_database_name(const std::string& database, Time now) {
  std::string name = name_with(database, kept_ending(now));
  for (int i = 2; TRY(has_database(name)); i++) name = name_with(database, fmt::format("{}_{}", kept_ending(now), i));
  return name;
}

Result<void> ExtractTarget::swap_databases(const std::string& database, const std::string& kept, bool end_sessions) {
  const std::string name = TRY(admin_->quote_identifier(database));
  const std::string kept_name = TRY(admin_->quote_identifier(kept));
  TRY(admin_->exec("begin"));
  auto done = [&]() -> Result<void> {
    if (!kept.empty()) {
      if (end_sessions)
        TRY(admin_->exec("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", {database}));
      TRY(admin_->exec("alter database " + name + " rename to " + kept_name));
    }
    TRY(admin_->exec("alter database " + ours_ + " rename to " + name));
    TRY(admin_->exec("commit"));
    return {};
  }();
  if (!done.ok()) ignore(admin_->exec("rollback"), "the statement's own error is what counts");
  return done;
}

Result<PlacedReport> ExtractTarget::place_database(const std::string& database, bool replace, bool end_sessions,
                                                   Time now) {
  PlacedReport report;
  std::string kept;
  if (TRY(has_database(database))) {
    if (!replace) return make_error(ErrorCode::kAlreadyExists, "database '{}' was made meanwhile", database);
    kept = TRY(free_database_name(database, now));
    report.kept.push_back(TRY(admin_->value("select quote_ident($1)", {kept})));
  }
  for (int turn = 1;; turn++) {
    auto swapped = swap_databases(database, kept, end_sessions);
    if (swapped.ok()) break;
    if (!in_use(swapped.error())) return std::move(swapped).error();
    const auto prepared = TRY(prepared_on(database));
    if (!prepared.empty()) return still_used(database, prepared);
    if (!end_sessions || turn == kMostSwaps) return still_used(database, TRY(sessions_on(database)));
  }
  return report;
}

}  // namespace holdfast::postgres
