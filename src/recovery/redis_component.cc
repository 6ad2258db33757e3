#include "recovery/redis_component.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/secret.h"
#include "recovery/program_version.h"
#include "repo/host.h"
#include "repo/point_dates.h"
#include "source/redis/capture.h"
#include "source/redis/target.h"

namespace holdfast::recovery {

namespace {

// What lies between the windows, and why.
std::vector<RedisWindowGap> gaps_between(const std::vector<RedisWindow>& windows, const redis::CommandLog& log) {
  std::vector<RedisWindowGap> gaps;
  for (size_t i = 1; i < windows.size(); i++) {
    RedisWindowGap gap{windows[i - 1].until, windows[i].from, "no log was received"};
    for (const redis::LogGap& stored : log.gaps()) {
      if (stored.to_instant > gap.from && stored.from_instant < gap.until) gap.reason = stored.reason;
    }
    gaps.push_back(std::move(gap));
  }
  return gaps;
}

Result<RedisLogState> state_of(Workspace& workspace, PointDates& dates, const std::vector<repo::Point>& points,
                               const std::string& component) {
  RedisLogState state;
  state.component = component;
  const auto snapshots = TRY(redis_snapshots(dates, points, component));
  const RedisLog opened = TRY(open_redis_log(workspace, component, snapshots, dates));
  redis::CommandLog* log = opened.log.get();
  state.ranges = TRY(log->ranges());
  for (const redis::LogRange& range : state.ranges) {
    state.records += range.records;
    state.stored_bytes += range.stored_bytes;
  }
  state.links = log->links();
  state.absences = log->absences();
  state.windows = TRY(find_windows(*log, snapshots));
  state.gaps = gaps_between(state.windows, *log);
  return state;
}

// Commits what the server sent instead of going on.
Result<void> commit_snapshot(Workspace& workspace, const ComponentConfig& component,
                             redis::ReplicationSession& replication, const redis::SyncAnswer& answer) {
  repo::WriteOptions write;
  write.purpose = "log receive";
  write.compression_level = workspace.stack().compression_level;
  auto session = TRY(repo::WriteSession::begin(workspace.repository(), write));
  source::World world = workspace.world();
  repo::Snapshot snapshot = TRY(redis::capture_rdb(world, *session, replication, answer));
  snapshot.component = component.name;
  repo::Point point;
  point.stack = workspace.stack().stack;
  point.host = repo::host_name();
  point.version = kProgramVersion;
  point.time = workspace.machine().clock.now();
  point.snapshots.push_back(std::move(snapshot));
  TRY_CONTEXT(session->commit(point), "committing the recovery point");
  log_info("recovery.point.committed", {{"point", point.id.hex()}, {"component", component.name}});
  return {};
}

}  // namespace

Result<redis::Connection> redis_connection_of(const ComponentConfig& component) {
  const RedisConfig& config = component.redis;
  redis::Connection connection =
      TRY_CONTEXT(redis::parse_connection(config.connection), "component {}", component.name);
  if (!config.user.empty()) connection.user = config.user;
  if (!config.password.empty())
    connection.password = TRY_CONTEXT(resolve_secret(config.password), "password of component {}", component.name);
  connection.tls = connection.tls || config.tls;
  connection.tls_ca = config.tls_ca;
  connection.tls_cert = config.tls_cert;
  connection.tls_key = config.tls_key;
  return connection;
}

Result<repo::Snapshot> capture_redis(source::World& world, repo::WriteSession& session,
                                     const ComponentConfig& component) {
  const redis::Connection connection = TRY(redis_connection_of(component));
  return redis::capture(world, session, connection);
}

bool lacks_users(const repo::Snapshot& snapshot) {
  if (snapshot.kind != "redis") return false;
  const auto source = redis::snapshot_source(snapshot);
  return source.ok() && source->has_users;
}

Result<void> PointDates::know() {
  if (stored_) return {};
  now_ = workspace_.machine().clock.now();
  stored_ = TRY(repo::stored_times(workspace_.repository()));
  return {};
}

Time PointDates::stored_at(const SnapshotRef& ref) const {
  const auto found = stored_->find(ref.point->id);
  return found == stored_->end() ? now_ : found->second;
}

bool PointDates::is_wrong(const SnapshotRef& ref) const {
  return ref.snapshot->instant > std::min(now_, stored_at(ref)) + repo::kClockTolerance;
}

Result<std::vector<SnapshotRef>> redis_snapshots(PointDates& dates, const std::vector<repo::Point>& points,
                                                 const std::string& component) {
  auto snapshots = snapshots_of(points, component, "redis");
  if (snapshots.empty()) return snapshots;
  TRY(dates.know());
  std::optional<Time> last_right;
  for (const SnapshotRef& ref : snapshots)
    if (!dates.is_wrong(ref)) last_right = std::max(last_right.value_or(dates.stored_at(ref)), dates.stored_at(ref));
  std::erase_if(snapshots,
                [&](const SnapshotRef& ref) { return dates.is_wrong(ref) && dates.stored_at(ref) <= last_right; });
  std::stable_sort(snapshots.begin(), snapshots.end(), [](const SnapshotRef& a, const SnapshotRef& b) {
    return a.snapshot->instant < b.snapshot->instant;
  });
  return snapshots;
}

Result<RedisLog> open_redis_log(Workspace& workspace, const std::string& component) {
  RedisLog opened;
  opened.store = repo::open_log_store(workspace.repository());
  opened.log = TRY(redis::CommandLog::open(*opened.store, component));
  return opened;
}

Result<RedisLog> open_redis_log(Workspace& workspace, const std::string& component,
                                const std::vector<SnapshotRef>& snapshots, PointDates& dates) {
  RedisLog opened = TRY(open_redis_log(workspace, component));
  if (snapshots.empty()) return opened;
  TRY(dates.know());
  std::vector<redis::SnapshotPlace> places;
  for (const SnapshotRef& ref : snapshots) {
    auto place = redis::snapshot_place(*ref.snapshot);
    if (place.ok() && place->instant <= dates.now() && !dates.is_wrong(ref)) places.push_back(std::move(place).value());
  }
  opened.log->count_on(places);
  return opened;
}

Result<std::vector<RedisWindow>> find_windows(redis::CommandLog& log, const std::vector<SnapshotRef>& snapshots) {
  std::vector<redis::SnapshotPlace> places;
  for (const SnapshotRef& ref : snapshots) places.push_back(TRY(redis::snapshot_place(*ref.snapshot)));
  std::vector<RedisWindow> windows;
  size_t leader = 0;  // whose commands reach the window's end
  for (size_t i = 0; i < snapshots.size(); i++) {
    const repo::Snapshot& snapshot = *snapshots[i].snapshot;
    const Time until = TRY(protected_until(log, snapshot));
    const bool is_new = windows.empty() || snapshot.instant > windows.back().until;
    if (is_new) windows.push_back({snapshot.instant, until, {}, {}});
    RedisWindow& window = windows.back();
    const bool is_outlived = !is_new && until < window.until &&
                             (redis::is_one_line(log, places[i].position, places[leader].position) ||
                              redis::is_left_for(log, places, places[i], places[leader]));
    if (is_outlived) window.astray.push_back(i);
    // The log before it may reach to its instant only because it is there.
    const bool is_end = until == snapshot.instant;
    if (is_outlived || (!is_new && until == window.until && !is_end)) continue;
    window.begins.push_back(i);
    window.until = until;
    leader = i;
  }
  return windows;
}

Result<Time> protected_until(redis::CommandLog& log, const repo::Snapshot& snapshot) {
  const redis::SnapshotSource source = TRY(redis::snapshot_source(snapshot));
  if (!log.knows(source.position)) return snapshot.instant;
  return std::max(snapshot.instant, TRY(log.reach(source.position)).covered_until);
}

Result<std::vector<RedisLogState>> redis_log_states(Workspace& workspace) {
  const auto points = TRY(stack_points(workspace));
  std::set<std::string> components;
  for (const repo::Point& point : points)
    for (const repo::Snapshot& snapshot : point.snapshots)
      if (snapshot.kind == "redis") components.insert(snapshot.component);
  auto logs = repo::open_log_store(workspace.repository());
  for (const std::string& stream : TRY(logs->streams())) {
    const auto id = redis::parse_stream(stream);
    if (id && workspace.stack().find(id->component) != nullptr) components.insert(id->component);
  }
  PointDates dates(workspace);
  std::vector<RedisLogState> states;
  for (const std::string& component : components)
    states.push_back(TRY_CONTEXT(state_of(workspace, dates, points, component), "log of {}", component));
  return states;
}

Result<void> receive_redis(Workspace& workspace, const ComponentConfig& component,
                           const std::function<void(const redis::ReceiverState&)>& on_state) {
  const redis::Connection connection = TRY(redis_connection_of(component));
  auto logs = repo::open_log_store(workspace.repository(), workspace.stack().compression_level);
  auto log = TRY(redis::CommandLog::open(*logs, component.name));
  std::optional<redis::SnapshotPlace> newest;
  const auto points = TRY(stack_points(workspace));
  PointDates dates(workspace);
  if (const auto snapshots = TRY(redis_snapshots(dates, points, component.name)); !snapshots.empty())
    newest = TRY(redis::snapshot_place(*snapshots.back().snapshot));
  const redis::TakeSnapshot take = [&](redis::ReplicationSession& session, const redis::SyncAnswer& answer) {
    return commit_snapshot(workspace, component, session, answer);
  };
  return redis::receive_commands(connection, *log, workspace.machine().clock, {}, newest, take,
                                 workspace.machine().progress.stop, on_state);
}

std::string no_place_note(const ComponentConfig& component) {
  if (component.kind != "redis" || !component.redis.data_directory.empty()) return "";
  return "nothing says where 'restore' is to put it: data_directory in holdfast.yaml does";
}

}  // namespace holdfast::recovery
