#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "source/postgres/connection.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

struct ReceiverOptions {
  std::string slot;                                       // made (and its WAL reserved) when absent
  std::string application_name = "holdfast";              // what synchronous_standby_names calls us
  bool synchronous = false;                               // store at once instead of every flush_interval
  Duration flush_interval = Duration::milliseconds(500);  // nothing waits longer in memory,
  uint64_t flush_bytes = 4u << 20;                        // and no more than this
  Duration mark_interval = Duration::seconds(10);
  Duration status_interval = Duration::seconds(5);  // of telling the server, when nothing changes
  size_t storers = 2;
  // Asked before each stream: what is missing before this place is not sought, unless the slot keeps it.
  std::function<Lsn()> expired_until;
  Duration longest_pause = Duration::seconds(5);   // between tries to connect
  Duration stop_patience = Duration::seconds(30);  // for storing what is in memory at the end
};

struct ReceiverState {
  bool connected = false;
  uint32_t timeline = 0;
  Lsn received, stored, server_end;  // server_end: flushed by the server, as far as known
  uint64_t received_bytes = 0;
  uint64_t parts = 0, segments = 0;
  uint64_t reconnects = 0, store_retries = 0;
  uint64_t gaps = 0;                 // times that the server had removed WAL that we lacked
  std::optional<Time> proven_until;  // the newest mark
  uint64_t slot_kept_bytes = 0;      // WAL that the server keeps for us
  std::string slot_status;
  std::string slot_warning;  // what the slot may do to the server, "" when nothing
  std::string trouble;       // "" when all is well
  std::string not_stored;    // why what was received can't be stored now, "" when it can
  bool store_is_full = false;
  uint64_t lag_bytes() const { return server_end > stored ? server_end.value - stored.value : 0; }
};

// Receives a server's WAL into an archive until `stop`: connects (again and again),
// goes on where the archive ends, follows timeline switches, and tells the server
// as flushed only what the archive has durably, so that it can be a synchronous
// standby and so that the slot keeps whatever is not stored yet. What is in memory
// when it is stopped, or when the server goes away, is stored first.
//
// Returns once `stop` is set and all is stored (kTimeout when that took longer than
// stop_patience), or with an error that trying again can't mend: another cluster
// (kMismatch), refused by authentication at the first try (kPermission), WAL that
// contradicts what is stored (kMismatch). `on_state` is called from this thread
// about once a second and on every change of connection.
Result<void> receive_wal(const Connection& connection, WalArchive& archive, Clock& clock,
                         const ReceiverOptions& options, const std::atomic<bool>& stop,
                         const std::function<void(const ReceiverState&)>& on_state);

}  // namespace holdfast::postgres
