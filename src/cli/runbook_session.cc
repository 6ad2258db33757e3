#include "cli/runbook_session.h"

#include <unistd.h>

#include <cstdlib>

#include "cli/own_environment.h"
#include "cli/present.h"
#include "cli/run_lines.h"
#include "cli/run_view.h"
#include "engine/history.h"
#include "engine/repository_proofs.h"
#include "engine/restore_words.h"
#include "engine/supervised_runner.h"
#include "engine/variables.h"
#include "engine/words.h"
#include "recovery/cluster.h"
#include "recovery/settings.h"

namespace holdfast::cli {
namespace {

std::map<std::string, std::string> texts_at(const Json& json, const char* key) {
  return json.contains(key) ? json.at(key).get<std::map<std::string, std::string>>()
                            : std::map<std::string, std::string>();
}

std::string own_program() {
  const auto path = real_file_system().read_link("/proc/self/exe");
  return path.ok() ? *path : "holdfast";
}

// What the launcher and the redactor need, from what the journal says and what is secret.
struct Settled {
  engine::Launcher launcher;
  engine::Redactor redactor;
};

Result<Settled> settle(Context& context, engine::RunState& state) {
  engine::Variables variables;
  variables.plain = texts_at(state.created, "variables");
  variables.secret = texts_at(state.created, "secrets");
  engine::Launcher::Settings settings;
  settings.run = state.id;
  settings.drill = state.drill();
  settings.program = own_program();
  settings.working_directory = state.created.value("working_directory", "");
  settings.environment = engine::own_environment();
  settings.file_mask = engine::own_file_mask();
  settings.inherited = engine::secrets_in(settings.environment);
  TRY(engine::check_inherited(state.created.value("inherited", Json()), settings.environment));
  settings.variables = variables.plain;
  for (auto& secret : engine::secrets_in({variables.plain.begin(), variables.plain.end()}))
    settings.inherited.push_back(std::move(secret));
  settings.secrets = TRY(engine::resolve_secrets(variables));
  // Of a URL that is a secret the password alone is one, too.
  for (const auto& secret : settings.secrets) {
    for (auto& part : engine::secrets_in({{secret.name, std::string(as_text(secret.value.reveal()))}}))
      settings.inherited.push_back(std::move(part));
  }
  settings.sql = TRY(sql_targets(context, state.plan));
  settings.config = context.options().overrides.config.value_or("");
  settings.repository = context.options().overrides.repository.value_or("");
  if (const auto& reference = context.options().overrides.passphrase) {
    Secret passphrase = TRY_CONTEXT(resolve_secret(*reference), "--passphrase");
    settings.secrets.push_back({"HOLDFAST_PASSPHRASE", std::move(passphrase)});
  }
  std::vector<engine::NamedSecret> all;
  for (const auto& secret : settings.secrets) all.push_back({secret.name, secret.value.clone()});
  for (const auto& secret : settings.inherited) all.push_back({secret.name, secret.value.clone()});
  for (const auto& [name, target] : settings.sql) all.push_back({"password of " + name, target.password.clone()});
  return Settled{engine::Launcher(std::move(settings)), engine::Redactor(all)};
}

// What the run was begun with, unless this drive is told otherwise.
Result<void> take_up_stack(Context& context, const engine::RunState& state, const engine::DriveOptions& options) {
  auto& overrides = context.options().overrides;
  const auto settle_one = [&](std::optional<std::string>& option, const std::string& said, const char* key) {
    std::string value = said.empty() ? state.created.value(key, "") : said;
    if (!value.empty()) option = std::move(value);
  };
  settle_one(overrides.config, overrides.config ? absolute_path(*overrides.config) : "", "config");
  settle_one(overrides.repository, overrides.repository ? named_repository(context) : "", "repository");
  const bool named_then = !state.created.value("repository", "").empty();
  if (options.resumed && !overrides.repository && !named_then && !named_repository(context).empty()) {
    return make_error(ErrorCode::kRefused, "HOLDFAST_REPOSITORY is set here, and was not when the run began")
        .with_hint("unset it; or --repository DIR says that the run goes on with another repository");
  }
  settle_one(overrides.passphrase, TRY(named_passphrase(context)), "passphrase");
  return {};
}

Result<void> refuse_other_stacks(Context& context, const engine::RunState& state, const engine::DriveOptions& options) {
  const auto stack = context.stack();
  const engine::StackInUse in_use{context.options().overrides.config.value_or(""), stack.ok() ? stack->repository : "",
                                  state.created.value("working_directory", ""), texts_at(state.created, "variables")};
  for (const engine::Step& step : state.plan.steps) {
    const engine::StepState& now = state.step(step.id);
    if (state.settled(step.id) || !now.override_reason.empty() || options.overrides.contains(step.id)) continue;
    const std::string other = engine::other_stack(state.plan, step, in_use);
    if (other.empty() || options.undo || state.undoing) continue;
    return make_error(ErrorCode::kRefused,
                      "step {} destroys, and its restore names another stack than the one in use: {}", step.id, other)
        .with_hint(fmt::format("--config FILE names the stack; or --override {}=REASON", step.id));
  }
  return {};
}

void say_what_comes_next(Context& context, const engine::RunState& state) {
  for (const auto& [id, step] : state.steps) {
    if (step.phase == engine::StepPhase::kRunning) context.say("step {} goes on without us", id);
  }
  if (state.finished.empty()) {
    context.say("go on with: holdfast runbook resume {}", state.id);
  }
  const auto not_undone = engine::steps_not_undone(state);
  if (!state.finished.empty() && !not_undone.empty())
    context.say("not undone, since the runbook gives no compensate= for them: {}", fmt::join(not_undone, ", "));
  context.say("what happened: holdfast runbook report {}", state.id);
}

// The document of a run that ended, for --json: the last line after its events.
void set_document(Context& context, const engine::RunState& state) {
  Json steps = Json::array();
  for (const engine::Step& step : state.plan.steps) {
    const engine::StepState& now = state.step(step.id);
    steps.push_back({{"step", step.id},
                     {"state", engine::phase_name(now.phase)},
                     {"attempts", now.attempts},
                     {"took_seconds", json_of(now.took)}});
  }
  context.set_compact();
  context.set_document("run",
                       {{"run", state.id}, {"outcome", state.finished}, {"stopped", state.stopped}, {"steps", steps}});
}

}  // namespace

Result<std::string> stack_file(Context& context) {
  const auto& config = context.options().overrides.config;
  const std::string path =
      TRY(recovery::find_stack_file(real_file_system(), context.options().overrides, own_environment));
  if (path.empty()) return path;
  auto loaded = recovery::load_stack(path);
  const char* variable = own_environment("HOLDFAST_CONFIG");
  const bool named = config || (variable != nullptr && *variable != '\0');
  // One for all of the machine may be for others: a runbook that does not need it goes without.
  if (!loaded.ok() && !named && loaded.error().code() == ErrorCode::kPermission) return std::string();
  if (!loaded.ok()) return std::move(loaded).error();
  return absolute_path(path);
}

std::vector<std::string> stack_variables(Context& context, const std::string& config) {
  std::vector<std::string> names;
  if (!config.empty()) names.emplace_back("HOLDFAST_CONFIG");
  if (context.options().overrides.repository) names.emplace_back("HOLDFAST_REPOSITORY");
  if (context.options().overrides.passphrase) names.emplace_back("HOLDFAST_PASSPHRASE");
  return names;
}

std::string named_repository(Context& context) {
  const char* variable = own_environment("HOLDFAST_REPOSITORY");
  const std::string location = context.options().overrides.repository.value_or(variable == nullptr ? "" : variable);
  return location.empty() || location.find("://") != std::string::npos ? location : absolute_path(location);
}

Result<std::string> named_passphrase(Context& context) {
  const std::string reference = context.options().overrides.passphrase.value_or("");
  return reference.empty() ? reference : TRY(recovery::as_secret_reference(reference, "--passphrase"));
}

bool is_attended(const Context& context, bool unattended) {
  return !unattended && !context.json() && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

Result<std::map<std::string, engine::SqlTarget>> sql_targets(Context& context, engine::Plan& plan) {
  std::map<std::string, engine::SqlTarget> targets;
  for (engine::Step& step : plan.steps) {
    if (step.kind != engine::StepKind::kSql || !step.skipped.empty()) continue;
    const recovery::StackConfig stack = TRY_CONTEXT(context.stack(), "step {} is SQL", step.id);
    std::vector<std::string> names;
    for (const auto& component : stack.components) {
      if (component.kind == "postgres" && (step.component.empty() || component.name == step.component))
        names.push_back(component.name);
    }
    if (names.size() != 1) {
      return make_error(ErrorCode::kConfig, "step {} is SQL for {}, and the stack has {} such PostgreSQL components",
                        step.id, step.component.empty() ? "a server that it does not name" : step.component,
                        names.size())
          .with_hint("component=NAME in the document says which; --config FILE names the stack");
    }
    step.component = names.front();
    auto connection = TRY(recovery::connection_of(*stack.find(step.component)));
    targets[step.component] = {connection.conninfo, std::move(connection.password)};
  }
  return targets;
}

Result<void> drive_run(Context& context, engine::OpenRun run, engine::DriveOptions options, bool attended) {
  engine::RunState state = TRY(engine::fold(run.journal->events()));
  TRY(take_up_stack(context, state, options));
  TRY(refuse_other_stacks(context, state, options));
  Settled settled = TRY(settle(context, state));
  options.directory = run.directory;
  options.lost = std::move(run.lost);
  options.stop = &context.progress().stop;
  engine::RepositoryProofs proofs([&context] { return context.open(); }, [&context] { return context.stack(); },
                                  context.progress());
  engine::SupervisedRunner runner("/proc/self/exe", attended ? STDIN_FILENO : -1);
  Result<void> driven;
  engine::RunState last = state;  // as far as it is durable
  const auto drive = [&](engine::Person& person, engine::Observer& observer) {
    engine::Engine engine({*run.journal, runner, person, proofs, observer, system_clock(), system_random()},
                          settled.launcher, settled.redactor, std::move(state), std::move(options));
    driven = engine.drive();
    if (auto durable = engine.committed_state(); durable.ok()) last = std::move(*durable);
  };
  if (attended) {
    const auto history = engine::read_history(parent_path(run.directory), last.plan.document, last.plan.procedure);
    RunView view(run.directory, history.ok() ? history->steps : std::map<std::string, Duration>());
    drive(view, view);
    view.on_tick(last, system_clock().now());
  } else {
    engine::Nobody nobody(engine::who_is_there());
    RunLines lines(context);
    RunJson json(context);
    drive(nobody, context.json() ? static_cast<engine::Observer&>(json) : lines);
  }
  set_document(context, last);
  say_what_comes_next(context, last);
  return driven;
}

}  // namespace holdfast::cli
