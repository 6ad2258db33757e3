#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"

namespace holdfast::redis {

// What INFO says of a server.
struct ServerFacts {
  std::string version, run_id;
  std::string replid;   // of the history it is in
  uint64_t offset = 0;  // how far that is; 0 when nothing was replicated yet
  // What that goes on from, since it was promoted or restarted; "": from nothing.
  std::string left_replid;
  uint64_t left_at = 0;  // and from where: it has nothing of what came behind
  std::vector<DatabaseSize> databases;
  bool has_users = false;  // of the ACL, beside the default one; false also where it does not say
};
Result<ServerFacts> parse_info(std::string_view info);
// Of its section "keyspace".
std::vector<DatabaseSize> parse_keyspace(std::string_view info);

// How a server answered PSYNC.
struct SyncAnswer {
  bool full = false;  // the RDB follows, and the commands from `position` on behind it
  Position position;  // full: what the RDB stands for; else where the commands go on
  Time time;          // our clock when the answer came; full: not after the RDB was begun,
  Time latest;        // which was not after this
};

// A connection over which a server sends what it sends to its replicas. Not thread-safe.
class ReplicationSession {
 public:
  // Connects and asks who the server is. Errors are those of ServerSession::connect().
  // No `listening-port` is told: nobody is to connect back (a Sentinel, say).
  static Result<std::unique_ptr<ReplicationSession>> connect(const Connection& connection,
                                                             const std::atomic<bool>* stop);

  const ServerFacts& facts() const { return facts_; }
  const std::string& place() const { return place_; }
  // Asks for what follows `from`, or for everything. `rdb_only`: nothing behind the RDB is
  // wanted, so the server need not keep it for us (Redis 7; others don't know the word).
  // kUnavailable, retryable, when the server can't now: it is a replica without its master.
  Result<SyncAnswer> sync(const std::optional<Position>& from, bool rdb_only, Clock& clock);
  // Tells the server what is durable.
  Result<void> acknowledge(uint64_t offset);
  ServerSession& session() { return *session_; }

 private:
  explicit ReplicationSession(std::unique_ptr<ServerSession> session) : session_(std::move(session)) {}
  std::unique_ptr<ServerSession> session_;
  ServerFacts facts_;
  std::string place_;
};

}  // namespace holdfast::redis
