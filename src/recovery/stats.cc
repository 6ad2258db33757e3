#include "recovery/stats.h"

#include <algorithm>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "repo/point_dates.h"
#include "source/postgres/beside.h"
#include "source/postgres/kept_wal.h"
#include "source/postgres/server_watch.h"
#include "source/postgres/target.h"
#include "source/redis/target.h"

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

// The server's time, and where its log ended then or later: timeline 0 on a standby.
Result<postgres::ServerState> ask_server(const ComponentConfig& component, uint64_t system_id) {
  const postgres::Connection connection = TRY(connection_of(component));
  postgres::SessionOptions options;
  options.connect_deadline = options.deadline = kAskDeadline;
  auto session = TRY(postgres::ServerSession::connect(connection, options));
  const std::string there = TRY(session->value("SELECT system_identifier::text FROM pg_control_system()"));
  if (there != std::to_string(system_id))
    return make_error(ErrorCode::kMismatch, "the server is another cluster: system identifier {}, not {}", there,
                      system_id);
  return postgres::ask_server_state(*session, component.postgres.slot);
}

// All commits that were acknowledged by this time can be restored. The log itself
// proves it up to its last commit or mark; that nothing came after is the server's to say.
Result<void> look_at_wal(Workspace& workspace, const std::vector<SnapshotRef>& refs, const ComponentConfig* component,
                         ObjectiveState& state) {
  const repo::Snapshot& newest = *refs.back().snapshot;
  const ClusterFacts facts = TRY(cluster_facts(newest));
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  bool is_astray = false;
  const auto look = [&]() -> Result<postgres::RecoveryWindow> {
    auto archive = TRY(open_archive(workspace, newest.component, facts.system_id, facts.segment_bytes));
    const auto astray = TRY(postgres::snapshots_astray(*archive, snapshots));
    is_astray = !astray.empty() && astray.back() + 1 == snapshots.size();
    return postgres::recovery_window(*archive, snapshots);
  };
  Clock& clock = workspace.machine().clock;
  const auto asked =
      component ? ask_server(*component, facts.system_id) : Result<postgres::ServerState>(postgres::ServerState());
  if (!asked.ok()) state.problem = asked.error().text();
  if (asked.ok() && asked.value().is_beside) state.notes.emplace_back(postgres::kStillBeside);
  const postgres::WalMark server = asked.ok() ? asked.value().end : postgres::WalMark();
  const Duration until = clock.monotonic() + kStoreSoon;
  postgres::RecoveryWindow window;
  while (true) {
    window = TRY(look());
    state.protected_until = window.until.value_or(newest.instant);
    if (server.timeline == 0 || server.timeline != window.timeline) break;
    if (server.lsn <= window.end) {
      state.protected_until = std::max(*state.protected_until, server.time);
      break;
    }
    if (clock.monotonic() >= until) break;
    clock.sleep(kStorePoll);
  }
  if (is_astray)
    state.notes.push_back(
        fmt::format("its newest snapshot, of {}, is of timeline {}, which the server left; --point restores it",
                    format_local(newest.instant), facts.timeline));
  if (window.broken) {
    auto archive = TRY(open_archive(workspace, newest.component, facts.system_id, facts.segment_bytes));
    const auto ranges = archive->ranges();  // where they can't be read, nobody knows
    const bool will_come =
        asked.ok() && ranges.ok() &&
        postgres::is_kept_by_server(window.timeline, window.end, ranges.value(), asked.value().slot_restart);
    state.notes.push_back(fmt::format(
        "WAL is stored behind {} that can't be reached until {}: {}", format_local(*state.protected_until),
        will_come ? "the server's slot has given what is missing to 'holdfast wal receive'" : "there is a new point",
        *window.broken));
  }
  return {};
}

Result<void> look_at_commands(Workspace& workspace, PointDates& dates, const std::vector<repo::Point>& points,
                              ObjectiveState& state) {
  const auto refs = TRY(redis_snapshots(dates, points, state.component));
  const RedisLog opened = TRY(open_redis_log(workspace, state.component, refs, dates));
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  state.protected_until = TRY(redis::recovery_window(*opened.log, snapshots)).until;
  for (std::string& note : TRY(redis::notes_of_newest(*opened.log, snapshots))) state.notes.push_back(std::move(note));
  return {};
}

}  // namespace

bool is_of_wrong_clock(Duration exposure) { return exposure < Duration{} - repo::kClockTolerance; }

Result<std::vector<ObjectiveState>> objective_states(Workspace& workspace, bool ask_server) {
  const auto points = TRY(stack_points(workspace));
  PointDates dates(workspace);
  std::vector<ObjectiveState> states;
  for (const ComponentConfig& component : workspace.stack().components) {
    ObjectiveState state;
    state.component = component.name;
    state.kind = component.kind;
    state.rpo = component.rpo;
    state.rto = component.rto;
    if (std::string note = no_place_note(component); !note.empty()) state.notes.push_back(std::move(note));
    const auto refs = snapshots_of(points, component.name, component.kind);
    if (!refs.empty()) {
      const repo::Snapshot& newest = *refs.back().snapshot;
      state.newest_bytes = newest.source_bytes;
      state.protected_until = newest.instant;
      if (component.kind == "postgres")
        TRY_CONTEXT(look_at_wal(workspace, refs, ask_server ? &component : nullptr, state), "component {}",
                    component.name);
      if (component.kind == "redis")
        TRY_CONTEXT(look_at_commands(workspace, dates, points, state), "component {}", component.name);
      state.exposure = workspace.machine().clock.now() - *state.protected_until;
    }
    if (state.rpo)
      state.rpo_met = state.exposure && *state.exposure <= *state.rpo && !is_of_wrong_clock(*state.exposure);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast::recovery
