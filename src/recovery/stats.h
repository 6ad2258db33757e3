#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recovery/workspace.h"

namespace holdfast::recovery {

struct ObjectCount {
  uint64_t objects = 0, bytes = 0;
};

struct RepositoryStats {
  std::map<std::string, ObjectCount> by_kind;  // "packs", "index", "points", "log", "keys", ...
  ObjectCount total;
  uint64_t points = 0;
  uint64_t newest_source_bytes = 0;  // what the newest point stands for
  uint64_t all_source_bytes = 0;     // the sum over all points
};
Result<RepositoryStats> repository_stats(Workspace& workspace);

// Promised and actual, per component.
struct ObjectiveState {
  std::string component, kind;
  std::optional<Duration> rpo, rto;
  std::optional<Time> protected_until;  // every change up to here can be restored
  // now - protected_until: what would be lost now. Less than nothing where the clock of the
  // server, or of who took the point, is ahead of ours.
  std::optional<Duration> exposure;
  std::optional<bool> rpo_met;
  std::string problem;             // the server could not be asked: what was committed since may be nothing
  std::vector<std::string> notes;  // what is stored and can't be reached, and what is in the way of protection
  uint64_t newest_bytes = 0;       // to be restored
};
// So far in the future lies no instant of a clock that is right: what is lost is not known, and
// no objective is met.
bool is_of_wrong_clock(Duration exposure);
// With `ask_server` a PostgreSQL server is asked where its log ends: when all of that
// is stored nothing would be lost, whenever the last commit or mark was. Without an
// answer the log alone speaks, and what it can't prove counts as lost.
Result<std::vector<ObjectiveState>> objective_states(Workspace& workspace, bool ask_server);

}  // namespace holdfast::recovery
