#include "recovery/log_state.h"

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/log_store.h"
#include "source/postgres/beside.h"
#include "source/postgres/connection.h"
#include "source/postgres/kept_wal.h"

namespace holdfast::recovery {

namespace {

Result<void> read_slot(const ComponentConfig& component, SlotState& slot) {
  const postgres::Connection connection = TRY(connection_of(component));
  postgres::SessionOptions options;
  options.connect_deadline = Duration::seconds(5);
  options.deadline = Duration::seconds(10);
  auto session = TRY(postgres::ServerSession::connect(connection, options));
  const postgres::ServerState state = TRY(postgres::ask_server_state(*session, slot.name));
  slot.timeline = state.end.timeline;
  slot.server_is_beside = state.is_beside;
  slot.exists = state.slot_exists;
  slot.active = state.slot_is_active;
  slot.wal_status = state.slot_status;
  slot.restart_lsn = state.slot_restart ? state.slot_restart->text() : "";
  slot.retained_bytes = state.slot_kept_bytes;
  slot.limit = state.slot_limit;
  slot.free_bytes = postgres::free_for_wal(state);
  slot.warning = postgres::slot_warning(slot.name, state, slot.free_bytes);
  return {};
}

}  // namespace

SlotState ask_slot(const ComponentConfig& component) {
  SlotState slot;
  slot.name = component.postgres.slot;
  auto read = read_slot(component, slot);
  if (!read.ok()) slot.problem = read.error().text();
  return slot;
}

namespace {

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

// What the server writes now must be what a restore would follow.
void note_timeline_of_server(LogState& state) {
  const uint32_t followed = state.window.timeline;
  if (!state.slot || state.slot->timeline == 0 || followed == 0 || state.slot->timeline == followed) return;
  state.window.notes.push_back(fmt::format(
      "the server is on timeline {}, but a restore to the newest instant follows timeline {}: take a backup, "
      "or say --timeline {} then",
      state.slot->timeline, followed, state.slot->timeline));
}

// What the server still has, such as while the repository is full, is no loss yet.
void note_what_will_come(LogState& state) {
  if (!state.slot || !state.window.broken) return;
  const auto restart = postgres::parse_lsn(state.slot->restart_lsn);
  if (!restart.ok() ||
      !postgres::is_kept_by_server(state.window.timeline, state.window.end, state.ranges, restart.value()))
    return;
  state.window.notes.push_back(fmt::format(
      "the server's slot still keeps the WAL from {} on: it is missing only until 'holdfast wal receive' has "
      "stored it",
      state.window.end.text()));
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
    if (ask_server && component != nullptr && component->kind == "postgres") state.slot = ask_slot(*component);
    note_timeline_of_server(state);
    note_what_will_come(state);
    if (state.slot && state.slot->server_is_beside) state.window.notes.emplace_back(postgres::kStillBeside);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast::recovery
