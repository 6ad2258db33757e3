#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "recovery/evidence.h"
#include "recovery/workspace.h"

namespace holdfast::recovery {

enum class DrillPhase { kChoose, kRestore, kBoot, kVerify, kDestroy };
// "choose", "restore", "boot", "verify", "destroy".
std::string_view phase_name(DrillPhase phase);

struct DrillRequest {
  // At most one; none of them: the newest instant, or with `point` the state of that.
  std::optional<Time> at;
  bool random = false;
  bool newest = false;                                           // with `point`: all that is stored after it, too
  std::optional<std::string> point;                              // id prefix or "latest"; not with `at` or `random`
  std::vector<std::string> components;                           // empty: all
  std::string scratch_directory;                                 // "" : the system's temporary directory
  std::string registry;                                          // of the drills in progress (drill_registry.h)
  std::string who;                                               // for the evidence
  Duration deadline = Duration::hours(12);                       // of each component's boot and verification together
  std::function<void(DrillPhase)> on_phase = [](DrillPhase) {};  // told before each begins
};

struct DrillOutcome {
  Evidence evidence;                // without sequence and digest where it could not be stored
  std::optional<Error> not_stored;  // why it could not, or that a point was verified
};

// Restores aside, boots, checks, times, destroys (docs/drill.md), and stores the evidence.
// A drill that failed, also one that found nothing to restore, is an outcome: its evidence's
// `result` says so. Errors: what can't be meant (kUsage; kNotFound of a component that the
// stack never had), and what left nothing to record it in.
Result<DrillOutcome> run_drill(Workspace& workspace, const DrillRequest& request);

}  // namespace holdfast::recovery
