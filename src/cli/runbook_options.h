#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "engine/plan.h"
#include "engine/variables.h"
#include "runbook/plan.h"

namespace holdfast::cli {

// What `runbook plan` and `runbook run` are both told: which scenario, and how.
struct RunbookOptions {
  std::string document, procedure;
  std::vector<std::string> choices, variables, only, skip;
  std::string from;
  bool drill = false;
  std::string runs;                // --runs
  std::string workdir;             // --workdir
  std::vector<std::string> given;  // variables of the stack that a run gives its steps
};
void add_runbook_options(CLI::App* command, RunbookOptions& options);
void add_runs_option(CLI::App* command, std::string& runs);

// A scenario, resolved as far as the command line and the environment go. The plan
// points into the document.
struct ResolvedScenario {
  std::unique_ptr<runbook::Document> document;
  runbook::Plan plan;
  engine::Variables variables;
};
// Answers that `ask` gives for what is open (empty function: nobody is asked) are taken in.
using AskWords =
    std::function<Result<std::string>(const std::string& question, const std::vector<std::string>& answers)>;
Result<ResolvedScenario> resolve_scenario(const RunbookOptions& options, const AskWords& ask);
// What is still open, one line each, with the option that settles it.
std::vector<std::string> open_questions(const runbook::Plan& plan, const engine::Variables& variables);

std::string runs_directory(const std::string& given);
// "STEP=REASON" texts as a map. kUsage without a reason.
Result<std::map<std::string, std::string>> reasons(const std::vector<std::string>& texts, const std::string& option);
// kNotFound for the first step that the plan does not have.
Result<void> check_steps(const engine::Plan& plan, const std::map<std::string, std::string>& by_step);

}  // namespace holdfast::cli
