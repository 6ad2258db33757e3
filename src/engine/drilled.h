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

// Of each step that restores, what is known of the components that it restores; steps of which
// nothing is known are left out.
std::map<std::string, std::vector<DrilledRestore>> drilled_steps(const std::map<std::string, DrilledRestore>& known,
                                                                 const Plan& plan,
                                                                 const std::map<std::string, std::string>& variables);

}  // namespace holdfast::engine
