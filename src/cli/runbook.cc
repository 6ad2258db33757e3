#include "cli/runbook.h"

#include <iostream>
#include <iterator>

#include "base/filesystem.h"
#include "cli/commands.h"
#include "cli/program.h"
#include "runbook/reader.h"

namespace holdfast::cli {

void add_runbook(Program& program) {
  CLI::App* runbook = program.command("runbook", "Read, review, plan and carry out a Markdown runbook.");
  runbook->require_subcommand(1);
  program.examples(runbook,
                   "holdfast runbook show docs/recovery.md\n"
                   "holdfast runbook lint docs/recovery.md");
  add_runbook_show(program, runbook);
  add_runbook_lint(program, runbook);
  add_runbook_plan(program, runbook);
  add_runbook_run(program, runbook);
  add_runbook_resume(program, runbook);
  add_runbook_runs(program, runbook);
  add_runbook_report(program, runbook);
}

Result<runbook::Document> load_runbook(const std::string& path) {
  if (path == "-") {
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    return runbook::read_document(std::move(text), "-");
  }
  const Bytes bytes = TRY(read_file(real_file_system(), path, runbook::kDocumentLimit_bytes));
  return runbook::read_document(std::string(bytes.begin(), bytes.end()), path);
}

}  // namespace holdfast::cli
