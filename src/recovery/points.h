#pragma once

#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"

namespace holdfast::recovery {

// The stack's points, oldest first. Several stacks may share a repository: kUsage names them
// where the workspace has no stack to say which is meant, kNotFound where it has none of the one that
// was named without a file. Damaged points are left
// out and logged: what is damaged must not hide what is whole.
Result<std::vector<repo::Point>> stack_points(Workspace& workspace);
// Where the workspace has no stack, it is the one that the repository has points of: what is kept
// under the stack's name is then found. Errors as above.
Result<void> name_only_stack(Workspace& workspace);
// What to do where stack_points() gives none: take one, or name a stack of which the repository has some.
std::string hint_without_points(Workspace& workspace);
// The stacks of which the repository has points, by their names.
std::vector<std::string> stacks_with_points(Workspace& workspace);
// Points as above, of all stacks.
Result<std::vector<repo::Point>> readable_points(Workspace& workspace);

// One snapshot and the point that holds it. The points must outlive it.
struct SnapshotRef {
  const repo::Point* point = nullptr;
  const repo::Snapshot* snapshot = nullptr;
};
// All snapshots of a component, oldest first.
std::vector<SnapshotRef> snapshots_of(const std::vector<repo::Point>& points, const std::string& component);
// Those of one kind: a component that was of another kind before keeps only its name.
std::vector<SnapshotRef> snapshots_of(const std::vector<repo::Point>& points, const std::string& component,
                                      const std::string& kind);

// The snapshot of a component in a point; null when it has none.
const repo::Snapshot* find_snapshot(const repo::Point& point, const std::string& component);

// How far apart the instants of a point's snapshots lie: nothing for one alone.
Duration spread_of(const repo::Point& point);

// The components named, or all of the stack. kNotFound suggests the nearest name.
Result<std::vector<const ComponentConfig*>> select_components(const StackConfig& stack,
                                                              const std::vector<std::string>& names);

// kNotFound for a name that is not among those the points hold.
Result<void> check_component_names(const std::vector<repo::Point>& points, const std::vector<std::string>& names);

}  // namespace holdfast::recovery
