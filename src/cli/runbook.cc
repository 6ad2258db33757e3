#include "cli/runbook.h"

#include "cli/commands.h"
#include "cli/program.h"

namespace holdfast::cli {

void add_runbook(Program& program) {
  CLI::App* runbook = program.command("runbook", "Carry out the organisation's own Markdown runbook.");
  runbook->require_subcommand(1);
  program.examples(runbook,
                   "holdfast runbook plan dr.md 2\n"
                   "holdfast runbook run dr.md 2\n"
                   "holdfast runbook resume");
  add_runbook_plan(program, runbook);
  add_runbook_run(program, runbook);
  add_runbook_resume(program, runbook);
  add_runbook_runs(program, runbook);
  add_runbook_report(program, runbook);
}

}  // namespace holdfast::cli
