#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

struct pg_conn;
struct pg_result;

namespace holdfast::postgres {

// How to reach a server: a libpq connection string without a password
// ("host=/run/postgresql port=5432 user=postgres dbname=postgres") and the password beside it.
struct Connection {
  std::string conninfo;
  Secret password;  // empty: none, or ~/.pgpass
  // Of a server of ours, whose socket the string names: the environment's PGHOSTADDR counts
  // for nothing, and each session proves that the server works on this directory. "": any server.
  std::string data_directory;
};

// The variables by which libpq, and the programs of PostgreSQL, go elsewhere or otherwise
// than a connection string says.
std::vector<std::string> client_variables();

// kConfig when the string is malformed or holds a password, which is never repeated.
Result<void> check_connection(const std::string& conninfo);

enum class SessionKind {
  kSql,          // an ordinary session
  kReplication,  // physical replication: IDENTIFY_SYSTEM, BASE_BACKUP, START_REPLICATION
};

struct SessionOptions {
  SessionKind kind = SessionKind::kSql;
  std::string application_name = "holdfast";
  std::string database;  // "": as the connection string says
  Duration connect_deadline = Duration::seconds(15);
  Duration deadline = Duration::seconds(120);  // of each later call without its own
  const std::atomic<bool>* stop = nullptr;     // when it becomes true, calls end with kInterrupted
};

// The rows that a statement returned. Values are text; a view lives as long as the rows.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}
  Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  Rows& operator=(Rows&& other) noexcept;
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows();

  size_t size() const;
  size_t columns() const;
  bool is_null(size_t row, size_t column) const;
  std::string_view at(size_t row, size_t column) const;  // "" when null
  // -1: no such column.
  int column(const std::string& name) const;
  // The command tag ("SELECT 3", "CHECKPOINT").
  std::string_view tag() const;

 private:
  pg_result* result_;
};

// One open connection to a PostgreSQL server: libpq behind Result, never blocking
// longer than a deadline and always ready to be stopped. Times are UTC and dates
// ISO in SQL sessions, search_path is empty, and statements have no time limit of
// the server's. The password goes to libpq as a keyword of its own: it is in no
// argv, log or error. Not thread-safe. Errors: kUnavailable (can't connect, or the
// connection broke; retryable), kPermission (refused by authentication), kMismatch
// (another server than the one on the connection's data directory answered),
// kServer (the server refused a statement; the message carries the SQLSTATE),
// kTimeout (the statement was cancelled), kInterrupted.
class ServerSession {
 public:
  static Result<std::unique_ptr<ServerSession>> connect(const Connection& connection,
                                                        const SessionOptions& options = {});
  ~ServerSession();
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  // Runs one statement (parameters $1... are text) and returns its rows. With
  // parameters only one statement is possible, without them several; the rows are
  // then those of the last. Replication commands take no parameters.
  Result<Rows> exec(const std::string& sql, const std::vector<std::string>& parameters = {},
                    std::optional<Duration> deadline = std::nullopt);
  // The single value of a single row; kServer when there is another number of rows.
  Result<std::string> value(const std::string& sql, const std::vector<std::string>& parameters = {});

  // For commands that answer with several results (BASE_BACKUP): send, then take
  // the results one by one. take() is empty at the end of the command.
  // After a result with is_copy_out(), call read_copy() until it is empty.
  Result<void> send(const std::string& sql);
  struct Taken {
    Rows rows;
    bool copy_out = false;  // COPY OUT (or BOTH) begins: read_copy()
    bool copy_both = false;
  };
  Result<std::optional<Taken>> take(std::optional<Duration> deadline = std::nullopt);

  // The next message of a COPY; the view lives until the next call. Waits at most
  // `wait` (default: the session's deadline, then kTimeout).
  enum class CopyState { kData, kEnd, kNothingYet };
  struct CopyMessage {
    CopyState state = CopyState::kNothingYet;
    ByteView data;
  };
  Result<CopyMessage> read_copy();
  // The same, but kNothingYet instead of kTimeout after `wait`.
  Result<CopyMessage> read_copy_within(Duration wait);
  // Sends a message of a COPY BOTH and flushes it.
  Result<void> write_copy(ByteView message);
  // Ends our side of a COPY BOTH; read_copy() until kEnd, then take() follow.
  Result<void> end_copy();

  int server_version() const;  // 150004
  int major() const;           // 15
  // A server setting that is reported at connect ("server_version"), or "".
  std::string parameter(const std::string& name) const;
  // Quoted for SQL as a literal or an identifier.
  Result<std::string> quote_literal(std::string_view text);
  Result<std::string> quote_identifier(std::string_view text);
  int descriptor() const;  // of the socket, for poll

 private:
  ServerSession(pg_conn* connection, const SessionOptions& options);
  Result<void> wait(short events, Duration until, bool* ready);
  Result<void> flush(Duration until);
  Result<pg_result*> next_result(Duration until);
  Error failure(std::string_view what) const;
  void cancel();

  pg_conn* connection_;
  SessionOptions options_;
  char* copy_buffer_ = nullptr;
};

}  // namespace holdfast::postgres
