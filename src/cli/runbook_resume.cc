#include <algorithm>

#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/runbook_options.h"
#include "cli/runbook_session.h"

namespace holdfast::cli {
namespace {

struct ResumeOptions {
  std::string run = "latest", runs, target;
  std::vector<std::string> skip, overrides, done, retry;
  bool unattended = false, undo = false;
};

// One word for each step.
Result<void> check_words(const engine::DriveOptions& drive, const ResumeOptions& options) {
  for (const std::string& step : options.done) {
    if (std::find(options.retry.begin(), options.retry.end(), step) != options.retry.end())
      return make_error(ErrorCode::kUsage, "--done and --retry both name step {}", step);
  }
  for (const auto& [step, as] : drive.settle) {
    if (drive.skip.contains(step)) return make_error(ErrorCode::kUsage, "--{} and --skip both name step {}", as, step);
  }
  return {};
}

Result<void> resume(Context& context, const ResumeOptions& options) {
  engine::DriveOptions drive;
  drive.resumed = true;
  drive.skip = TRY(reasons(options.skip, "--skip"));
  drive.overrides = TRY(reasons(options.overrides, "--override"));
  for (const std::string& step : options.done) drive.settle[step] = "done";
  for (const std::string& step : options.retry) drive.settle[step] = "retry";
  drive.target_host = options.target;
  drive.undo = options.undo;
  TRY(check_words(drive, options));
  const std::string directory = TRY(engine::find_run(runs_directory(options.runs), options.run));
  engine::OpenRun run = TRY(engine::open_run(directory, engine::who_is_there()));
  const engine::RunState state = TRY(engine::fold(run.journal->events()));
  if (!state.finished.empty()) {
    return make_error(ErrorCode::kAlreadyExists, "run {} is finished: {}", state.id, state.finished)
        .with_hint("'holdfast runbook run' makes a new one");
  }
  TRY(check_steps(state.plan, drive.skip));
  TRY(check_steps(state.plan, drive.overrides));
  context.print("run {}: {}", state.id, state.plan.title);
  return drive_run(context, std::move(run), std::move(drive), is_attended(context, options.unattended));
}

}  // namespace

void add_runbook_resume(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<ResumeOptions>();
  CLI::App* command = program.command("resume", "Go on with a run that was left, killed or stopped.", runbook);
  command->add_option("RUN", options->run, "its id, part of it, or latest (default)")->type_name("RUN");
  command->add_option("--skip", options->skip, "leave out this step, and why (may be repeated)")
      ->type_name("STEP=REASON");
  command->add_option("--override", options->overrides, "set the safety rules aside for a step, and why")
      ->type_name("STEP=REASON");
  command
      ->add_option("--done", options->done,
                   "this step, which failed or whose end is not known, is done; also STEP~verify, STEP~undo")
      ->type_name("STEP");
  command->add_option("--retry", options->retry, "this step, which failed or whose end is not known, is run again")
      ->type_name("STEP");
  command->add_option("--target", options->target, "the host that steps which destroy are meant for")
      ->type_name("HOST");
  command->add_flag("--undo", options->undo, "undo what is done, last step first, then end");
  command->add_flag("--unattended", options->unattended, "ask nobody");
  add_runs_option(command, options->runs);
  program.examples(command,
                   "holdfast runbook resume\n"
                   "holdfast runbook resume 7f3a --skip notify='the mail server is down'\n"
                   "holdfast runbook resume 7f3a --done restore-database\n"
                   "# what still runs is taken up where it is; what is finished is never repeated");
  program.on(command, [options](Context& context) { return resume(context, *options); });
}

}  // namespace holdfast::cli
