#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/proofs.h"
#include "recovery/stack.h"
#include "recovery/workspace.h"

namespace holdfast::engine {

// Proves points by reading them from the stack's repository, every byte; asks its servers.
class RepositoryProofs : public Proofs {
 public:
  using OpenWorkspace = std::function<Result<std::unique_ptr<recovery::Workspace>>()>;
  using ReadStack = std::function<Result<recovery::StackConfig>()>;
  RepositoryProofs(OpenWorkspace open, ReadStack stack) : open_(std::move(open)), stack_(std::move(stack)) {}

  Result<ProvenPoint> prove_point(const std::vector<std::string>& components) override;
  Result<std::string> replication_lag(const std::string& component) override;
  std::string host() const override;

 private:
  OpenWorkspace open_;
  ReadStack stack_;
};

}  // namespace holdfast::engine
