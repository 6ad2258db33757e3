#include "recovery/stats.h"

#include <algorithm>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "repo/log_store.h"
#include "repo/point_dates.h"
#include "source/postgres/server_watch.h"
#include "source/postgres/target.h"
#include "source/redis/command_log.h"

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

// A receiver stores what it has within a fraction of a second: so long may the
// server's end be ahead of what is stored before that counts.
constexpr Duration kStoreSoon = Duration::seconds(2);
constexpr Duration kStorePoll = Duration::milliseconds(200);
constexpr Duration kAskDeadline = Duration::seconds(5);

// The server's time, and where its log ended then or later; timeline 0 on a standby.
Result<postgres::WalMark> end_of_server(const ComponentConfig& component, uint64_t system_id) {
  const postgres::Connection connection = TRY(connection_of(component));
  postgres::SessionOptions options;
  options.connect_deadline = options.deadline = kAskDeadline;
  auto session = TRY(postgres::ServerSession::connect(connection, options));
  const std::string there = TRY(session->value("SELECT system_identifier::text FROM pg_control_system()"));
  if (there != std::to_string(system_id))
    return make_error(ErrorCode::kMismatch, "the server is another cluster: system identifier {}, not {}", there,
                      system_id);
  return TRY(postgres::ask_server_state(*session, component.postgres.slot)).end;
}

// All commits that were acknowledged by this time can be restored. The log itself
// proves it up to its last commit or mark; that nothing came after is the server's to say.
Result<Time> protected_by_log(Workspace& workspace, const std::vector<SnapshotRef>& refs,
                              const ComponentConfig* component, std::string& problem) {
  const repo::Snapshot& newest = *refs.back().snapshot;
  const ClusterFacts facts = TRY(cluster_facts(newest));
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  const auto look = [&]() -> Result<postgres::RecoveryWindow> {
    auto archive = TRY(open_archive(workspace, newest.component, facts.system_id, facts.segment_bytes));
    return postgres::recovery_window(*archive, snapshots);
  };
  Clock& clock = workspace.machine().clock;
  const auto server =
      component ? end_of_server(*component, facts.system_id) : Result<postgres::WalMark>(postgres::WalMark());
  if (!server.ok()) problem = server.error().text();
  const Duration until = clock.monotonic() + kStoreSoon;
  while (true) {
    const postgres::RecoveryWindow window = TRY(look());
    const Time proven = window.until.value_or(newest.instant);
    if (!server.ok() || server.value().timeline == 0 || server.value().timeline != window.timeline) return proven;
    if (server.value().lsn <= window.end) return std::max(proven, server.value().time);
    if (clock.monotonic() >= until) return proven;
    clock.sleep(kStorePoll);
  }
}

}  // namespace

bool is_of_wrong_clock(Duration exposure) { return exposure < Duration{} - repo::kClockTolerance; }

Result<std::vector<ObjectiveState>> objective_states(Workspace& workspace, bool ask_server) {
  const auto points = TRY(stack_points(workspace));
  std::vector<ObjectiveState> states;
  for (const ComponentConfig& component : workspace.stack().components) {
    ObjectiveState state;
    state.component = component.name;
    state.kind = component.kind;
    state.rpo = component.rpo;
    state.rto = component.rto;
    const auto refs = snapshots_of(points, component.name, component.kind);
    if (!refs.empty()) {
      const repo::Snapshot& newest = *refs.back().snapshot;
      state.newest_bytes = newest.source_bytes;
      state.protected_until = newest.instant;
      if (component.kind == "postgres")
        state.protected_until =
            TRY_CONTEXT(protected_by_log(workspace, refs, ask_server ? &component : nullptr, state.problem),
                        "component {}", component.name);
      if (component.kind == "redis") {
        auto logs = repo::open_log_store(workspace.repository());
        auto log = TRY_CONTEXT(redis::CommandLog::open(*logs, component.name), "component {}", component.name);
        const auto windows =
            TRY_CONTEXT(find_windows(*log, redis_snapshots(points, component.name)), "component {}", component.name);
        state.protected_until = windows.back().until;
      }
      state.exposure = workspace.machine().clock.now() - *state.protected_until;
    }
    if (state.rpo)
      state.rpo_met = state.exposure && *state.exposure <= *state.rpo && !is_of_wrong_clock(*state.exposure);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast::recovery
