#include "recovery/database_component.h"

#include <set>

#include "recovery/points.h"

namespace holdfast::recovery {

Result<std::string> database_component(Workspace& workspace, const std::vector<std::string>& named) {
  if (named.size() == 1) return named.front();
  if (named.size() > 1)
    return make_error(ErrorCode::kUsage, "a database is in one component: name one with --component");
  std::set<std::string> found;
  for (const ComponentConfig& component : workspace.stack().components) {
    if (component.kind == "postgres") found.insert(component.name);
  }
  if (workspace.stack().path.empty()) {
    for (const repo::Point& point : TRY(stack_points(workspace)))
      for (const repo::Snapshot& snapshot : point.snapshots)
        if (snapshot.kind == "postgres") found.insert(snapshot.component);
  }
  if (found.size() == 1) return *found.begin();
  if (found.empty() && workspace.stack().path.empty())
    return make_error(ErrorCode::kNotFound, "no recovery point has a PostgreSQL component")
        .with_hint("'holdfast points' lists them");
  if (found.empty()) return make_error(ErrorCode::kUsage, "the stack has no PostgreSQL component");
  return make_error(ErrorCode::kUsage, "the stack has several PostgreSQL components: {}", fmt::join(found, ", "))
      .with_hint("name the one with --component");
}

}  // namespace holdfast::recovery
