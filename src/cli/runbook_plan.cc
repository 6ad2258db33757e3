#include "base/filesystem.h"
#include "base/units.h"
#include "cli/drill.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/runbook.h"
#include "cli/runbook_options.h"
#include "cli/runbook_session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "engine/drilled.h"
#include "engine/from_runbook.h"
#include "engine/outlook.h"
#include "engine/repository_proofs.h"
#include "engine/restore_words.h"
#include "recovery/evidence.h"
#include "recovery/points.h"
#include "recovery/restore.h"

namespace holdfast::cli {
namespace {

struct PlanOptions : RunbookOptions {
  std::string explain;
};

// What the scenario's restores would draw on, now: each component from each point once.
struct Basis {
  std::vector<recovery::ComponentPlan> components;
  std::optional<Duration> loss;
  std::string problem;
  std::map<std::string, engine::DrilledRestore> drills;  // by component
};

bool is_known(const Basis& basis, const recovery::ComponentPlan& component) {
  return std::any_of(basis.components.begin(), basis.components.end(), [&](const recovery::ComponentPlan& each) {
    return each.component == component.component && each.point == component.point && each.instant == component.instant;
  });
}

Result<void> add_restore(recovery::Workspace& workspace, const engine::WantedPoint& wanted, Basis& basis) {
  recovery::RestorePlan plan = TRY(engine::plan_restore(workspace, wanted));
  for (recovery::ComponentPlan& component : plan.components) {
    basis.loss = std::max(basis.loss.value_or(Duration()), plan.now - component.instant);
    if (!is_known(basis, component)) basis.components.push_back(std::move(component));
  }
  return {};
}

// A scenario that restores nothing by holdfast is held against the newest point of the stack.
Basis basis_of(Context& context, std::vector<engine::WantedPoint> restores) {
  if (restores.empty()) restores.emplace_back();
  Basis basis;
  const auto find = [&]() -> Result<void> {
    auto workspace = TRY(context.open());
    TRY(workspace->hold_for_reading("runbook plan"));
    TRY(recovery::name_only_stack(*workspace));
    recovery::EvidenceLog evidence(workspace->repository(), real_file_system(), workspace->stack().stack,
                                   drill_registry());
    // An expectation that can't be read keeps nobody from a plan.
    if (const auto chain = evidence.read(); chain.ok()) basis.drills = engine::drilled_restores(*chain);
    for (const engine::WantedPoint& wanted : restores) TRY(add_restore(*workspace, wanted, basis));
    return {};
  };
  if (const auto found = find(); !found.ok()) basis.problem = found.error().message();
  const bool all_known = std::all_of(restores.begin(), restores.end(),
                                     [](const engine::WantedPoint& wanted) { return wanted.instant_is_known(); });
  if (!all_known || !basis.problem.empty()) basis.loss.reset();
  return basis;
}

std::string hazards_of(const engine::Step& step) {
  std::vector<std::string> names;
  for (const engine::Hazard& hazard : step.hazards) {
    if (std::find(names.begin(), names.end(), hazard.kind) == names.end()) names.push_back(hazard.kind);
  }
  if (step.kind == engine::StepKind::kManual) names.push_back("by-hand");
  if (!step.approve.empty()) names.push_back("approval");
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string expected_of(const engine::Outlook& outlook, const std::string& step) {
  const auto known = outlook.steps.find(step);
  if (known == outlook.steps.end()) return "?";
  return (known->second.measured ? "" : "~") + duration_text(known->second.expected);
}

void print_steps(Context& context, const engine::Plan& plan, const engine::Outlook& outlook) {
  Table table(
      {{"#", Table::Align::kRight}, {"STEP"}, {"LINE", Table::Align::kRight}, {"WITHIN"}, {"EXPECTED"}, {"HAZARDS"}});
  for (size_t i = 0; i < plan.steps.size(); i++) {
    const engine::Step& step = plan.steps[i];
    table.add({std::to_string(i + 1), step.id, std::to_string(step.line),
               step.window_end ? duration_text(*step.window_end) : "",
               step.skipped.empty() ? expected_of(outlook, step.id) : "",
               step.skipped.empty() ? hazards_of(step) : "left out: " + step.skipped});
  }
  context.write(table.text());
}

// What the document says of several steps together.
void print_budgets(Context& context, const engine::Plan& plan) {
  for (const engine::SharedBudget& budget : plan.budgets)
    context.print("{} for \"{}\": {}", duration_text(budget.most), printable(one_line(budget.title)),
                  fmt::join(budget.steps, ", "));
}

void print_basis(Context& context, const engine::Plan& plan, const engine::Outlook& outlook, const Basis& basis) {
  const std::string unknown =
      outlook.unknown.empty() ? "" : fmt::format(" and {} of unknown length", counted(outlook.unknown.size(), "step"));
  context.print("time: {}{}{}", duration_text(outlook.whole), unknown,
                plan.rto ? fmt::format("; RTO {}", printable(plan.rto->text)) : "");
  if (!basis.problem.empty()) context.print("recovery point: unknown: {}", printable(basis.problem));
  for (const auto& component : basis.components) {
    context.print("recovery point: {}: {} to {} ({})", component.component, component.point.hex().substr(0, 8),
                  format_local(component.instant), format_bytes(component.bytes));
  }
  if (basis.loss) {
    context.print("loss: {}{}", duration_text(*basis.loss),
                  plan.rpo ? fmt::format("; RPO {}", printable(plan.rpo->text)) : "");
  }
}

// What drills measured of each step that restores.
using Drilled = std::map<std::string, std::vector<engine::DrilledRestore>>;

std::string expectation_of(const engine::Step& step) {
  if (!step.expected) return "";
  const std::string time = duration_text(*step.expected);
  return step.expected_is_rest ? fmt::format(", the document's other durations leave it {}", time)
                               : fmt::format(", the document says {}", time);
}

std::string sentence_of(const engine::DrilledRestore& drilled, const engine::Step& step) {
  return fmt::format("{} measured {} on {} (drill {}){}", printable(drilled.component), duration_text(drilled.took),
                     format_rfc3339(drilled.began).substr(0, 10), printable(drilled.drill), expectation_of(step));
}

void print_drilled(Context& context, const engine::Plan& plan, const Drilled& drilled) {
  for (const engine::Step& step : plan.steps) {
    const auto known = drilled.find(step.id);
    if (known == drilled.end()) continue;
    for (const engine::DrilledRestore& each : known->second) context.print("{}: {}", step.id, sentence_of(each, step));
  }
}

Json drilled_json(const Drilled& drilled, const std::string& step) {
  Json list = Json::array();
  const auto known = drilled.find(step);
  if (known == drilled.end()) return list;
  for (const engine::DrilledRestore& each : known->second)
    list.push_back({{"component", each.component},
                    {"seconds", json_of(each.took)},
                    {"began", json_of(each.began)},
                    {"drill", each.drill}});
  return list;
}

Json json_of_plan(const engine::Plan& plan, const engine::Outlook& outlook, const Basis& basis, const Drilled& drilled,
                  const std::vector<std::string>& open) {
  Json steps = Json::array();
  for (const engine::Step& step : plan.steps) {
    Json hazards = Json::array();
    for (const engine::Hazard& hazard : step.hazards)
      hazards.push_back({{"kind", hazard.kind}, {"reason", hazard.reason}});
    const auto known = outlook.steps.find(step.id);
    steps.push_back({{"step", step.id},
                     {"title", step.title},
                     {"kind", engine::step_kind_name(step.kind)},
                     {"line", step.line},
                     {"phase", step.phase},
                     {"prose", step.prose},
                     {"script", step.script},
                     {"skipped", step.skipped},
                     {"window_end_seconds", step.window_end ? json_of(*step.window_end) : Json()},
                     {"expected_seconds", known == outlook.steps.end() ? Json() : json_of(known->second.expected)},
                     {"drilled", drilled_json(drilled, step.id)},
                     {"hazards", hazards},
                     {"destructive", step.destructive()},
                     {"explanation", engine::explain(step)}});
  }
  Json budgets = Json::array();
  for (const engine::SharedBudget& each : plan.budgets)
    budgets.push_back({{"title", each.title}, {"seconds", json_of(each.most)}, {"steps", each.steps}});
  Json points = Json::array();
  for (const auto& component : basis.components) {
    points.push_back({{"component", component.component},
                      {"point", component.point.hex()},
                      {"instant", json_of(component.instant)},
                      {"bytes", component.bytes}});
  }
  std::vector<std::string> warnings = plan.warnings;
  warnings.insert(warnings.end(), outlook.warnings.begin(), outlook.warnings.end());
  return {{"document", plan.document},
          {"procedure", plan.procedure},
          {"title", plan.title},
          {"warnings", warnings},
          {"open", open},
          {"choices", plan.choices},
          {"rto_seconds", plan.rto && plan.rto->most ? json_of(*plan.rto->most) : Json()},
          {"rpo_seconds", plan.rpo && plan.rpo->most ? json_of(*plan.rpo->most) : Json()},
          {"expected_seconds", json_of(outlook.whole)},
          {"steps_of_unknown_length", outlook.unknown.size()},
          {"expected_loss_seconds", basis.loss ? json_of(*basis.loss) : Json()},
          {"recovery_points", points},
          {"budgets", budgets},
          {"steps", steps}};
}

// Line by line, at a margin.
void print_block(Context& context, const std::string& text) {
  if (text.empty()) return;
  context.print("");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    context.print("    {}", printable(text.substr(begin, end - begin)));
    begin = end + 1;
  }
}

Result<void> explain(Context& context, const engine::Plan& plan, const Drilled& drilled, const std::string& id) {
  const engine::Step* step = plan.find(id);
  if (step == nullptr) {
    std::vector<std::string> ids;
    for (const engine::Step& known : plan.steps) ids.push_back(known.id);
    return make_error(ErrorCode::kNotFound, "the scenario has no step {}", id)
        .with_hint(fmt::format("it has {}", fmt::join(ids, ", ")));
  }
  context.print("{}: {} (line {} of {})", step->id, printable(step->title), step->line, plan.document);
  for (const std::string& sentence : engine::explain(*step)) context.print("- {}", printable(one_line(sentence)));
  if (const auto known = drilled.find(id); known != drilled.end())
    for (const engine::DrilledRestore& each : known->second) context.print("- {}", sentence_of(each, *step));
  print_block(context, step->prose);
  print_block(context, step->script);
  return {};
}

Result<void> run(Context& context, PlanOptions options) {
  const auto config = stack_file(context);
  options.given = stack_variables(context, config.ok() ? *config : "");
  const ResolvedScenario resolved = TRY(resolve_scenario(options, {}));
  const engine::Plan plan = engine::plan_of(resolved.plan, resolved.variables.plain);
  const auto history = engine::read_history(runs_directory(options.runs), plan.document, plan.procedure);
  const engine::Outlook outlook = engine::look_ahead(plan, history.ok() ? *history : engine::History());
  const Basis basis = basis_of(context, engine::restores_of(plan, resolved.variables.plain));
  const Drilled drilled = engine::drilled_steps(basis.drills, plan, resolved.variables.plain);
  const auto open = open_questions(resolved.plan, resolved.variables);
  context.set_document("runbook-plan", json_of_plan(plan, outlook, basis, drilled, open));
  if (!options.explain.empty()) return explain(context, plan, drilled, options.explain);
  if (context.json()) return {};
  context.print("{} ({})", printable(plan.title), plan.document);
  for (const std::string& warning : plan.warnings) context.print("warning: {}", printable(one_line(warning)));
  for (const std::string& warning : outlook.warnings) context.print("warning: {}", printable(warning));
  for (const std::string& question : open) context.print("open: {}", printable(one_line(question)));
  context.print("");
  print_steps(context, plan, outlook);
  context.print("");
  print_budgets(context, plan);
  print_drilled(context, plan, drilled);
  print_basis(context, plan, outlook, basis);
  context.say("nothing was run; --explain STEP tells all of one step");
  return {};
}

}  // namespace

void add_runbook_plan(Program& program, CLI::App* runbook) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command =
      program.command("plan", "What a scenario will do, how long it takes, what is lost; runs nothing.", runbook);
  add_runbook_options(command, *options);
  command
      ->add_option("--explain", options->explain, "all of one step: its text, hazards, what is proven before and after")
      ->type_name("STEP");
  program.examples(command,
                   "holdfast runbook plan dr.md 2\n"
                   "holdfast runbook plan dr.md 'database failure' --choose C\n"
                   "holdfast runbook plan dr.md 2 --explain restore-database\n"
                   "holdfast runbook plan dr.md 2 --json | jq -r '.warnings[]'");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
