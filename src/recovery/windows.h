#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"

namespace holdfast::recovery {

// Instants that a component can be restored to.
struct Window {
  Time from, until;
  repo::PointId begins;  // the point whose snapshot is its first
};

// What the points (and, where it has one, its log) let one component be restored to.
struct ComponentWindows {
  std::string component, kind;
  // With a log every instant of a window; without, those of the snapshots, and a restore
  // to one between gives the snapshot before it.
  bool every_instant = false;
  std::vector<Window> windows;  // oldest first; several where a log is broken
};

// Of each component that the points hold, in the order of their names. A component that
// was another cluster before has windows of each.
Result<std::vector<ComponentWindows>> windows_of(Workspace& workspace, const std::vector<repo::Point>& points);

// Snapshots that no log leads to from an older one: the first of every window but the
// oldest of its component.
std::set<std::pair<repo::PointId, std::string>> window_begins(const std::vector<ComponentWindows>& windows);

}  // namespace holdfast::recovery
