#include "recovery/drill_window.h"

#include <algorithm>
#include <optional>
#include <set>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "recovery/redis_restore.h"
#include "source/postgres/target.h"

namespace holdfast::recovery {

namespace {

struct ComponentWindow {
  Time from;
  std::optional<Time> until;  // empty: it has no log
  Time newest;                // snapshot's instant
};

// Of the cluster that is in use now.
Result<ComponentWindow> postgres_window(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  const ClusterFacts facts = TRY(cluster_facts(*refs.back().snapshot));
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  auto archive = TRY(open_archive(workspace, refs.back().snapshot->component, facts.system_id, facts.segment_bytes));
  const postgres::RecoveryWindow window = TRY(postgres::recovery_window(*archive, snapshots));
  if (!window.from || !window.until)
    return make_error(ErrorCode::kUnreachableTarget, "no snapshot of it leads to the newest timeline");
  return ComponentWindow{*window.from, *window.until, refs.back().snapshot->instant};
}

// As far as its commands are stored.
Result<ComponentWindow> redis_window(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  const RedisLog opened = TRY(open_redis_log(workspace, refs.back().snapshot->component));
  const redis::RecoveryWindow window = TRY(redis::recovery_window(*opened.log, snapshots));
  if (!window.from || !window.until) return make_error(ErrorCode::kUnreachableTarget, "no snapshot of it is left");
  return ComponentWindow{*window.from, *window.until, refs.back().snapshot->instant};
}

Result<ComponentWindow> window_of(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  if (refs.back().snapshot->kind == "redis") return redis_window(workspace, refs);
  if (refs.back().snapshot->kind == "postgres") return postgres_window(workspace, refs);
  return ComponentWindow{refs.front().snapshot->instant, std::nullopt, refs.back().snapshot->instant};
}

std::set<std::string> names_of(Workspace& workspace, const std::vector<repo::Point>& points,
                               const std::vector<std::string>& wanted) {
  if (!wanted.empty()) return {wanted.begin(), wanted.end()};
  std::set<std::string> names;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) {
      if (workspace.stack().components.empty() || workspace.stack().find(snapshot.component) != nullptr)
        names.insert(snapshot.component);
    }
  }
  return names;
}

// In targets' whole microseconds; the window's ends are inside of it.
int64_t microseconds_up(Time time) { return time.ns / 1000 + (time.ns % 1000 > 0 ? 1 : 0); }
int64_t microseconds_down(Time time) { return time.ns / 1000 - (time.ns % 1000 < 0 ? 1 : 0); }

}  // namespace

Result<DrillWindow> drill_window(Workspace& workspace, const std::vector<std::string>& components) {
  const std::vector<repo::Point> points = TRY(stack_points(workspace));
  TRY(check_component_names(points, components));
  std::optional<Time> from, until, newest;
  for (const std::string& name : names_of(workspace, points, components)) {
    const std::string& kind = snapshots_of(points, name).back().snapshot->kind;
    const auto refs = kind == "redis" ? redis_snapshots(points, name) : snapshots_of(points, name, kind);
    const ComponentWindow window = TRY_CONTEXT(window_of(workspace, refs), "component {}", name);
    from = std::max(from.value_or(window.from), window.from);
    newest = std::max(newest.value_or(window.newest), window.newest);
    if (window.until) until = std::min(until.value_or(*window.until), *window.until);
  }
  if (!from)
    return make_error(ErrorCode::kNotFound, "there is no recovery point to drill")
        .with_hint("take one with 'holdfast backup'");
  const DrillWindow window{*from, until.value_or(*newest)};
  if (window.until < window.from) {
    return make_error(ErrorCode::kUnreachableTarget,
                      "the components have no instant in common: one begins at {}, and the log of another ends at {}",
                      format_rfc3339(window.from), format_rfc3339(window.until))
        .with_hint("drill one with --component NAME, or store the log after the newest point");
  }
  return window;
}

Time random_instant(Random& random, const DrillWindow& window) {
  const int64_t first = microseconds_up(window.from), last = microseconds_down(window.until);
  if (last <= first) return Time::from_unix_microseconds(first);
  const uint64_t offset = random.below(static_cast<uint64_t>(last - first) + 1);
  return Time::from_unix_microseconds(first + static_cast<int64_t>(offset));
}

}  // namespace holdfast::recovery
