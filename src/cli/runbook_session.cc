#include "cli/runbook_session.h"

#include <unistd.h>

#include <cstdlib>

#include "cli/present.h"
#include "cli/run_lines.h"
#include "cli/run_view.h"
#include "engine/history.h"
#include "engine/repository_proofs.h"
#include "engine/supervised_runner.h"
#include "engine/variables.h"
#include "recovery/cluster.h"

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
  settings.sql = TRY(sql_targets(context, state.plan));
  std::vector<engine::NamedSecret> all;
  for (const auto& secret : settings.secrets) all.push_back({secret.name, secret.value.clone()});
  for (const auto& secret : settings.inherited) all.push_back({secret.name, secret.value.clone()});
  for (const auto& [name, target] : settings.sql) all.push_back({"password of " + name, target.password.clone()});
  return Settled{engine::Launcher(std::move(settings)), engine::Redactor(all)};
}

void say_what_comes_next(Context& context, const engine::RunState& state) {
  for (const auto& [id, step] : state.steps) {
    if (step.phase == engine::StepPhase::kRunning) context.say("step {} goes on without us", id);
  }
  if (state.finished.empty()) {
    context.say("go on with: holdfast runbook resume {}", state.id);
  }
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
  auto& config = context.options().overrides.config;
  if (!config && !state.created.value("config", "").empty()) config = state.created.value("config", "");
  Settled settled = TRY(settle(context, state));
  options.directory = run.directory;
  options.stop = &context.progress().stop;
  engine::RepositoryProofs proofs([&context] { return context.open(); }, [&context] { return context.stack(); },
                                  context.progress());
  engine::SupervisedRunner runner("/proc/self/exe", attended ? STDIN_FILENO : -1);
  Result<void> driven;
  engine::RunState last = state;
  const auto drive = [&](engine::Person& person, engine::Observer& observer) {
    engine::Engine engine({*run.journal, runner, person, proofs, observer, system_clock(), system_random()},
                          settled.launcher, settled.redactor, std::move(state), std::move(options));
    driven = engine.drive();
    last = engine.state();
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
