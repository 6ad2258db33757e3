#include "engine/repository_proofs.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "recovery/points.h"
#include "recovery/restore.h"
#include "recovery/verify.h"

namespace holdfast::engine {

std::string RepositoryProofs::host() const {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Result<ProvenPoint> RepositoryProofs::prove_point(const std::vector<std::string>& components) {
  auto workspace = TRY(open_());
  TRY(workspace->hold_for_reading("a runbook"));
  // Complete: a restore of these components to the newest instant can be planned, which
  // reads the WAL on the way there.
  recovery::RestoreRequest request;
  request.components = components;
  const recovery::RestorePlan plan = TRY(recovery::plan_restore(*workspace, request));
  if (plan.components.empty()) return make_error(ErrorCode::kNotFound, "there is no recovery point");
  ProvenPoint proven;
  proven.instant = plan.components.front().instant;
  // Readable: each point that the plan draws on.
  std::vector<std::string> points;
  for (const recovery::ComponentPlan& component : plan.components) {
    proven.components.push_back(component.component);
    proven.instant = std::min(proven.instant, component.instant);
    const std::string id = component.point.hex();
    recovery::VerifyRequest verify;
    verify.point = id;
    verify.components = {component.component};
    const recovery::VerifyOutcome outcome = TRY(recovery::verify_point(*workspace, verify));
    if (outcome.findings() > 0) {
      return make_error(ErrorCode::kVerifyFailed, "point {} is not right: {} findings in {}", id.substr(0, 8),
                        outcome.findings(), component.component);
    }
    if (std::find(points.begin(), points.end(), id) == points.end()) points.push_back(id);
  }
  proven.id = points.front();
  for (const recovery::ComponentConfig& component : workspace->stack().components) {
    const bool wanted =
        components.empty() || std::find(components.begin(), components.end(), component.name) != components.end();
    const bool covered =
        std::find(proven.components.begin(), proven.components.end(), component.name) != proven.components.end();
    if (wanted && !covered) {
      return make_error(ErrorCode::kNotFound, "the newest point holds nothing of {}", component.name);
    }
  }
  return proven;
}

}  // namespace holdfast::engine
