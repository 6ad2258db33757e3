#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "recovery/stack.h"

namespace holdfast::recovery {

// Calls `work(i)` for each of the components on at most `parallel` threads (one: on the
// caller's own) and waits for all. A component begins when all that its `after` names,
// as far as they are among these, have ended, however they did; of those that may begin
// the first does. Once `work` gives false, nothing more begins.
void in_order(const std::vector<const ComponentConfig*>& components, size_t parallel,
              const std::function<bool(size_t)>& work);

}  // namespace holdfast::recovery
