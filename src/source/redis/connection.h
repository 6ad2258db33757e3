#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace holdfast::redis {

// How to reach a server. The password stands beside the address, never in it.
struct Connection {
  std::string host = "127.0.0.1";
  uint16_t port = 6379;
  std::string socket;  // path of a unix socket; "": host and port
  std::string user;    // of the ACL; "": the default user
  Secret password;     // empty: none
  bool tls = false;
  std::string tls_ca;             // file of trusted certificates; "": the system's
  std::string tls_cert, tls_key;  // our certificate, where the server asks for one; "": none
  std::string text() const;       // "redis://host:port", for messages
  Connection clone() const;
};

// Reads "redis://[USER@]HOST[:PORT]", "rediss://..." (TLS), "unix:///PATH" or
// "HOST:PORT". kConfig when it is malformed, names a database, or holds a password,
// which is never repeated.
Result<Connection> parse_connection(std::string_view address);

struct SessionOptions {
  Duration connect_deadline = Duration::seconds(15);
  Duration deadline = Duration::seconds(60);  // of each command
  const std::atomic<bool>* stop = nullptr;    // when it becomes true, waits end with kInterrupted
};

// What a server answers.
struct Reply {
  enum class Kind { kStatus, kError, kInteger, kText, kNil, kArray };
  Kind kind = Kind::kNil;
  std::string text;  // of a status, error or text
  int64_t integer = 0;
  std::vector<Reply> elements;
  bool is_error() const { return kind == Kind::kError; }
};

// One open connection, authenticated. Never waits longer than a deadline, and
// always ready to be stopped. The password goes to the server in AUTH alone. Not
// thread-safe. Errors: kUnavailable (can't connect, the connection broke, or the
// server is loading; retryable), kPermission (AUTH or an ACL refused), kServer (any
// other refusal, with the server's words), kTimeout, kInterrupted, kInvalidData
// (what came is not the protocol).
class ServerSession {
 public:
  static Result<std::unique_ptr<ServerSession>> connect(const Connection& connection,
                                                        const SessionOptions& options = {});
  virtual ~ServerSession() = default;

  // One command, one reply. An error reply is an Error here.
  Result<Reply> command(const std::vector<std::string_view>& words);
  // The same, but an error reply is a Reply.
  virtual Result<Reply> ask(const std::vector<std::string_view>& words) = 0;

  // For pipelines: bytes of whole commands in any pieces, then as many replies as
  // commands. While the server takes nothing, replies that have come are kept (at
  // most 64 MiB of them, else kServer), so that neither side waits for the other.
  virtual Result<void> write(ByteView bytes) = 0;
  virtual Result<Reply> receive() = 0;

  // For the replication stream: raw bytes, those that came behind the last reply
  // first and alone. Fewer than out.size() of others: no more had come. 0: nothing within `wait`.
  virtual Result<size_t> read_some(MutableByteView out, Duration wait) = 0;
  // One line without its end, for the replies that may have empty lines before them
  // (PSYNC). Empty lines are skipped. kTimeout after `patience` without any byte.
  virtual Result<std::string> read_line(Duration patience) = 0;
  // What was read but belongs to what comes next: read_some() gives it first.
  virtual void put_back(ByteView bytes) = 0;
};

// The value of "name:value" in what INFO answers; "" when it has no such line.
std::string info_value(std::string_view info, std::string_view name);

// The Error for an error reply of the server, to a command called `what`.
Error server_error(std::string_view what, std::string_view text);
// Whether it is such an error, and of the login: not that a user lacks the right to a command.
bool is_refused_login(const Error& error);

// A command as the bytes of the protocol.
Bytes encode_command(const std::vector<std::string_view>& words);

}  // namespace holdfast::redis
