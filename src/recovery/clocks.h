#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "recovery/workspace.h"
#include "repo/point_dates.h"

namespace holdfast::recovery {

// What to tell where points are dated in the future; nothing where none is.
std::string ahead_note(const std::vector<repo::Point>& points, Time now);

// The store's time. kRefused when this machine's clock is another: points are judged by the
// dates that machines gave them, and by a wrong one what is needed would go.
Result<Time> agreed_time(Workspace& workspace);

}  // namespace holdfast::recovery
