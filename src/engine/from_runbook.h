#pragma once

#include <string>

#include "engine/plan.h"
#include "runbook/plan.h"

namespace holdfast::engine {

// What `runbook` resolved, as the engine will run it. What needs a terminal, or never
// ends, becomes a manual step: its commands are shown, and a person runs them.
// `secrets` of each step are the inputs that are secret and that it uses.
Plan plan_of(const runbook::Plan& resolved);

}  // namespace holdfast::engine
