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
  // The points whose snapshots it begins with: its first one, and where it goes on along
  // another history of Redis, the first of that. None where a log leads to it from the window before.
  std::vector<repo::PointId> begins;
  uint64_t system_id = 0;  // of the PostgreSQL cluster that the component was then
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

using SnapshotNames = std::set<std::pair<repo::PointId, std::string>>;  // point and component

// Snapshots that no log leads to from an older one: all that windows begin with, but for the
// oldest of their component.
SnapshotNames window_begins(const std::vector<ComponentWindows>& windows);

// Snapshots whose line has ended while their component went on along another, which nothing
// leads to from them: of a PostgreSQL timeline that a restore to an instant before them left
// behind, of a history of Redis that was left for an older one. Reads of logs only their outlines and
// summaries, where one timeline does not say which to follow.
Result<SnapshotNames> astray_snapshots(Workspace& workspace, const std::vector<repo::Point>& points);

// In words, the timelines of a component's newest cluster that a restore to its newest
// instant leaves aside (source/postgres/timeline_choice.h).
Result<std::vector<std::string>> timelines_left_aside(Workspace& workspace, const std::string& component);

}  // namespace holdfast::recovery
