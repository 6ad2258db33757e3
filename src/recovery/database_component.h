#pragma once

#include <string>
#include <vector>

#include "recovery/workspace.h"

namespace holdfast::recovery {

// The component that a database is in: the one named, or the stack's only PostgreSQL. Without a
// file the points tell which those are. kUsage when it is not clear which, kNotFound when no point has one.
Result<std::string> database_component(Workspace& workspace, const std::vector<std::string>& named);

}  // namespace holdfast::recovery
