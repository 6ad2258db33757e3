#include "recovery/restore.h"

#include <functional>
#include <optional>

#include "base/inodes.h"
#include "base/log.h"
#include "recovery/apart.h"
#include "recovery/redis_restore.h"
#include "recovery/server_account.h"
#include "recovery/stage.h"
#include "source/files/restore.h"

namespace holdfast::recovery {

namespace {

postgres::MaterialiseOptions materialise_options(Workspace& workspace, const RestoreRequest& request,
                                                 const ComponentPlan& plan, bool dry_run) {
  postgres::MaterialiseOptions options;
  options.to = plan.to;
  options.tablespaces = request.tablespaces;
  options.delta = request.delta;
  options.remove_extra = request.remove_extra;
  options.standby = request.standby;
  options.primary_conninfo = request.primary_conninfo;
  options.action = request.action;
  options.restore_command = plan.restore_command;
  options.archiving_off = plan.archiving_off;
  options.check_account = [&workspace, &plan](const std::vector<std::string>& places, std::optional<uint32_t> uid,
                                              std::optional<uint32_t> gid) {
    return check_server_account(workspace.machine().fs, workspace.stack(), plan, places, uid, gid);
  };
  options.check_place = [&workspace](const std::string& directory) {
    return check_apart(workspace.machine().fs, directory, true, workspace.stack().repository_directory());
  };
  options.dry_run = dry_run;
  options.uid = request.uid;
  options.gid = request.gid;
  return options;
}

files::RestoreOptions files_options(Workspace& workspace, const RestoreRequest& request, const ComponentPlan& plan,
                                    bool dry_run) {
  files::RestoreOptions options;
  options.to = plan.to;
  options.only = request.only;
  options.delta = request.delta;
  options.remove_extra = request.remove_extra;
  options.numeric_ids = request.numeric_ids;
  options.repository = workspace.stack().repository_directory();
  const ComponentConfig* config = workspace.stack().find(plan.component);
  if (config != nullptr && config->kind == "files") options.excludes = config->files.excludes;
  options.dry_run = dry_run;
  return options;
}

Result<void> rehearse(Workspace& workspace, const RestoreRequest& request, ComponentPlan& plan) {
  // A rehearsal counts nothing: what it reads is not what a person waits for.
  Progress unseen;
  source::World world{workspace.machine().fs, workspace.machine().clock, unseen, workspace.stack().effective_threads()};
  if (plan.kind == "postgres") {
    auto report = TRY(postgres::materialise(world, workspace.repository(), plan.snapshot, *plan.target,
                                            materialise_options(workspace, request, plan, true)));
    add_notes(plan, report.notes);
    plan.owner = report.owner;
    for (const auto& removed : report.would_remove) plan.changes.add("remove", removed.kind, removed.path);
    for (const std::string& tablespace : report.tablespaces) plan.notes.push_back("tablespace " + tablespace);
    return {};
  }
  if (plan.kind == "redis") return rehearse_redis(workspace, request, plan, unseen);
  auto report =
      TRY(files::restore(world, workspace.repository(), plan.snapshot, files_options(workspace, request, plan, true)));
  plan.changes = std::move(report.changes);
  add_notes(plan, report.notes);
  if (report.bytes > 0) plan.bytes = report.bytes;  // of the paths chosen; over what is there it is not known
  return {};
}

// All of those that are `wanted`: who mends one obstacle should know of the next.
Result<void> rehearse_all(Workspace& workspace, const RestoreRequest& request, RestorePlan& plan,
                          const std::function<bool(const ComponentPlan&)>& wanted) {
  std::optional<Error> first;
  std::string further;
  for (ComponentPlan& component : plan.components) {
    if (!wanted(component)) continue;
    auto rehearsed = rehearse(workspace, request, component);
    if (rehearsed.ok()) continue;
    component.obstacle = rehearsed.error().text();
    if (rehearsed.error().code() == ErrorCode::kInterrupted) return rehearsed;
    if (first) further += fmt::format("; component {}: {}", component.component, component.obstacle);
    if (!first) first = std::move(rehearsed).error().with_context("component " + component.component);
  }
  if (!first) return {};
  if (further.empty()) return std::move(*first);
  return make_error(first->code(), "{}{}", first->clone().with_hint("").text(), further).with_hint(first->hint());
}

Result<ComponentRestored> restore_by_kind(Workspace& workspace, const RestoreRequest& request,
                                          const ComponentPlan& plan) {
  source::World world = workspace.world();
  const Duration began = world.clock.monotonic();
  ComponentRestored outcome;
  if (plan.kind == "postgres") {
    auto report = TRY(postgres::materialise(world, workspace.repository(), plan.snapshot, *plan.target,
                                            materialise_options(workspace, request, plan, false)));
    outcome.files = report.files;
    outcome.bytes = report.bytes;
    outcome.bytes_written = report.bytes_written;
    outcome.notes = std::move(report.notes);
    outcome.owner = std::move(report.owner);
  } else if (plan.kind == "redis") {
    outcome = TRY(restore_redis(workspace, request, plan));
  } else {
    auto report = TRY(
        files::restore(world, workspace.repository(), plan.snapshot, files_options(workspace, request, plan, false)));
    outcome.files = report.files;
    outcome.bytes = report.bytes;
    outcome.bytes_written = report.bytes_written;
    outcome.faults = std::move(report.faults);
    outcome.notes = std::move(report.notes);
  }
  outcome.component = plan.component;
  outcome.took = world.clock.monotonic() - began;
  log_info("recovery.component.restored", {{"component", plan.component}, {"to", plan.to}, {"bytes", outcome.bytes}});
  return outcome;
}

Result<ComponentRestored> restore_component(Workspace& workspace, const RestoreRequest& request,
                                            const ComponentPlan& plan) {
  auto restored = restore_by_kind(workspace, request, plan);
  if (restored.ok() || restored.error().code() != ErrorCode::kNoSpace || !is_out_of_inodes(plan.to)) return restored;
  return std::move(restored).error().with_hint(hint_of_inodes(plan.to));
}

}  // namespace

Result<void> rehearse_restore(Workspace& workspace, const RestoreRequest& request, RestorePlan& plan) {
  return rehearse_all(workspace, request, plan, [](const ComponentPlan&) { return true; });
}

Result<std::vector<ComponentRestored>> carry_out(Workspace& workspace, const RestoreRequest& request,
                                                 RestorePlan& plan) {
  // A component alone refuses by itself before it writes. Over files that are
  // there (delta) a rehearsal would read them all and could refuse nothing.
  workspace.machine().progress.phase = "checking the targets";
  TRY(rehearse_all(workspace, request, plan, [&](const ComponentPlan& component) {
    return plan.components.size() > 1 && !(component.kind == "files" && request.delta);
  }));
  workspace.machine().progress.phase = "restoring";
  std::vector<ComponentRestored> outcomes;
  for (const ComponentPlan& component : plan.components) {
    begin_stage(workspace.machine().progress, component.bytes);
    outcomes.push_back(
        TRY_CONTEXT(restore_component(workspace, request, component), "component {}", component.component));
  }
  return outcomes;
}

}  // namespace holdfast::recovery
