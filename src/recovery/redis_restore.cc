#include "recovery/redis_restore.h"

#include "base/secret.h"
#include "base/units.h"
#include "source/redis/verify.h"

namespace holdfast::recovery {

namespace {

std::string bin_directory_of(Workspace& workspace, const std::string& component) {
  const ComponentConfig* config = workspace.stack().find(component);
  return config != nullptr ? config->redis.bin_directory : "";
}

redis::MaterialiseOptions materialise_options(Workspace& workspace, const RestoreRequest& request,
                                              const ComponentPlan& plan, bool dry_run) {
  redis::MaterialiseOptions options;
  options.to = plan.to;
  options.bin_directory = bin_directory_of(workspace, plan.component);
  options.dry_run = dry_run;
  options.uid = request.uid;
  options.gid = request.gid;
  return options;
}

// The other components need not wait for that.
std::string without(Workspace& workspace, const std::string& component) {
  std::string words;
  for (const ComponentConfig& each : workspace.stack().components)
    if (each.name != component) words += " --component " + each.name;
  return words.empty() ? "" : "; the rest without it: holdfast restore" + words;
}

Result<void> check_place(Workspace& workspace, const ComponentPlan& plan) {
  if (!plan.to.empty()) return {};
  const std::string others = without(workspace, plan.component);
  return make_error(ErrorCode::kUsage, "nothing says where its data directory is")
      .with_hint(
          "say where to restore it with --to DIR, or load it into a running server with --into ADDRESS; "
          "data_directory in holdfast.yaml says it for good" +
          others);
}

Result<redis::LoadOptions> load_options(Workspace& workspace, const RestoreRequest& request,
                                        const ComponentPlan& plan) {
  redis::LoadOptions options;
  options.server = TRY(into_server(workspace, request, plan.component));
  options.replace = request.replace;
  return options;
}

// The component's own server is known with its password; of another one it has to be given.
Error with_password_hint(const RestoreRequest& request, Error refused) {
  if (!redis::is_refused_login(refused) || !request.into_password.empty()) return refused;
  return std::move(refused).with_hint("give its password with --into-password env:NAME, file:PATH or exec:COMMAND");
}

std::string loaded_note(const redis::LoadReport& report) {
  std::string databases;
  for (const auto& [db, keys] : report.keys_of)
    databases += fmt::format("{}{} in database {}", databases.empty() ? "" : ", ", format_count(keys), db);
  std::string text = fmt::format("{} {} loaded{}{}", format_count(report.keys),
                                 report.keys == 1 ? "key was" : "keys were", databases.empty() ? "" : ": ", databases);
  if (report.functions > 0)
    text += fmt::format("; {} function {}", format_count(report.functions),
                        report.functions == 1 ? "library" : "libraries");
  if (report.scripts > 0)
    text += fmt::format("; {} script{}", format_count(report.scripts), report.scripts == 1 ? "" : "s");
  if (report.expired > 0) text += fmt::format("; the time of {} had passed already", format_count(report.expired));
  return text;
}

Result<ComponentRestored> load(Workspace& workspace, const RestoreRequest& request, const ComponentPlan& plan,
                               redis::CommandLog& log) {
  source::World world = workspace.world();
  const redis::LoadOptions options = TRY(load_options(workspace, request, plan));
  auto loaded = redis::load_snapshot(world, workspace.repository(), log, plan.snapshot, *plan.redis_target,
                                     {"", bin_directory_of(workspace, plan.component)}, options);
  if (!loaded.ok()) return with_password_hint(request, std::move(loaded).error());
  redis::LoadReport report = std::move(loaded).value();
  ComponentRestored outcome;
  outcome.bytes = outcome.bytes_written = report.bytes;
  outcome.faults = std::move(report.faults);
  outcome.notes = std::move(report.notes);
  outcome.notes.insert(outcome.notes.begin(), loaded_note(report));
  return outcome;
}

}  // namespace

Result<redis::Connection> into_server(Workspace& workspace, const RestoreRequest& request,
                                      const std::string& component) {
  redis::Connection server = TRY_CONTEXT(redis::parse_connection(request.into), "--into");
  if (const ComponentConfig* config = workspace.stack().find(component); config != nullptr && config->kind == "redis") {
    redis::Connection own = TRY(redis_connection_of(*config));
    const bool same = own.host == server.host && own.port == server.port && own.socket == server.socket;
    const bool as_own = server.user.empty() || server.user == own.user;
    if (same && as_own && request.into_password.empty()) return own;
    server.tls = server.tls || (same && own.tls);
    server.tls_ca = own.tls_ca;
    server.tls_cert = own.tls_cert;
    server.tls_key = own.tls_key;
  }
  if (!request.into_password.empty())
    server.password = TRY_CONTEXT(resolve_secret(request.into_password), "--into-password");
  return server;
}

Result<void> rehearse_redis(Workspace& workspace, const RestoreRequest& request, ComponentPlan& plan,
                            Progress& progress) {
  source::World world{workspace.machine().fs, workspace.machine().clock, progress,
                      workspace.stack().effective_threads()};
  if (plan.into_server) {
    const redis::LoadOptions options = TRY(load_options(workspace, request, plan));
    auto looked = redis::check_load(world, options);
    if (!looked.ok()) return with_password_hint(request, std::move(looked).error());
    return {};
  }
  TRY(check_place(workspace, plan));
  const RedisLog opened = TRY(open_redis_log(workspace, plan.component));
  auto report = TRY(redis::materialise(world, workspace.repository(), *opened.log, plan.snapshot, *plan.redis_target,
                                       materialise_options(workspace, request, plan, true)));
  add_notes(plan, report.notes);
  return {};
}

Result<ComponentRestored> restore_redis(Workspace& workspace, const RestoreRequest& request,
                                        const ComponentPlan& plan) {
  TRY(check_place(workspace, plan));
  const RedisLog opened = TRY(open_redis_log(workspace, plan.component));
  if (plan.into_server) return load(workspace, request, plan, *opened.log);
  source::World world = workspace.world();
  auto report = TRY(redis::materialise(world, workspace.repository(), *opened.log, plan.snapshot, *plan.redis_target,
                                       materialise_options(workspace, request, plan, false)));
  ComponentRestored outcome;
  outcome.files = report.files;
  outcome.bytes = report.bytes;
  outcome.bytes_written = report.bytes_written;
  outcome.faults = std::move(report.faults);
  outcome.notes = std::move(report.notes);
  return outcome;
}

Result<source::VerifyReport> verify_redis(Workspace& workspace, const VerifyRequest& request,
                                          const repo::Snapshot& snapshot) {
  const RedisLog opened = TRY(open_redis_log(workspace, snapshot.component));
  source::World world = workspace.world();
  if (request.mode == VerifyMode::kOffline)
    return redis::verify_offline(world, workspace.repository(), *opened.log, snapshot);
  redis::BootOptions options;
  options.bin_directory = bin_directory_of(workspace, snapshot.component);
  options.scratch_directory = request.scratch_directory;
  options.deadline = request.deadline;
  return redis::verify_by_booting(world, workspace.repository(), *opened.log, snapshot, options);
}

}  // namespace holdfast::recovery
