#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "engine/proofs.h"
#include "recovery/restore.h"
#include "recovery/stack.h"
#include "recovery/workspace.h"

namespace holdfast::engine {

// What a restore in these words would draw on, of the wanted components alone. Proves that the
// instant can be reached; reads no block. kNotFound when there is no point of them.
Result<recovery::RestorePlan> plan_restore(recovery::Workspace& workspace, const WantedPoint& wanted);

// Proves points by reading them from the stack's repository, every byte; asks its servers.
class RepositoryProofs : public Proofs {
 public:
  using OpenWorkspace = std::function<Result<std::unique_ptr<recovery::Workspace>>()>;
  using ReadStack = std::function<Result<recovery::StackConfig>()>;
  // `progress`: that of the workspaces; setting its `stop` ends what reads them.
  RepositoryProofs(OpenWorkspace open, ReadStack stack, Progress& progress)
      : open_(std::move(open)), stack_(std::move(stack)), progress_(progress) {}

  Result<ProvenPoint> prove_point(const WantedPoint& wanted, const std::function<bool()>& go_on) override;
  Result<std::string> repository() override;
  Result<std::string> replication_lag(const std::string& component) override;
  std::string host() const override;

 private:
  Result<ProvenPoint> read_point(const WantedPoint& wanted);
  Result<void> read_whole(recovery::Workspace& workspace, const std::string& point, const std::string& component);

  OpenWorkspace open_;
  ReadStack stack_;
  Progress& progress_;
  std::string repository_;  // its id, once it is known
  // (point, component) that were read and are right: an instant that moves mostly needs the
  // same one again. Touched by one reading at a time.
  std::set<std::pair<std::string, std::string>> read_;
};

}  // namespace holdfast::engine
