#pragma once

#include <CLI/CLI.hpp>

namespace holdfast::cli {

class Program;

void add_runbook_plan(Program& program, CLI::App* runbook);
void add_runbook_run(Program& program, CLI::App* runbook);
void add_runbook_resume(Program& program, CLI::App* runbook);
void add_runbook_runs(Program& program, CLI::App* runbook);
void add_runbook_report(Program& program, CLI::App* runbook);

}  // namespace holdfast::cli
