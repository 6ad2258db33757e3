#pragma once

#include <map>
#include <string>

#include "engine/plan.h"
#include "runbook/plan.h"

namespace holdfast::engine {

// What `runbook` resolved, as the engine will run it. What needs a terminal, or never
// ends, becomes a manual step: its commands are shown, and a person runs them.
// `values` are those that are no secrets, by their names: they go into the place of
// placeholders in scripts, and steps have them in their environment.
Plan plan_of(const runbook::Plan& resolved, const std::map<std::string, std::string>& values);

}  // namespace holdfast::engine
