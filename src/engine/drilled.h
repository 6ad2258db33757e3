#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/plan.h"
#include "recovery/evidence.h"

namespace holdfast::engine {

// How long the restore of a component took in a drill.
struct DrilledRestore {
  std::string component, drill;
  Time began;
  Duration took;
};

// Of each component the newest drill that passed. A chain that does not hold proves nothing: then
// there is none.
std::map<std::string, DrilledRestore> drilled_restores(const recovery::EvidenceChain& chain);

// What is known of the components that a step restores.
std::vector<DrilledRestore> drilled_of(const std::map<std::string, DrilledRestore>& known, const Plan& plan,
                                       const std::map<std::string, std::string>& variables, const std::string& step);

}  // namespace holdfast::engine
