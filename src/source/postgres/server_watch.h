#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "source/postgres/connection.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// What the server said of itself, beside the stream.
struct ServerState {
  WalMark end;                      // at `end.time` its flushed log ended at or before `end.lsn`
  std::optional<Lsn> slot_restart;  // from here on the slot makes it keep WAL
  uint64_t slot_kept_bytes = 0;
  std::string slot_status;  // "reserved", "extended", "unreserved", "lost"
  std::string slot_limit;   // max_slot_wal_keep_size: "-1" is none
  bool slot_exists = false, slot_is_active = false, slot_is_logical = false;
  bool is_beside = false;  // by what beside.h writes: it does not act in its original's place
  uint64_t system_id = 0;
  std::string data_directory;  // "" when we may not know, or the server is reached over the network
};

// Asks over an ordinary session: the time first, then the end of the log, so that
// whatever was acknowledged by that time lies before that end. Empty `end` (timeline
// 0) on a standby, whose own end proves nothing of the primary's commits.
Result<ServerState> ask_server_state(ServerSession& session, const std::string& slot);

// Asks a server for its state again and again, on a thread of its own, and hands
// each answer to `on_state`. A server that can't be asked is left alone until the
// next turn: the stream must go on without. `on_state` runs on that thread.
class ServerWatch {
 public:
  ServerWatch(const Connection& connection, std::string slot, Duration interval,
              std::function<void(const ServerState&)> on_state);
  ~ServerWatch();
  // Asks now, out of turn.
  void wake();

 private:
  void loop(std::stop_token stop);

  const Connection& connection_;
  const std::string slot_;
  const Duration interval_;
  const std::function<void(const ServerState&)> on_state_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool woken_ = false;
  std::jthread thread_;
};

}  // namespace holdfast::postgres
