#include "recovery/extract.h"

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/database_component.h"
#include "source/scratch_place.h"

namespace holdfast::recovery {

namespace {

Result<postgres::Connection> connection_to(Workspace& workspace, const ExtractRequest& request,
                                           const std::string& component) {
  if (!request.server.empty()) {
    TRY_CONTEXT(postgres::check_connection(request.server), "--server");
    return postgres::Connection{request.server, {}, {}};
  }
  const ComponentConfig* config = workspace.stack().find(component);
  if (config == nullptr || config->kind != "postgres")
    return make_error(ErrorCode::kConfig, "the stack does not say where the server of component '{}' is", component)
        .with_hint("name it with --server CONNINFO");
  return connection_of(*config);
}

}  // namespace

Result<ExtractPlan> plan_extract(Workspace& workspace, ExtractRequest& request) {
  const std::string component = TRY(database_component(workspace, request.instant.components));
  request.instant.components = {component};
  // What is restored of the cluster lies in the scratch directory for a while.
  request.options.scratch_directory = source::scratch_directory(request.options.scratch_directory);
  request.instant.to = join_path(request.options.scratch_directory, "holdfast-aside");
  RestorePlan plan = TRY(plan_restore(workspace, request.instant));
  CHECK(plan.components.size() == 1);
  ExtractPlan result{plan.now, std::move(plan.components.front())};
  if (result.source.kind != "postgres")
    return make_error(ErrorCode::kUsage, "component '{}' is of kind {}: --database is for PostgreSQL", component,
                      result.source.kind);
  if (const ComponentConfig* config = workspace.stack().find(component))
    request.options.bin_directory = config->postgres.bin_directory;
  request.options.restore_command = result.source.restore_command;
  const postgres::Connection live = TRY(connection_to(workspace, request, component));
  source::World world = workspace.world();
  world.progress.phase = "asking the live server";
  TRY(postgres::check_extract(world, result.source.snapshot, live, request.options, workspace.machine().random));
  return result;
}

Result<postgres::ExtractReport> carry_out(Workspace& workspace, const ExtractRequest& request,
                                          const ExtractPlan& plan) {
  const postgres::Connection live = TRY(connection_to(workspace, request, plan.source.component));
  source::World world = workspace.world();
  auto report = TRY(postgres::extract(world, workspace.repository(), plan.source.snapshot, *plan.source.target, live,
                                      request.options, workspace.machine().random));
  log_info("recovery.extract.done",
           {{"component", plan.source.component}, {"what", report.what}, {"result", report.result}});
  return report;
}

}  // namespace holdfast::recovery
