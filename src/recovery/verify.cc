#include "recovery/verify.h"

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_restore.h"
#include "recovery/stage.h"
#include "repo/collect.h"
#include "source/files/faults.h"
#include "source/files/restore.h"
#include "source/postgres/verify.h"
#include "source/scratch_place.h"

namespace holdfast::recovery {

namespace {

Result<source::VerifyReport> boot_postgres(Workspace& workspace, const VerifyRequest& request,
                                           const repo::Snapshot& snapshot) {
  const ClusterFacts facts = TRY(cluster_facts(snapshot));
  auto archive = TRY(open_archive(workspace, snapshot.component, facts.system_id, facts.segment_bytes));
  source::RestoreTarget target;
  target.immediate = true;
  const postgres::ResolvedTarget resolved = TRY(postgres::resolve_target(*archive, {snapshot}, target));
  postgres::BootOptions options;
  if (const ComponentConfig* config = workspace.stack().find(snapshot.component)) {
    options.bin_directory = config->postgres.bin_directory;
    options.assertions = config->postgres.assertions;
  }
  options.scratch_directory = request.scratch_directory;
  options.amcheck = request.amcheck;
  options.deadline = request.deadline;
  options.restore_command = restore_command(workspace.stack(), snapshot.component, facts);
  source::World world = workspace.world();
  return postgres::verify_by_booting(world, workspace.repository(), snapshot, resolved, options);
}

// Restores files aside and compares them with the snapshot, byte for byte.
Result<source::VerifyReport> restore_files_aside(Workspace& workspace, const VerifyRequest& request,
                                                 const repo::Snapshot& snapshot) {
  source::World world = workspace.world();
  const auto scratch = TRY(source::ScratchPlace::make(world.fs, world.clock, request.scratch_directory));
  files::RestoreOptions options;
  options.to = TRY(scratch.folder("files"));
  TRY(files::restore(world, workspace.repository(), snapshot, options));
  return files::verify(world, workspace.repository(), snapshot, options.to);
}

Result<source::VerifyReport> verify_snapshot(Workspace& workspace, const VerifyRequest& request,
                                             const repo::Snapshot& snapshot) {
  const bool boot = request.mode == VerifyMode::kBoot;
  source::World world = workspace.world();
  if (snapshot.kind == "postgres") {
    return boot ? boot_postgres(workspace, request, snapshot)
                : postgres::verify_offline(world, workspace.repository(), snapshot);
  }
  if (snapshot.kind == "redis") return verify_redis(workspace, request, snapshot);
  return boot ? restore_files_aside(workspace, request, snapshot)
              : verify_readable(world, workspace.repository(), snapshot);
}

// A database that was booted, whose rows nobody could count, looks right as far as was looked.
std::string not_compared_note(const source::VerifyReport& report) {
  if (!report.details.is_object()) return "";
  const std::string why = report.details.value("counts_skipped", "");
  return why.empty() ? "" : "row counts were not compared: " + why;
}

}  // namespace

size_t VerifyOutcome::findings() const {
  size_t sum = 0;
  for (const ComponentVerified& component : components) sum += component.report.findings.size();
  return sum;
}

Result<VerifyOutcome> verify_point(Workspace& workspace, const VerifyRequest& request) {
  VerifyOutcome outcome;
  TRY(workspace.hold_for_reading("verify"));
  if (request.point == "latest") {
    auto points = TRY(stack_points(workspace));
    if (points.empty())
      return make_error(ErrorCode::kNotFound, "there is no recovery point to verify")
          .with_hint(hint_without_points(workspace));
    outcome.point = std::move(points.back());
  } else {
    outcome.point = TRY(workspace.repository().find_point(request.point));
  }
  TRY(check_component_names({outcome.point}, request.components));
  Clock& clock = workspace.machine().clock;
  for (const repo::Snapshot& snapshot : outcome.point.snapshots) {
    const auto& wanted = request.components;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), snapshot.component) == wanted.end()) continue;
    const Duration began = clock.monotonic();
    begin_stage(workspace.machine().progress, 0);
    ComponentVerified verified{snapshot.component, snapshot.kind, {}, {}};
    verified.report = TRY_CONTEXT(verify_snapshot(workspace, request, snapshot), "component {}", snapshot.component);
    if (auto note = files::faults_note(snapshot.faults); snapshot.kind == "files" && !note.empty())
      verified.notes.push_back(std::move(note));
    if (std::string note = not_compared_note(verified.report); !note.empty()) verified.notes.push_back(std::move(note));
    verified.took = clock.monotonic() - began;
    outcome.components.push_back(std::move(verified));
  }
  if (outcome.findings() == 0 && outcome.components.size() == outcome.point.snapshots.size()) {
    auto recorded = repo::record_verified(workspace.repository(), outcome.point.id, clock.now());
    outcome.recorded = recorded.ok();
    if (!recorded.ok()) outcome.not_recorded = std::move(recorded).error();
    if (outcome.recorded) log_info("recovery.point.verified", {{"point", outcome.point.id.hex()}});
  }
  return outcome;
}

}  // namespace holdfast::recovery
