#include "recovery/live_verify.h"

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/database_component.h"
#include "recovery/points.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/postgres/wal_path.h"

namespace holdfast::recovery {

namespace {

Result<repo::Point> choose_point(Workspace& workspace, const LiveVerifyRequest& request, const std::string& component) {
  if (request.point != "latest") return workspace.repository().find_point(request.point);
  auto points = TRY(stack_points(workspace));
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (find_snapshot(*point, component) != nullptr) return std::move(*point);
  }
  return make_error(ErrorCode::kNotFound, "there is no recovery point of component '{}' to compare with", component)
      .with_hint("take one with 'holdfast backup'");
}

// The server must be the cluster that the point is of: other data would look like damage.
Result<void> check_cluster(const postgres::Connection& connection, const std::string& database, uint64_t system_id) {
  postgres::SessionOptions options;
  options.database = database;
  auto session = TRY(postgres::ServerSession::connect(connection, options));
  const std::string there = TRY(session->value("select system_identifier::text from pg_control_system()"));
  if (there == std::to_string(system_id)) return {};
  return make_error(ErrorCode::kMismatch,
                    "the server is another cluster than the point's: system identifier {}, not {}", there, system_id);
}

// Where the log of the point's cluster ends, and when its last commit was. A point just taken
// may have none behind it: then the log before it is looked at, as far back as `since`.
Result<postgres::LogEnd> log_end(Workspace& workspace, postgres::WalArchive& archive, const repo::Snapshot& snapshot,
                                 Time since) {
  const postgres::RecoveryWindow window = TRY(postgres::recovery_window(archive, {snapshot}));
  const ClusterFacts facts = TRY(cluster_facts(snapshot));
  const auto path = TRY(postgres::WalPath::follow(archive, window.timeline, facts.start));
  postgres::LogEnd found{path.timeline(), path.end(), path.last_commit()};
  const auto points = TRY(stack_points(workspace));
  const auto refs = snapshots_of(points, snapshot.component, snapshot.kind);
  for (auto ref = refs.rbegin(); ref != refs.rend() && !found.last_commit; ++ref) {
    const repo::Snapshot& older = *ref->snapshot;
    const ClusterFacts then = TRY(cluster_facts(older));
    if (then.system_id != facts.system_id || then.start >= facts.start) continue;
    const auto longer = TRY(postgres::WalPath::follow(archive, window.timeline, then.start));
    if (longer.end() < found.end) break;
    found.last_commit = longer.last_commit();
    if (older.instant < since) break;
  }
  return found;
}

}  // namespace

Result<LiveVerifyOutcome> verify_live_database(Workspace& workspace, const LiveVerifyRequest& request) {
  TRY(workspace.hold_for_reading("verify"));
  LiveVerifyOutcome outcome;
  outcome.component = TRY(database_component(workspace, request.components));
  const ComponentConfig* config = workspace.stack().find(outcome.component);
  if (config == nullptr && workspace.stack().path.empty())
    return make_error(ErrorCode::kConfig, "no file says where the server of component '{}' is", outcome.component)
        .with_hint("name the stack's file with --config; --boot verifies without the server");
  if (config == nullptr || config->kind != "postgres")
    return make_error(ErrorCode::kNotFound, "the stack has no PostgreSQL component '{}'", outcome.component);
  outcome.point = TRY(choose_point(workspace, request, outcome.component));
  const repo::Snapshot* snapshot = find_snapshot(outcome.point, outcome.component);
  if (snapshot == nullptr)
    return make_error(ErrorCode::kNotFound, "point {} holds no component '{}'", outcome.point.id.hex().substr(0, 8),
                      outcome.component);
  const postgres::SnapshotSource source = TRY(postgres::snapshot_source(*snapshot));
  const postgres::Connection connection = TRY(connection_of(*config));
  TRY(check_cluster(connection, request.database, source.system_id));
  auto archive = TRY(open_archive(workspace, outcome.component, source.system_id, source.segment_bytes));

  postgres::LiveVerifyOptions options;
  options.database = request.database;
  options.recorded = source.counts.value(request.database, nlohmann::json());
  options.full_check = request.full_check;
  options.recent = request.recent;
  options.deadline = request.deadline;
  if (request.recent)
    options.log = TRY(log_end(workspace, *archive, *snapshot, workspace.machine().clock.now() - *request.recent));
  options.history = [&archive](uint32_t timeline) { return archive->history(timeline); };
  source::World world = workspace.world();
  const Duration began = world.clock.monotonic();
  outcome.live = TRY_CONTEXT(postgres::verify_live(world, connection, options), "component {}", outcome.component);
  if (options.recorded.is_null())
    outcome.live.notes.push_back(fmt::format("the point recorded nothing of database '{}'", request.database));
  outcome.took = world.clock.monotonic() - began;
  log_info("recovery.live.verified",
           {{"component", outcome.component}, {"findings", uint64_t{outcome.live.report.findings.size()}}});
  return outcome;
}

}  // namespace holdfast::recovery
