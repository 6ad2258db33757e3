#pragma once

#include <map>
#include <string>

#include "engine/plan.h"
#include "runbook/plan.h"

namespace holdfast::engine {

// What `runbook` resolved, as the engine will run it. What needs a terminal, or never
// ends, becomes a manual step: its commands are shown, and a person runs them.
// `placeholders` are the values that go into the text of scripts, by their names.
Plan plan_of(const runbook::Plan& resolved, const std::map<std::string, std::string>& placeholders);

}  // namespace holdfast::engine
