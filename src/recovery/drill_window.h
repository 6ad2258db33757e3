#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "recovery/workspace.h"

namespace holdfast::recovery {

// The instants that all of some components can be restored to.
struct DrillWindow {
  Time from, until;
};

// Of the components named, or of all that the stack and its points have. A component without a
// log adds only its beginning; when none has one, the window ends with the newest snapshot.
// kNotFound without points, kUnreachableTarget when the components have no instant in common.
Result<DrillWindow> drill_window(Workspace& workspace, const std::vector<std::string>& components);

// Any instant of the window, each as likely as every other; whole microseconds, as targets are.
Time random_instant(Random& random, const DrillWindow& window);

}  // namespace holdfast::recovery
