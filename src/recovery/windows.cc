#include "recovery/windows.h"

#include <algorithm>
#include <map>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "recovery/redis_restore.h"
#include "source/postgres/target.h"

namespace holdfast::recovery {

namespace {

// The snapshots of one of the clusters that a component was, and its archive.
struct OfCluster {
  uint64_t system_id = 0;
  std::vector<SnapshotRef> refs;
  std::vector<repo::Snapshot> snapshots;
  std::unique_ptr<postgres::WalArchive> archive;
};

Result<std::vector<OfCluster>> clusters_of(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  std::map<uint64_t, OfCluster> clusters;
  for (const SnapshotRef& ref : refs) {
    const ClusterFacts facts = TRY(cluster_facts(*ref.snapshot));
    OfCluster& cluster = clusters[facts.system_id];
    cluster.system_id = facts.system_id;
    cluster.refs.push_back(ref);
    cluster.snapshots.push_back(*ref.snapshot);
    if (!cluster.archive)
      cluster.archive = TRY(open_archive(workspace, ref.snapshot->component, facts.system_id, facts.segment_bytes));
  }
  std::vector<OfCluster> result;
  for (auto& [system_id, cluster] : clusters) result.push_back(std::move(cluster));
  return result;
}

// The windows of each cluster that the component was.
Result<void> add_postgres_windows(Workspace& workspace, const std::vector<SnapshotRef>& refs,
                                  ComponentWindows& component) {
  component.every_instant = true;
  for (const OfCluster& cluster : TRY(clusters_of(workspace, refs))) {
    for (const auto& stretch : TRY(postgres::stretches_to_keep(*cluster.archive, cluster.snapshots))) {
      Window window{stretch.from, stretch.until, {}, cluster.system_id};
      if (stretch.snapshot_index) window.begins.push_back(cluster.refs[*stretch.snapshot_index].point->id);
      component.windows.push_back(std::move(window));
    }
  }
  std::stable_sort(component.windows.begin(), component.windows.end(),
                   [](const Window& a, const Window& b) { return a.from < b.from; });
  return {};
}

// Of each snapshot as far as the commands behind it go.
Result<void> add_redis_windows(Workspace& workspace, PointDates& dates, const std::vector<SnapshotRef>& refs,
                               ComponentWindows& component) {
  component.every_instant = true;
  const RedisLog opened = TRY(open_redis_log(workspace, component.component, refs, dates));
  for (const RedisWindow& window : TRY(find_windows(*opened.log, refs))) {
    component.windows.push_back({window.from, window.until, {}, 0});
    for (const size_t index : window.begins) component.windows.back().begins.push_back(refs[index].point->id);
  }
  return {};
}

void add_snapshots_window(const std::vector<SnapshotRef>& refs, ComponentWindows& component) {
  const auto [first, last] = std::minmax_element(
      refs.begin(), refs.end(), [](const auto& a, const auto& b) { return a.snapshot->instant < b.snapshot->instant; });
  component.windows.push_back({first->snapshot->instant, last->snapshot->instant, {first->point->id}, 0});
}

// Every component that the points hold, with the kind that it is now.
std::map<std::string, std::string> kinds_of(const std::vector<repo::Point>& points) {
  std::map<std::string, std::string> kinds;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) kinds[snapshot.component] = snapshot.kind;
  }
  return kinds;
}

Result<void> add_windows(Workspace& workspace, PointDates& dates, const std::vector<repo::Point>& points,
                         ComponentWindows& component) {
  if (component.kind == "redis")
    return add_redis_windows(workspace, dates, TRY(redis_snapshots(dates, points, component.component)), component);
  const auto refs = snapshots_of(points, component.component, component.kind);
  if (component.kind == "postgres") return add_postgres_windows(workspace, refs, component);
  add_snapshots_window(refs, component);
  return {};
}

Result<void> add_astray(Workspace& workspace, PointDates& dates, const std::vector<repo::Point>& points,
                        const std::string& component, SnapshotNames& astray) {
  for (const OfCluster& cluster : TRY(clusters_of(workspace, snapshots_of(points, component, "postgres")))) {
    for (const size_t index : TRY(postgres::snapshots_astray(*cluster.archive, cluster.snapshots)))
      astray.insert({cluster.refs[index].point->id, component});
  }
  const auto refs = TRY(redis_snapshots(dates, points, component));
  if (refs.empty()) return {};
  const RedisLog opened = TRY(open_redis_log(workspace, component, refs, dates));
  for (const RedisWindow& window : TRY(find_windows(*opened.log, refs))) {
    for (const size_t index : window.astray) astray.insert({refs[index].point->id, component});
  }
  return {};
}

}  // namespace

Result<std::vector<ComponentWindows>> windows_of(Workspace& workspace, const std::vector<repo::Point>& points) {
  PointDates dates(workspace);
  std::vector<ComponentWindows> all;
  for (const auto& [name, kind] : kinds_of(points)) {
    ComponentWindows component;
    component.component = name;
    component.kind = kind;
    TRY_CONTEXT(add_windows(workspace, dates, points, component), "component {}", name);
    all.push_back(std::move(component));
  }
  return all;
}

Result<std::vector<std::string>> timelines_left_aside(Workspace& workspace, const std::string& component) {
  const auto points = TRY(stack_points(workspace));
  const auto refs = snapshots_of(points, component, "postgres");
  if (refs.empty()) return std::vector<std::string>();
  const uint64_t newest = TRY(cluster_facts(*refs.back().snapshot)).system_id;
  for (const OfCluster& cluster : TRY(clusters_of(workspace, refs)))
    if (cluster.system_id == newest) return postgres::timelines_left_aside(*cluster.archive, cluster.snapshots);
  return std::vector<std::string>();
}

SnapshotNames window_begins(const std::vector<ComponentWindows>& windows) {
  SnapshotNames begins;
  for (const ComponentWindows& component : windows) {
    for (const Window& window : component.windows) {
      for (const repo::PointId& point : window.begins) begins.insert({point, component.component});
    }
    if (!component.windows.empty() && !component.windows[0].begins.empty())
      begins.erase({component.windows[0].begins[0], component.component});
  }
  return begins;
}

Result<SnapshotNames> astray_snapshots(Workspace& workspace, const std::vector<repo::Point>& points) {
  PointDates dates(workspace);
  SnapshotNames astray;
  for (const auto& [name, kind] : kinds_of(points))
    TRY_CONTEXT(add_astray(workspace, dates, points, name, astray), "component {}", name);
  return astray;
}

}  // namespace holdfast::recovery
