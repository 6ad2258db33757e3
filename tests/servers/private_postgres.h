#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/postgres/connection.h"

namespace holdfast::servers {

// The directory of initdb and postgres of a major: Debian's, or what
// scripts/servers fetched. Empty when there is none.
std::optional<std::string> find_postgres(int major);
// Debian's newest directory of client programs (psql, pg_amcheck, pgbench).
std::string client_directory();
// Those of 13 to 18 that find_postgres() knows, ascending.
std::vector<int> postgres_majors();

struct PostgresOptions {
  int major = 15;
  bool checksums = true;
  int wal_segment_mib = 16;
  // Written to postgresql.auto.conf's place in line: the command line of the server.
  std::map<std::string, std::string> settings;
};

// A PostgreSQL server of the test's own, in a directory that the caller gives and
// keeps: no TCP, its socket in a directory beside the data, trust authentication,
// superuser `postgres`, fsync off unless set. Runs as the servers' user. Stopped
// at once by the destructor. Not thread-safe.
class PrivatePostgres {
 public:
  // initdb in `data_directory`, which must not exist. Does not start.
  static Result<std::unique_ptr<PrivatePostgres>> create(const std::string& data_directory,
                                                         const PostgresOptions& options = {});
  // Takes a data directory that exists (one that was restored).
  static Result<std::unique_ptr<PrivatePostgres>> adopt(const std::string& data_directory,
                                                        const PostgresOptions& options = {});
  ~PrivatePostgres();

  // Starts and waits until it accepts a connection. When the server ends instead,
  // the error holds the last lines of its log.
  Result<void> start(Duration deadline = Duration::seconds(300));
  // start(), then waits until recovery is over and the server takes writes.
  Result<void> start_and_promote(Duration deadline = Duration::seconds(300));
  Result<void> stop();          // fast shutdown, with a checkpoint
  Result<void> stop_at_once();  // immediate shutdown: no checkpoint
  // SIGKILL to the postmaster and every child; returns when all are gone, and their shared
  // memory, which a machine's end would have taken as well.
  void kill();
  bool running();
  // Waits until the server ends by itself; false at the deadline.
  bool wait_until_ended(Duration deadline);

  // Connection of a superuser; `conninfo` fits holdfast.yaml's `connection`.
  std::string conninfo(const std::string& database = "postgres") const;
  Result<std::unique_ptr<postgres::ServerSession>> connect(const std::string& database = "postgres",
                                                           Duration deadline = Duration::seconds(300)) const;
  // One statement in a session of its own; the single value of the single row.
  Result<std::string> value(const std::string& sql, const std::string& database = "postgres") const;
  Result<void> exec(const std::string& sql, const std::string& database = "postgres") const;

  // pg_amcheck over all databases (makes the extension where it lacks), then the
  // invalid indexes: empty when clean, else what was said.
  Result<std::string> amcheck();

  const std::string& data_directory() const { return data_directory_; }
  const std::string& socket_directory() const { return socket_directory_; }
  std::string log_path() const { return socket_directory_ + "/log"; }
  std::string log_tail(size_t bytes = 4096) const;
  PostgresOptions& options() { return options_; }
  const std::string& bin_directory() const { return bin_directory_; }
  pid_t pid() const { return pid_; }

 private:
  PrivatePostgres(std::string data_directory, PostgresOptions options, std::string bin_directory);
  Result<std::string> check_indexes();
  Result<void> spawn();
  std::vector<std::string> command_line() const;
  bool reap();
  Result<void> stop_with(int signal);

  std::string data_directory_;
  std::string socket_directory_;
  PostgresOptions options_;
  std::string bin_directory_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::servers
