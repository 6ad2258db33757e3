#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/proofs.h"
#include "recovery/workspace.h"

namespace holdfast::engine {

// Proves points by reading them from the stack's repository, every byte.
class RepositoryProofs : public Proofs {
 public:
  using OpenWorkspace = std::function<Result<std::unique_ptr<recovery::Workspace>>()>;
  explicit RepositoryProofs(OpenWorkspace open) : open_(std::move(open)) {}

  Result<ProvenPoint> prove_point(const std::vector<std::string>& components) override;
  std::string host() const override;

 private:
  OpenWorkspace open_;
};

}  // namespace holdfast::engine
