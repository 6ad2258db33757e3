#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "cli/present.h"
#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/runbook_options.h"
#include "cli/runbook_session.h"
#include "cli/terminal.h"
#include "cli/version.h"
#include "engine/from_runbook.h"
#include "engine/preflight.h"

namespace holdfast::cli {
namespace {

struct RunOptions : RunbookOptions {
  std::vector<std::string> overrides;
  std::string target, began;
  bool unattended = false, yes = false, assume_programs = false;
};

// Asks on the terminal before anything runs; an empty answer asks again.
Result<std::string> ask_on_terminal(const std::string& question, const std::vector<std::string>& answers) {
  for (;;) {
    std::printf("%s\n> ", question.c_str());
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) return make_error(ErrorCode::kInterrupted, "nothing was answered");
    const bool fits = answers.empty() || std::find(answers.begin(), answers.end(), line) != answers.end();
    if (!line.empty() && fits) return line;
  }
}

Result<void> refuse_open_questions(const ResolvedScenario& resolved) {
  const auto open = open_questions(resolved.plan, resolved.variables);
  if (open.empty()) return {};
  return make_error(ErrorCode::kRefused, "{} still open: {}", open.size() == 1 ? "a question is" : "questions are",
                    fmt::join(open, "; "))
      .with_hint("nothing was run; settle them with these options");
}

Result<void> refuse_obstacles(Context& context, const std::vector<engine::Obstacle>& obstacles) {
  if (obstacles.empty()) return {};
  Json list = Json::array();
  for (const engine::Obstacle& obstacle : obstacles) {
    list.push_back({{"step", obstacle.step}, {"problem", obstacle.problem}, {"hint", obstacle.hint}});
  }
  context.set_document("run-obstacles", {{"obstacles", list}});
  context.set_compact();
  for (const engine::Obstacle& obstacle : obstacles) {
    context.print("{}{}{}", obstacle.step.empty() ? "" : obstacle.step + ": ", printable(obstacle.problem),
                  obstacle.hint.empty() ? "" : fmt::format(" ({})", printable(obstacle.hint)));
  }
  const engine::Obstacle& first = obstacles.front();
  return make_error(ErrorCode::kRefused, "{} in the way, first: {}{}",
                    obstacles.size() == 1 ? "something is" : fmt::format("{} things are", obstacles.size()),
                    first.step.empty() ? "" : "step " + first.step + " ", first.problem)
      .with_hint("nothing was run; --skip STEP=REASON leaves a step out");
}

// What stands in the journal's first event and on no other way through the redactor: the words of --skip.
Result<void> redact_reasons(engine::Plan& plan, const ResolvedScenario& resolved,
                            const std::map<std::string, engine::SqlTarget>& sql) {
  std::vector<engine::NamedSecret> secrets = TRY(engine::resolve_secrets(resolved.variables));
  for (auto& secret : engine::secrets_in(engine::own_environment())) secrets.push_back(std::move(secret));
  for (const auto& [name, target] : sql) secrets.push_back({"password of " + name, target.password.clone()});
  const engine::Redactor redactor(secrets);
  for (engine::Step& step : plan.steps) step.skipped = redactor.redact(step.skipped);
  return {};
}

Result<Time> beginning_of(const std::string& began) {
  const Time now = system_clock().now();
  const Time time = TRY_CONTEXT(parse_time(began, now), "--began");
  if (time > now) return make_error(ErrorCode::kUsage, "--began {} is in the future: {}", began, format_rfc3339(time));
  return time;
}

Result<Json> created_payload(Context& context, const RunOptions& options, const engine::Plan& plan,
                             const ResolvedScenario& resolved, const std::string& config) {
  Json left_out = Json::array();
  for (const auto& [step, reason] : TRY(reasons(options.skip, "--skip"))) left_out.push_back(step);
  const auto passphrase = TRY(named_passphrase(context));
  Json created = {{"plan", plan.to_json()},
                  {"scenario", options.procedure},
                  {"drill", options.drill},
                  {"partial", !options.from.empty() || !options.only.empty()},
                  {"left_out", left_out},
                  {"variables", resolved.variables.plain},
                  {"secrets", resolved.variables.secret},
                  {"inherited", engine::inherited_values(resolved.plan, resolved.variables, engine::own_environment(),
                                                         system_random())},
                  {"working_directory", absolute_path(options.workdir.empty() ? "." : options.workdir)},
                  {"config", config},
                  {"repository", named_repository(context)},
                  {"passphrase", passphrase},
                  {"who", engine::who_is_there()},
                  {"version", kVersion}};
  if (!options.began.empty()) created["began_us"] = TRY(beginning_of(options.began)).ns / 1000;
  return created;
}

Result<void> confirm(Context& context, const engine::Plan& plan, const RunOptions& options) {
  for (const std::string& warning : plan.warnings) context.print("warning: {}", printable(warning));
  size_t steps = 0, destroying = 0;
  for (const engine::Step& step : plan.steps) {
    steps += step.skipped.empty() ? 1 : 0;
    destroying += step.skipped.empty() && step.destructive() ? 1 : 0;
  }
  context.print("{}: {}{}", printable(plan.title), counted(steps, "step"),
                destroying > 0 ? fmt::format(", {} of them destroy", destroying) : "");
  if (options.yes) return {};
  if (TRY(ask_on_terminal("run it? (yes, no)", {"yes", "no"})) == "yes") return {};
  return make_error(ErrorCode::kInterrupted, "nothing was run");
}

Result<void> run(Context& context, RunOptions options) {
  const bool attended = is_attended(context, options.unattended);
  const std::string config = TRY(stack_file(context));
  options.given = stack_variables(context, config);
  const ResolvedScenario resolved = TRY(resolve_scenario(options, attended ? ask_on_terminal : AskWords()));
  TRY(refuse_open_questions(resolved));
  engine::Plan plan = engine::plan_of(resolved.plan, resolved.variables.plain);
  const auto sql = TRY(sql_targets(context, plan));  // settles the components of SQL steps
  TRY(redact_reasons(plan, resolved, sql));          // and shows that secrets can be had, before anything runs

  engine::DriveOptions drive;
  drive.overrides = TRY(reasons(options.overrides, "--override"));
  TRY(check_steps(plan, drive.overrides));
  drive.target_host = options.target;
  engine::PreflightRequest preflight;
  preflight.unattended = !attended;
  preflight.look_for_programs = !options.assume_programs;
  preflight.target_host = options.target;
  preflight.overrides = drive.overrides;
  preflight.working_directory = absolute_path(options.workdir.empty() ? "." : options.workdir);
  const char* search_path = std::getenv("PATH");
  preflight.search_path = search_path == nullptr ? "" : search_path;
  preflight.runs = runs_directory(options.runs);
  preflight.config = config;
  preflight.variables = resolved.variables.plain;
  if (const auto stack = context.stack(); stack.ok()) preflight.repository = stack->repository;
  for (const auto& file : resolved.document->embedded_files) preflight.embedded_files.push_back(file.path.text);
  preflight.open_repository = [&context]() -> Result<void> {
    TRY(context.open());
    return {};
  };
  TRY(refuse_obstacles(context, engine::find_obstacles(real_file_system(), plan, preflight)));
  const Json created = TRY(created_payload(context, options, plan, resolved, config));
  if (attended) TRY(confirm(context, plan, options));
  engine::OpenRun opened = TRY(engine::create_run(preflight.runs, created, resolved.document->source,
                                                  engine::who_is_there(), system_clock(), system_random()));
  context.print("run {}: {}", base_name(opened.directory), printable(plan.title));
  return drive_run(context, std::move(opened), std::move(drive), attended);
}

}  // namespace

void add_runbook_run(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      program.command("run", "Carry out a scenario; every step is journaled and can be resumed.", runbook);
  add_runbook_options(command, *options);
  command
      ->add_option("--override", options->overrides, "set the safety rules aside for a step, and why (may be repeated)")
      ->type_name("STEP=REASON");
  command->add_option("--target", options->target, "the host that steps which destroy are meant for")
      ->type_name("HOST");
  command->add_option("--began", options->began, "when the incident began: windows and RTO count from there")
      ->type_name("TIME");
  command->add_flag("--unattended", options->unattended,
                    "ask nobody: refuse before the first step what needs a person");
  command->add_flag("--assume-programs", options->assume_programs,
                    "do not look for programs and scripts before the first step");
  command->add_flag("--yes", options->yes, "do not ask before the first step");
  program.examples(command,
                   "holdfast runbook run dr.md 2\n"
                   "holdfast runbook run dr.md 'database failure' --choose C --set target=latest\n"
                   "holdfast runbook run dr.md 2 --unattended --target db --set TOKEN=file:/etc/gh\n"
                   "holdfast runbook run dr.md 2 --drill\n"
                   "# exit status 31: a step failed; 40: a person is needed\n"
                   "#             16: a rule forbids it; 33: left, steps go on");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
