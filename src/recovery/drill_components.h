#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "recovery/restore.h"
#include "recovery/workspace.h"
#include "source/check.h"

namespace holdfast::recovery {

// Where one component of a drill is made.
struct DrillPlace {
  std::string scratch;    // the person's directory; its owner is the servers' account when we are root
  std::string directory;  // the component's own below it; empty, and removed by the drill
  Duration deadline;      // of boot and verification together
  std::function<Result<void>(pid_t)> on_server;  // told of each server right after its start
};

// One component while it is drilled: restore, boot, verify, stop, in this order, each once. The
// destructor ends whatever runs. Not thread-safe. A further kind is one more class, and a
// line in make_drilled(); see docs/drill.md for what isolation asks of it.
class DrilledComponent {
 public:
  virtual ~DrilledComponent() = default;
  // Everything it writes is in the place's directory.
  virtual Result<void> restore() = 0;
  // Starts what serves the data, and waits until it has recovered.
  virtual Result<void> boot() = 0;
  // What is wrong is in the checks, which are added one by one; an error says that the
  // further ones could not be made.
  virtual Result<void> verify(std::vector<source::Check>& made) = 0;
  virtual Result<void> stop() = 0;
  // Adds what evidence says of it: restored_bytes, server_version, newest_transaction, isolation.
  virtual void describe(nlohmann::json& component) const = 0;
};

// The workspace and the plan outlive it. kUnsupported for a kind that can't be drilled.
Result<std::unique_ptr<DrilledComponent>> make_drilled(Workspace& workspace, const ComponentPlan& plan,
                                                       const DrillPlace& place);

}  // namespace holdfast::recovery
