#include "engine/from_runbook.h"

#include <algorithm>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "engine/restore_words.h"
#include "engine/words.h"
#include "runbook/document_json.h"
#include "runbook/step_script.h"

namespace holdfast::engine {
namespace {

using runbook::HazardKind;

bool any_hazard(const runbook::PlannedStep& planned, HazardKind kind) {
  return std::any_of(planned.hazards.begin(), planned.hazards.end(),
                     [&](const runbook::Hazard& hazard) { return hazard.kind == kind; });
}

StepKind kind_of(const runbook::PlannedStep& planned) {
  const runbook::Step& step = *planned.step;
  if (step.kind == runbook::StepKind::kManual || step.annotations.manual) return StepKind::kManual;
  const bool interactive = step.annotations.interactive.value_or(any_hazard(planned, HazardKind::kInteractive));
  if (interactive || any_hazard(planned, HazardKind::kNeverEnds)) return StepKind::kManual;
  return step.kind == runbook::StepKind::kSql ? StepKind::kSql : StepKind::kShell;
}

std::string language_of(const runbook::Step& step) {
  if (step.language == "python" || step.language == "py" || step.language == "python3") return "python";
  if (step.language == "sh") return "sh";
  return step.kind == runbook::StepKind::kSql ? "sql" : "bash";
}

// A command that the author gives to find out is asked before a person is. Without one
// there is nothing to probe with.
OnCrash on_crash_of(const runbook::Annotations& annotations) {
  const bool blind = annotations.on_crash == runbook::OnCrash::kProbe && annotations.verify.empty();
  if (!annotations.on_crash || blind) return annotations.verify.empty() ? OnCrash::kAsk : OnCrash::kProbe;
  switch (*annotations.on_crash) {
    case runbook::OnCrash::kRetry: return OnCrash::kRetry;
    case runbook::OnCrash::kSkip: return OnCrash::kSkip;
    case runbook::OnCrash::kFail: return OnCrash::kFail;
    case runbook::OnCrash::kProbe: return OnCrash::kProbe;
    case runbook::OnCrash::kAsk: break;
  }
  return OnCrash::kAsk;
}

// What is there is lost, or is overwritten.
bool is_destruction(HazardKind kind) {
  return kind == HazardKind::kDestroys || kind == HazardKind::kIrreversible || kind == HazardKind::kWritesData;
}

std::vector<Hazard> hazards_of(const runbook::PlannedStep& planned) {
  const auto& said = planned.step->annotations.destructive;
  std::vector<Hazard> hazards;
  for (const runbook::Hazard& hazard : planned.hazards) {
    if (is_destruction(hazard.kind) && said == false) continue;
    hazards.push_back({std::string(runbook::name_of(hazard.kind)), hazard.reason});
  }
  const bool known = std::any_of(planned.hazards.begin(), planned.hazards.end(),
                                 [](const runbook::Hazard& hazard) { return is_destruction(hazard.kind); });
  if (said == true && !known) hazards.push_back({"destroys", "the document says that it destroys"});
  return hazards;
}

std::vector<std::string> secrets_of(const runbook::Plan& resolved, const std::string& step) {
  std::vector<std::string> names;
  for (const runbook::Input& input : resolved.inputs) {
    const bool used = std::find(input.steps.begin(), input.steps.end(), step) != input.steps.end();
    if (input.secret && used) names.push_back(input.name);
  }
  return names;
}

// What the document says of the step besides its block: a person who does it by hand,
// or approves it, is shown this.
std::string prose_of(const runbook::Step& step) {
  std::string prose = step.prose;
  for (const runbook::Text& detail : step.details) prose += (prose.empty() ? "- " : "\n- ") + detail.text;
  return prose;
}

// A choice stands where the first of its options does.
bool is_of_another_option(const runbook::Plan& resolved, const runbook::PlannedStep& planned) {
  if (planned.option == nullptr) return false;
  const auto& options = resolved.procedure->options;
  const auto first = std::find_if(options.begin(), options.end(),
                                  [&](const runbook::Option& option) { return option.group == planned.option->group; });
  return std::any_of(resolved.choices.begin(), resolved.choices.end(), [&](const runbook::Choice& choice) {
    return choice.range.begin.line == first->range.begin.line && !choice.chosen.empty() &&
           choice.chosen != planned.option->letter;
  });
}

Step step_of(const runbook::Plan& resolved, const runbook::PlannedStep& planned,
             const std::map<std::string, std::string>& placeholders) {
  const runbook::Step& from = *planned.step;
  const runbook::Annotations& said = from.annotations;
  Step step;
  step.id = from.id;
  step.number = from.number;
  step.title = from.title.text;
  step.kind = kind_of(planned);
  step.language = language_of(from);
  step.script = runbook::fill_placeholders(from, planned.script, placeholders);
  step.prose = prose_of(from);
  if (planned.phase != nullptr) step.phase = planned.phase->title.text;
  if (planned.option != nullptr) step.phase = planned.option->title.text;
  step.line = from.range.begin.line;
  step.window_end = planned.window_end;
  step.expected = planned.expected;
  step.expected_is_rest = planned.expected_is_rest;
  step.timeout = said.timeout;
  step.on_crash = on_crash_of(said);
  step.retries = said.retries;
  step.optional = said.optional;
  step.parallel = said.parallel;
  step.approve = said.approve;
  step.component = said.component;
  step.workdir = said.workdir;
  const auto filled = [&](const std::string& command) { return runbook::fill_command(command, placeholders); };
  step.verify = filled(said.verify);
  step.when = filled(said.when);
  step.compensate = filled(said.compensate);
  step.target = filled(said.target);
  step.fence = filled(said.fence);
  step.environment = said.env;
  step.secrets = secrets_of(resolved, from.id);
  step.hazards = hazards_of(planned);
  step.skipped = planned.skipped;
  step.other_option = is_of_another_option(resolved, planned);
  return step;
}

std::optional<Objective> objective_of(const std::optional<runbook::Target>& target) {
  if (!target) return std::nullopt;
  return Objective{target->most ? target->most : target->least, target->text.text};
}

}  // namespace

Plan plan_of(const runbook::Plan& resolved, const std::map<std::string, std::string>& values) {
  Plan plan;
  plan.document = resolved.document->path;
  plan.document_sha256 = to_hex(crypto::sha256(as_bytes(resolved.document->source)));
  plan.procedure = resolved.procedure->id;
  plan.title = resolved.procedure->title.text;
  plan.warnings = resolved.warnings;
  for (const runbook::Choice& choice : resolved.choices) plan.choices[choice.key] = choice.chosen;
  plan.rto = objective_of(resolved.rto);
  plan.rpo = objective_of(resolved.rpo);
  for (const runbook::PlannedStep& planned : resolved.steps) {
    plan.steps.push_back(step_of(resolved, planned, values));
  }
  for (const runbook::SharedBudget& from : resolved.budgets) {
    SharedBudget& shared = plan.budgets.emplace_back(SharedBudget{from.title, from.most, {}});
    for (const runbook::Step* step : from.steps) shared.steps.push_back(step->id);
  }
  find_points(plan.steps, values);
  for (const Step& step : plan.steps) {
    if (step.destructive() && step.skipped.empty() && !step.instant_is_known())
      plan.warnings.push_back(fmt::format("{}: {}", step.id, unknown_words(step)));
  }
  return plan;
}

}  // namespace holdfast::engine
