#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "recovery/workspace.h"

namespace holdfast::recovery {

struct Stretch {
  Time from, until;
};

// The instants that all of some components can be restored to: stretches without a gap between
// them, oldest first, never none.
struct DrillWindow {
  std::vector<Stretch> stretches;
  Time from() const { return stretches.front().from; }
  Time until() const { return stretches.back().until; }
};

// Of the components named, or of all that the stack and its points have. A component without a
// log adds only its beginning; when none has one, the window ends with the newest snapshot.
// kNotFound without points, kUnreachableTarget when the components have no instant in common.
Result<DrillWindow> drill_window(Workspace& workspace, const std::vector<std::string>& components);

// What is in both; each sorted, and without overlaps.
std::vector<Stretch> common_stretches(const std::vector<Stretch>& a, const std::vector<Stretch>& b);

// Any instant of the stretches, each as likely as every other; whole microseconds, as targets are.
Time random_instant(Random& random, const DrillWindow& window);

}  // namespace holdfast::recovery
