#include "recovery/points.h"

#include <algorithm>
#include <set>

#include "base/log.h"

namespace holdfast::recovery {

Result<std::vector<repo::Point>> readable_points(Workspace& workspace) {
  return workspace.repository().points([](const std::string& object, const Error& error) {
    log_warn("recovery.point.damaged", {{"object", object}, {"error", error.text()}});
  });
}

namespace {

std::set<std::string> stacks_of(const std::vector<repo::Point>& points) {
  std::set<std::string> stacks;
  for (const repo::Point& point : points) stacks.insert(point.stack);
  return stacks;
}

// "" without any point.
Result<std::string> only_stack(Workspace& workspace, const std::vector<repo::Point>& points) {
  const std::set<std::string> stacks = stacks_of(points);
  if (stacks.size() <= 1) return stacks.empty() ? "" : *stacks.begin();
  return make_error(ErrorCode::kUsage, "the repository at {} has points of {} stacks: {}", workspace.stack().repository,
                    stacks.size(), fmt::join(stacks, ", "))
      .with_hint("say which is meant: --stack NAME, or --config with its file");
}

}  // namespace

Result<std::vector<repo::Point>> stack_points(Workspace& workspace) {
  auto points = TRY(readable_points(workspace));
  const std::string& stack = workspace.stack().stack;
  if (stack.empty()) {
    TRY(only_stack(workspace, points));
    return points;
  }
  const std::set<std::string> stacks = stacks_of(points);
  std::erase_if(points, [&](const repo::Point& point) { return point.stack != stack; });
  // Of a file it may be a stack that shares the repository and has no point yet.
  if (!points.empty() || stacks.empty() || !workspace.stack().path.empty()) return points;
  return make_error(ErrorCode::kNotFound, "the repository at {} has no point of the stack '{}', but of: {}",
                    workspace.stack().repository, stack, fmt::join(stacks, ", "))
      .with_hint("say which is meant: --stack NAME, or --config with its file");
}

std::vector<std::string> stacks_with_points(Workspace& workspace) {
  // What is damaged was told when the points were listed.
  const auto points = workspace.repository().points([](const std::string&, const Error&) {});
  if (!points.ok()) return {};
  const std::set<std::string> stacks = stacks_of(*points);
  return {stacks.begin(), stacks.end()};
}

std::string hint_without_points(Workspace& workspace) {
  const std::vector<std::string> stacks = stacks_with_points(workspace);
  const std::string& stack = workspace.stack().stack;
  if (stacks.empty() || stack.empty()) return "take one with 'holdfast backup'";
  return fmt::format(
      "the repository has points of: {}; take one of '{}' with 'holdfast backup', or name the other stack's file with "
      "--config",
      fmt::join(stacks, ", "), stack);
}

Result<void> name_only_stack(Workspace& workspace) {
  if (!workspace.stack().path.empty()) return {};
  const auto points = TRY(stack_points(workspace));
  if (workspace.stack().stack.empty()) workspace.name_stack(TRY(only_stack(workspace, points)));
  return {};
}

const repo::Snapshot* find_snapshot(const repo::Point& point, const std::string& component) {
  for (const repo::Snapshot& snapshot : point.snapshots) {
    if (snapshot.component == component) return &snapshot;
  }
  return nullptr;
}

std::vector<SnapshotRef> snapshots_of(const std::vector<repo::Point>& points, const std::string& component) {
  std::vector<SnapshotRef> result;
  for (const repo::Point& point : points) {
    if (const repo::Snapshot* snapshot = find_snapshot(point, component)) result.push_back({&point, snapshot});
  }
  return result;
}

std::vector<SnapshotRef> snapshots_of(const std::vector<repo::Point>& points, const std::string& component,
                                      const std::string& kind) {
  auto result = snapshots_of(points, component);
  std::erase_if(result, [&](const SnapshotRef& ref) { return ref.snapshot->kind != kind; });
  return result;
}

Duration spread_of(const repo::Point& point) {
  if (point.snapshots.empty()) return {};
  const auto [first, last] = std::minmax_element(point.snapshots.begin(), point.snapshots.end(),
                                                 [](const auto& a, const auto& b) { return a.instant < b.instant; });
  return last->instant - first->instant;
}

namespace {

Error no_such_component(const std::string& name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_word(name, known);
  return make_error(ErrorCode::kNotFound, "there is no component '{}'", name)
      .with_hint(nearest.empty() ? fmt::format("the components are: {}", fmt::join(known, ", "))
                                 : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

Result<std::vector<const ComponentConfig*>> select_components(const StackConfig& stack,
                                                              const std::vector<std::string>& names) {
  std::vector<const ComponentConfig*> result;
  std::vector<std::string> known;
  for (const ComponentConfig& component : stack.components) {
    known.push_back(component.name);
    if (names.empty() || std::find(names.begin(), names.end(), component.name) != names.end())
      result.push_back(&component);
  }
  for (const std::string& name : names) {
    if (stack.find(name) == nullptr) return no_such_component(name, known);
  }
  if (result.empty()) {
    return make_error(ErrorCode::kConfig, "{} describes no component",
                      stack.path.empty() ? "the configuration" : stack.path)
        .with_hint("add a 'components:' list, see docs/configuration.md");
  }
  return result;
}

Result<void> check_component_names(const std::vector<repo::Point>& points, const std::vector<std::string>& names) {
  std::set<std::string> known;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) known.insert(snapshot.component);
  }
  for (const std::string& name : names) {
    if (known.empty())
      return make_error(ErrorCode::kNotFound, "there is no recovery point of component '{}', nor of any other", name)
          .with_hint("take one with 'holdfast backup'");
    if (!known.contains(name)) return no_such_component(name, {known.begin(), known.end()});
  }
  return {};
}

}  // namespace holdfast::recovery
