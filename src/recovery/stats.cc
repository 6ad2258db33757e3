#include "recovery/stats.h"

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "source/postgres/target.h"

namespace holdfast::recovery {

Result<RepositoryStats> repository_stats(Workspace& workspace) {
  RepositoryStats stats;
  TRY(workspace.repository().environment().store.list("", [&](const store::ObjectInfo& info) -> Result<void> {
    const std::string kind = info.name.substr(0, info.name.find('/'));
    for (ObjectCount* count : {&stats.by_kind[kind], &stats.total}) {
      count->objects++;
      count->bytes += info.size_bytes;
    }
    return {};
  }));
  for (const repo::Point& point : TRY(stack_points(workspace))) {
    stats.points++;
    stats.newest_source_bytes = 0;
    for (const repo::Snapshot& snapshot : point.snapshots) stats.newest_source_bytes += snapshot.source_bytes;
    stats.all_source_bytes += stats.newest_source_bytes;
  }
  return stats;
}

namespace {

// How far back the newest restorable instant lies.
Result<std::optional<Time>> protected_until(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  const repo::Snapshot& newest = *refs.back().snapshot;
  if (newest.kind != "postgres") return std::optional<Time>(newest.instant);
  const ClusterFacts facts = TRY(cluster_facts(newest));
  auto archive = TRY(open_archive(workspace, newest.component, facts.system_id, facts.segment_bytes));
  const auto window = TRY(postgres::recovery_window(*archive, {newest}));
  return window.until ? window.until : std::optional<Time>(newest.instant);
}

}  // namespace

Result<std::vector<ObjectiveState>> objective_states(Workspace& workspace) {
  const auto points = TRY(stack_points(workspace));
  const Time now = workspace.machine().clock.now();
  std::vector<ObjectiveState> states;
  for (const ComponentConfig& component : workspace.stack().components) {
    ObjectiveState state;
    state.component = component.name;
    state.kind = component.kind;
    state.rpo = component.rpo;
    state.rto = component.rto;
    const auto refs = snapshots_of(points, component.name);
    if (!refs.empty()) {
      state.newest_bytes = refs.back().snapshot->source_bytes;
      state.protected_until = TRY_CONTEXT(protected_until(workspace, refs), "component {}", component.name);
      state.exposure = now - *state.protected_until;
    }
    if (state.rpo) state.rpo_met = state.exposure && *state.exposure <= *state.rpo;
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast::recovery
