#include "cli/runbook_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/filesystem.h"
#include "base/secret.h"
#include "cli/own_environment.h"
#include "engine/launcher.h"
#include "engine/runs.h"
#include "runbook/reader.h"

namespace holdfast::cli {
namespace {

runbook::PlanRequest request_of(const RunbookOptions& options, const engine::Variables& variables,
                                const std::map<std::string, std::string>& skip) {
  runbook::PlanRequest request;
  request.procedure = options.procedure;
  request.choices = options.choices;
  request.variables = variables.plain;
  for (const auto& [name, value] : engine::own_environment()) request.environment.insert(name);
  for (const auto& [name, reference] : variables.secret) request.environment.insert(name);
  request.environment.insert(engine::kGivenVariables.begin(), engine::kGivenVariables.end());
  request.environment.insert(options.given.begin(), options.given.end());
  request.from = options.from;
  request.only.insert(options.only.begin(), options.only.end());
  request.skip = skip;
  request.drill = options.drill;
  return request;
}

const runbook::Choice* first_open(const std::vector<runbook::Choice>& choices) {
  const auto open =
      std::find_if(choices.begin(), choices.end(), [](const auto& choice) { return choice.chosen.empty(); });
  return open == choices.end() ? nullptr : &*open;
}

// A secret has no place in a script: nobody is asked for it.
bool is_secret_placeholder(const runbook::Input& input) {
  return input.secret && input.kind == runbook::Input::Kind::kPlaceholder;
}

const runbook::Input* first_unknown(const std::vector<runbook::Input>& inputs) {
  const auto open = std::find_if(inputs.begin(), inputs.end(),
                                 [](const auto& input) { return !input.known && !is_secret_placeholder(input); });
  return open == inputs.end() ? nullptr : &*open;
}

// Names what ask_next() would ask for; nothing when all is settled.
std::optional<std::string> first_question(const runbook::Plan& plan) {
  if (const runbook::Choice* choice = first_open(plan.choices)) return "choice " + choice->key;
  if (const runbook::Input* input = first_unknown(plan.inputs)) return "input " + input->name;
  return std::nullopt;
}

// One question.
Result<void> ask_next(const runbook::Plan& plan, const AskWords& ask, RunbookOptions& options,
                      engine::Variables& variables) {
  if (const runbook::Choice* choice = first_open(plan.choices)) {
    std::string question = choice->question;
    std::vector<std::string> answers;
    for (const auto& answer : choice->answers) {
      question += fmt::format("\n  {}  {}{}", answer.key, answer.title,
                              answer.budget ? " (" + answer.budget->text.text + ")" : "");
      answers.push_back(answer.key);
    }
    options.choices.push_back(choice->key + "=" + TRY(ask(question, answers)));
    return {};
  }
  if (const runbook::Input* input = first_unknown(plan.inputs)) {
    const std::string what = input->secret ? " (a secret: env:NAME, file:PATH or exec:COMMAND)" : "";
    const std::string value = TRY(ask(fmt::format("{}{}", input->name, what), {}));
    if (input->secret && !is_secret_reference(value)) {
      return make_error(ErrorCode::kRefused, "{} is a secret: what was typed is no reference to it", input->name)
          .with_hint(fmt::format("--set {0}=env:{0}, or file:PATH, or exec:COMMAND", input->name));
    }
    return engine::set_variable(variables, input->name + "=" + value);
  }
  return {};
}

}  // namespace

void add_runs_option(CLI::App* command, std::string& runs) {
  command
      ->add_option("--runs", runs,
                   "where runs are kept (default: $HOLDFAST_RUNS, /var/lib/holdfast/runs for root, else "
                   "~/.local/state/holdfast/runs)")
      ->type_name("DIR");
}

void add_runbook_options(CLI::App* command, RunbookOptions& options) {
  command->add_option("FILE", options.document, "the runbook")->required()->type_name("FILE");
  command->add_option("SCENARIO", options.procedure, "its number, id or words of its title")
      ->required()
      ->type_name("SCENARIO");
  command
      ->add_option("--choose", options.choices,
                   "which alternative: KEY=B, or B where one choice alone takes it (may be repeated)")
      ->type_name("CHOICE");
  command
      ->add_option("--set", options.variables, "a variable or placeholder; secrets as env:, file: or exec: reference")
      ->type_name("NAME=VALUE");
  command->add_option("--from", options.from, "leave out the steps before this one")->type_name("STEP");
  command->add_option("--only", options.only, "only this step (may be repeated)")->type_name("STEP");
  command->add_option("--skip", options.skip, "leave out this step, and why (may be repeated)")
      ->type_name("STEP=REASON");
  command->add_flag("--drill", options.drill, "an exercise: steps that say drill=skip are left out");
  command->add_option("--workdir", options.workdir, "where steps run (default: here)")->type_name("DIR");
  add_runs_option(command, options.runs);
}

Result<std::map<std::string, std::string>> reasons(const std::vector<std::string>& texts, const std::string& option) {
  std::map<std::string, std::string> found;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      return make_error(ErrorCode::kUsage, "{} takes STEP=REASON, not '{}'", option, text)
          .with_hint("the reason stands in the report");
    }
    found[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return found;
}

Result<void> check_steps(const engine::Plan& plan, const std::map<std::string, std::string>& by_step) {
  for (const auto& [id, reason] : by_step) {
    if (plan.find(id) == nullptr) return make_error(ErrorCode::kNotFound, "the run has no step {}", id);
  }
  return {};
}

std::string runs_directory(const std::string& given) {
  if (!given.empty()) return absolute_path(given);
  return engine::default_runs_directory(own_environment, ::geteuid() == 0);
}

std::vector<std::string> open_questions(const runbook::Plan& plan, const engine::Variables& variables) {
  std::vector<std::string> questions;
  for (const runbook::Choice& choice : plan.choices) {
    if (!choice.chosen.empty()) continue;
    std::vector<std::string> keys;
    for (const auto& answer : choice.answers) keys.push_back(fmt::format("{} ({})", answer.key, answer.title));
    questions.push_back(fmt::format("--choose {}=?: {}", choice.key, fmt::join(keys, ", ")));
  }
  for (const runbook::Input& input : plan.inputs) {
    if (input.known || variables.has(input.name)) continue;
    if (is_secret_placeholder(input)) {
      questions.push_back(fmt::format("{} in line {} is a secret: let the document use a variable there", input.text,
                                      input.range.begin.line));
      continue;
    }
    questions.push_back(fmt::format("--set {}={}: {} in line {}", input.name, input.secret ? "REFERENCE" : "?",
                                    input.text.empty() ? input.name : input.text, input.range.begin.line));
  }
  return questions;
}

Result<ResolvedScenario> resolve_scenario(const RunbookOptions& given, const AskWords& ask) {
  RunbookOptions options = given;
  ResolvedScenario resolved;
  const Bytes text = TRY(read_file(real_file_system(), options.document, runbook::kDocumentLimit_bytes));
  resolved.document = std::make_unique<runbook::Document>(
      TRY(runbook::read_document(std::string(as_text(text)), absolute_path(options.document))));
  for (const std::string& assignment : options.variables) TRY(engine::set_variable(resolved.variables, assignment));
  const auto skip = TRY(reasons(options.skip, "--skip"));
  // Each answer may open further questions. One that settles nothing would be asked forever.
  std::optional<std::string> asked;
  for (;;) {
    resolved.plan = TRY(runbook::make_plan(*resolved.document, request_of(options, resolved.variables, skip)));
    const std::optional<std::string> question = first_question(resolved.plan);
    if (!ask || !question || question == asked) break;
    TRY(ask_next(resolved.plan, ask, options, resolved.variables));
    asked = question;
  }
  engine::take_document_values(resolved.variables, resolved.plan);
  TRY(engine::settle_secrets(resolved.variables, resolved.plan, engine::own_environment()));
  return resolved;
}

}  // namespace holdfast::cli
