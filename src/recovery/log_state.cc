#include "recovery/log_state.h"

#include <charconv>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/log_store.h"
#include "source/postgres/connection.h"

namespace holdfast::recovery {

namespace {

Result<void> read_slot(const ComponentConfig& component, SlotState& slot) {
  const postgres::Connection connection = TRY(connection_of(component));
  postgres::SessionOptions options;
  options.connect_deadline = Duration::seconds(5);
  options.deadline = Duration::seconds(10);
  auto session = TRY(postgres::ServerSession::connect(connection, options));
  const postgres::Rows rows =
      TRY(session->exec("select active, coalesce(wal_status, ''), coalesce(restart_lsn::text, ''),"
                        " coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn()"
                        " else pg_current_wal_lsn() end, restart_lsn), 0)::bigint"
                        " from pg_replication_slots where slot_name = $1",
                        {slot.name}));
  if (rows.size() == 0) return {};
  slot.exists = true;
  slot.active = rows.at(0, 0) == "t";
  slot.wal_status = rows.at(0, 1);
  slot.restart_lsn = rows.at(0, 2);
  int64_t retained = 0;
  std::from_chars(rows.at(0, 3).data(), rows.at(0, 3).data() + rows.at(0, 3).size(), retained);
  slot.retained_bytes = retained > 0 ? static_cast<uint64_t>(retained) : 0;
  return {};
}

SlotState slot_state(const ComponentConfig& component) {
  SlotState slot;
  slot.name = component.postgres.slot;
  auto read = read_slot(component, slot);
  if (!read.ok()) slot.problem = read.error().text();
  return slot;
}

Result<LogState> state_of(Workspace& workspace, repo::LogStore& logs, const std::vector<repo::Point>& points,
                          const std::string& stream, const StreamName& name) {
  LogState state;
  state.component = name.component;
  state.system_id = name.system_id;
  for (const auto& record : TRY(logs.list(stream))) {
    state.records++;
    state.stored_bytes += record.stored_bytes;
  }
  uint64_t segment_bytes = 16u << 20;
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : snapshots_of(points, name.component, "postgres")) {
    const ClusterFacts facts = TRY(cluster_facts(*ref.snapshot));
    if (facts.system_id != name.system_id) continue;
    segment_bytes = facts.segment_bytes;
    snapshots.push_back(*ref.snapshot);
  }
  auto archive = TRY(open_archive(workspace, name.component, name.system_id, segment_bytes));
  state.ranges = TRY(archive->ranges());
  if (!snapshots.empty()) {
    state.window = TRY(postgres::recovery_window(*archive, snapshots));
    state.stretches = TRY(postgres::recovery_stretches(*archive, snapshots));
  }
  return state;
}

}  // namespace

Result<std::vector<LogState>> log_states(Workspace& workspace, bool ask_server) {
  const auto points = TRY(stack_points(workspace));
  auto logs = repo::open_log_store(workspace.repository());
  std::vector<LogState> states;
  for (const std::string& stream : TRY(logs->streams())) {
    const auto name = parse_stream_name(stream);
    if (!name) continue;
    const ComponentConfig* component = workspace.stack().find(name->component);
    if (component == nullptr && snapshots_of(points, name->component).empty()) continue;
    LogState state = TRY_CONTEXT(state_of(workspace, *logs, points, stream, *name), "log {}", stream);
    if (ask_server && component != nullptr && component->kind == "postgres") state.slot = slot_state(*component);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast::recovery
