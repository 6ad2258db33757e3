#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/log_sink.h"
#include "source/redis/replication.h"

namespace holdfast::redis {

struct ReceiverOptions {
  LogSinkOptions sink;
  Duration acknowledge_interval = Duration::seconds(1);
  Duration silence = Duration::seconds(60);                      // longer than this, and the connection is given up
  Duration longest_pause = Duration::seconds(5);                 // between tries to connect
  Duration longest_pause_of_snapshots = Duration::seconds(300);  // each costs the server a fork
  Duration late = Duration::seconds(1);                          // what comes later is said to (LogAbsence)
  Duration ask_again = Duration::seconds(5);                     // at first, for what the server did not say
  Duration stop_patience = Duration::seconds(30);                // for storing what is in memory at the end
};

struct ReceiverState {
  bool connected = false;
  std::string replid;
  uint64_t received = 0, stored = 0;  // offsets
  uint64_t received_bytes = 0, records = 0;
  uint64_t reconnects = 0;
  uint64_t snapshots = 0, links = 0, gaps = 0;
  std::optional<Time> covered_until;  // all that came by then is stored
  std::string trouble;                // "" when all is well
  std::string not_stored;             // why what was received can't be stored now, "" when it can
  bool store_is_full = false;
};

// Takes the RDB that comes behind a full answer and commits it as a recovery point.
using TakeSnapshot = std::function<Result<void>(ReplicationSession& session, const SyncAnswer& answer)>;

// Receives a server's command stream into a log until `stop`: connects (again and again),
// goes on where the log ends, or at the newest snapshot, and tells the server as received
// only what the log has durably. What is in memory when it is stopped, or when the server
// goes away, is stored first.
//
// Returns once `stop` is set and all is stored (kTimeout when that took longer than
// stop_patience), or with an error that trying again can't mend: a refused login at the first
// try (kPermission), a server of another kind (kUnsupported), a wrong certificate (kConfig),
// a log that contradicts what comes (kMismatch). `on_state` is called from this thread about
// once a second and on every change of connection.
Result<void> receive_commands(const Connection& connection, CommandLog& log, Clock& clock,
                              const ReceiverOptions& options, const std::optional<SnapshotPlace>& newest_snapshot,
                              const TakeSnapshot& take_snapshot, const std::atomic<bool>& stop,
                              const std::function<void(const ReceiverState&)>& on_state);

}  // namespace holdfast::redis
