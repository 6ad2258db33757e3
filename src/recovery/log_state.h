#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "source/postgres/slot_warning.h"
#include "source/postgres/target.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::recovery {

// The replication slot that `wal receive` uses, as the server tells it.
struct SlotState {
  std::string name;
  bool exists = false, active = false;
  std::string wal_status;  // reserved, extended, unreserved, lost
  std::string restart_lsn;
  uint64_t retained_bytes = 0;                   // WAL that the server keeps for it
  std::string limit;                             // max_slot_wal_keep_size; "-1": none
  std::optional<uint64_t> free_bytes;            // on the disk of pg_wal, where that is on this machine
  std::optional<postgres::SlotWarning> warning;  // also of a slot that will be made
  std::string problem;                           // the server could not be asked
  bool server_is_beside = false;                 // it does not act in the place of what it was restored from
  uint32_t timeline = 0;                         // of the server; 0: a standby's, or not known
};

// Asks the component's server, which may not have the slot yet.
SlotState ask_slot(const ComponentConfig& component);

// The WAL of one cluster.
struct LogState {
  std::string component;
  uint64_t system_id = 0;
  uint64_t records = 0, stored_bytes = 0;
  std::vector<postgres::WalRange> ranges;
  postgres::RecoveryWindow window;
  std::vector<postgres::RecoveryStretch> stretches;  // what of the window can be restored to
  std::optional<SlotState> slot;                     // of the cluster that is connected, if any
};

// Looks at every log of the stack. With `ask_server` the components' servers are
// asked for their slots; one that does not answer is a problem noted in the slot.
Result<std::vector<LogState>> log_states(Workspace& workspace, bool ask_server);

}  // namespace holdfast::recovery
