#pragma once

#include <string>
#include <vector>

#include "recovery/stack.h"

namespace holdfast::recovery {

// The component that a database is in: the one named, or the stack's only PostgreSQL.
// kUsage when it is not clear which.
Result<std::string> database_component(const StackConfig& stack, const std::vector<std::string>& named);

}  // namespace holdfast::recovery
