#pragma once

#include <string>

#include "base/result.h"
#include "runbook/model.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

class Program;

// What the `runbook` commands share.
void add_runbook_show(Program& program, CLI::App* runbook);
void add_runbook_lint(Program& program, CLI::App* runbook);
void add_runbook_plan(Program& program, CLI::App* runbook);
void add_runbook_run(Program& program, CLI::App* runbook);
void add_runbook_resume(Program& program, CLI::App* runbook);
void add_runbook_runs(Program& program, CLI::App* runbook);
void add_runbook_report(Program& program, CLI::App* runbook);

// The document in a file; "-" is standard input.
Result<runbook::Document> load_runbook(const std::string& path);

}  // namespace holdfast::cli
