#include "recovery/windows.h"

#include <algorithm>
#include <map>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "source/postgres/target.h"

namespace holdfast::recovery {

namespace {

// The windows of each cluster that the component was.
Result<void> add_postgres_windows(Workspace& workspace, const std::vector<SnapshotRef>& refs,
                                  ComponentWindows& component) {
  component.every_instant = true;
  std::map<uint64_t, std::vector<SnapshotRef>> clusters;
  for (const SnapshotRef& ref : refs) clusters[TRY(cluster_facts(*ref.snapshot)).system_id].push_back(ref);
  for (const auto& [system_id, of_cluster] : clusters) {
    std::vector<repo::Snapshot> snapshots;
    for (const SnapshotRef& ref : of_cluster) snapshots.push_back(*ref.snapshot);
    const ClusterFacts facts = TRY(cluster_facts(snapshots.back()));
    const auto archive = TRY(open_archive(workspace, component.component, system_id, facts.segment_bytes));
    for (const auto& stretch : TRY(postgres::recovery_stretches(*archive, snapshots)))
      component.windows.push_back({stretch.from, stretch.until, of_cluster[stretch.snapshot_index].point->id});
  }
  std::stable_sort(component.windows.begin(), component.windows.end(),
                   [](const Window& a, const Window& b) { return a.from < b.from; });
  return {};
}

// Of each snapshot as far as the commands behind it go.
Result<void> add_redis_windows(Workspace& workspace, std::vector<SnapshotRef> refs, ComponentWindows& component) {
  component.every_instant = true;
  const auto logs = repo::open_log_store(workspace.repository());
  const auto log = TRY(redis::CommandLog::open(*logs, component.component));
  std::stable_sort(refs.begin(), refs.end(), [](const SnapshotRef& a, const SnapshotRef& b) {
    return a.snapshot->instant < b.snapshot->instant;
  });
  for (const SnapshotRef& ref : refs) {
    const Time until = TRY(protected_until(*log, *ref.snapshot));
    if (component.windows.empty() || ref.snapshot->instant > component.windows.back().until)
      component.windows.push_back({ref.snapshot->instant, until, ref.point->id});
    component.windows.back().until = std::max(component.windows.back().until, until);
  }
  return {};
}

void add_snapshots_window(const std::vector<SnapshotRef>& refs, ComponentWindows& component) {
  const auto [first, last] = std::minmax_element(
      refs.begin(), refs.end(), [](const auto& a, const auto& b) { return a.snapshot->instant < b.snapshot->instant; });
  component.windows.push_back({first->snapshot->instant, last->snapshot->instant, first->point->id});
}

}  // namespace

Result<std::vector<ComponentWindows>> windows_of(Workspace& workspace, const std::vector<repo::Point>& points) {
  std::set<std::string> names;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) names.insert(snapshot.component);
  }
  std::vector<ComponentWindows> all;
  for (const std::string& name : names) {
    ComponentWindows component;
    component.component = name;
    auto refs = snapshots_of(points, name);
    component.kind = refs.back().snapshot->kind;
    // A component that was of another kind before keeps only its name.
    std::erase_if(refs, [&](const SnapshotRef& ref) { return ref.snapshot->kind != component.kind; });
    if (component.kind == "postgres")
      TRY_CONTEXT(add_postgres_windows(workspace, refs, component), "component {}", name);
    else if (component.kind == "redis")
      TRY_CONTEXT(add_redis_windows(workspace, refs, component), "component {}", name);
    else
      add_snapshots_window(refs, component);
    all.push_back(std::move(component));
  }
  return all;
}

std::set<std::pair<repo::PointId, std::string>> window_begins(const std::vector<ComponentWindows>& windows) {
  std::set<std::pair<repo::PointId, std::string>> begins;
  for (const ComponentWindows& component : windows) {
    for (size_t i = 1; i < component.windows.size(); i++)
      begins.insert({component.windows[i].begins, component.component});
  }
  return begins;
}

}  // namespace holdfast::recovery
