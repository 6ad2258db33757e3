#pragma once

#include <optional>
#include <string>

#include "engine/state.h"

namespace holdfast::engine {

// How long the steps of a budget have taken together: since all before them was settled.
struct SharedClock {
  Duration elapsed;
  bool runs = false;  // one of them is not settled
};

// No value before they begin, and when none of them was done.
std::optional<SharedClock> shared_clock(const RunState& state, const SharedBudget& budget, Time now);

// What it is called among the run's budgets.
std::string name_of(const SharedBudget& budget);
// The title of the budget that is called so; "" for that of anything else.
std::string shared_title(const std::string& name);

}  // namespace holdfast::engine
