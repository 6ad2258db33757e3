#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/random.h"
#include "source/postgres/connection.h"
#include "source/postgres/extract_source.h"

namespace holdfast::postgres {

// "holdfast_restoring_0123456789abcdef_2": the schema that a table is loaded into.
std::string own_schema(const std::string& ours, size_t table);

// What is put where: the last step of an extraction of tables.
struct TablePlace {
  TableName from;         // as it was
  TableName to;           // as it will be
  bool in_place = false;  // what is there is renamed and kept
};

// What the last step has done.
struct PlacedReport {
  std::vector<std::string> kept;   // what was there, under the names that it has now, as SQL writes them
  std::vector<std::string> notes;  // what refers to it still, keys that were left out or NOT VALID
};

// Bytes of the live server's file systems.
struct LiveRoom {
  uint64_t free = 0;                 // where its data directory is
  std::optional<uint64_t> wal_free;  // where pg_wal is, if that is another
  uint64_t wal = 0;                  // what loading adds to pg_wal at most
};

// The server that an extraction goes into, which lives and serves meanwhile. All that is
// made there before the last step has a name of ours: "holdfast_restoring_" and 16
// hexadecimal digits, which the administrating session has as its application_name: where
// no session has it, its maker is dead. Not thread-safe.
class ExtractTarget {
 public:
  // Connects to a database other than `database`, which may have to be renamed.
  // kUnavailable, kPermission; kRefused for a server in recovery.
  static Result<std::unique_ptr<ExtractTarget>> open(const Connection& connection, const std::string& database,
                                                     Random& random);

  const std::string& ours() const { return ours_; }
  const std::string& maintenance() const { return maintenance_; }  // the database that we are connected to
  std::string loader() const { return ours_ + "_load"; }           // application_name of pg_restore
  int major() const { return admin_->major(); }
  bool superuser() const { return superuser_; }
  ServerSession& session() { return *admin_; }

  // Drops what the dead have left in any database of the server, and their roles. What
  // can't be dropped is logged, and left for the next time. Returns what was dropped.
  Result<std::vector<std::string>> sweep();

  // kPermission when the account can't make a database, or objects that belong to `owners`.
  Result<void> check_rights(const std::vector<std::string>& owners);
  Result<bool> has_database(const std::string& database);
  // What is connected to it, the server's own workers too: "2 sessions of app (psql)".
  Result<std::vector<std::string>> sessions_on(const std::string& database);
  // "prepared transaction 'x' of app": it keeps the database in use, and no session of its
  // need be there to be ended.
  Result<std::vector<std::string>> prepared_on(const std::string& database);
  // Logical replication slots of it, active or not: quoted as a literal.
  Result<std::vector<std::string>> slots_of(const std::string& database);
  Result<std::vector<std::string>> lacking_roles(const std::vector<std::string>& roles);
  Result<std::vector<std::string>> lacking_extensions(const std::vector<std::string>& extensions);
  Result<std::vector<std::string>> lacking_tablespaces(const std::vector<std::string>& tablespaces);
  // Those of a database that are enabled, as SQL writes their names.
  Result<std::vector<std::string>> event_triggers(const std::string& database);
  // What loading so many bytes finds where the server keeps its data; empty when that is not
  // on this machine or does not let itself be looked at.
  Result<std::optional<LiveRoom>> room_for(uint64_t bytes, FileSystem& fs);

  // NOLOGIN, without attributes; marked as ours until keep_roles().
  Result<void> create_roles(const std::vector<std::string>& roles);
  Result<void> keep_roles();

  // A session in `database`. `deadline`: of its statements.
  Result<std::unique_ptr<ServerSession>> connect(const std::string& database, Duration deadline,
                                                 const std::atomic<bool>* stop = nullptr);

  // Gives the database of our name the name asked for, in one transaction with renaming
  // what has it now (`replace`). kRefused while others are connected to that, unless
  // `end_sessions`; kAlreadyExists without `replace`.
  Result<PlacedReport> place_database(const std::string& database, bool replace, bool end_sessions, Time now);
  // Puts tables that were loaded into schemas of our name where they belong, in one
  // transaction, and makes the outgoing foreign keys of those in place of others in it.
  // After it the keys are proven: from the commit on nothing is an error, only a note.
  Result<PlacedReport> place_tables(const std::string& database, const std::vector<TablePlace>& tables,
                                    const std::vector<OutgoingKey>& keys, Time now, Duration deadline);

  // Drops what this extraction has made so far. `database`: where schemas of ours are, one
  // for each of `tables`; "" when a database is ours.
  Result<void> drop_ours(const std::string& database, size_t tables);

 private:
  ExtractTarget(const Connection& connection, std::string ours) : connection_(connection), ours_(std::move(ours)) {}
  Result<void> look();
  Result<std::vector<std::string>> list(const std::string& sql, const std::vector<std::string>& parameters = {});
  Result<void> sweep_schemas(const std::string& database, std::vector<std::string>& swept);
  Result<void> swap_databases(const std::string& database, const std::string& kept, bool end_sessions);
  Result<std::string> free_database_name(const std::string& database, Time now);

  const Connection& connection_;
  const std::string ours_;
  std::string maintenance_;
  std::unique_ptr<ServerSession> admin_;
  bool superuser_ = false;
  std::vector<std::string> roles_made_;
};

// `name` with `ending`, cut to the 63 bytes that PostgreSQL keeps of a name, between characters.
std::string name_with(const std::string& name, const std::string& ending);
// "_before_20260301_093000", UTC.
std::string kept_ending(Time now);

}  // namespace holdfast::postgres
