#include "runbook/outline_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "runbook/document_json.h"

namespace holdfast::runbook {

namespace {

std::string plural(size_t count, const std::string& one, const std::string& many = "") {
  return fmt::format("{} {}", count, count == 1 ? one : many.empty() ? one + "s" : many);
}

std::string budget_words(const std::optional<Budget>& budget) {
  if (!budget) return "";
  return fmt::format("  [{}{}]", budget->kind == Budget::Kind::kWindow ? "window " : "", budget->text.text);
}

std::string target_words(const std::optional<Target>& target) { return target ? target->text.text : "-"; }

// Lines of a tree; children are drawn below their parent.
class Tree {
 public:
  void line(int depth, const std::string& words, SourceRange range = {}) {
    std::string text = std::string(static_cast<size_t>(depth) * 2, ' ') + words;
    if (range.known())
      text = fmt::format("{:>5}  {}", range.begin.line, text);
    else
      text = "       " + text;
    while (text.ends_with(' ')) text.pop_back();
    text_ += text + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string option_prefix(const Procedure& procedure, const Step& step) {
  return step.option ? "option " + procedure.options[*step.option].letter + ": " : "";
}

void add_step(Tree& tree, const Procedure& procedure, const Step& step, int depth) {
  std::string words = fmt::format("{}{}{}  ({})", option_prefix(procedure, step),
                                  step.number.empty() ? "" : step.number + ". ", step.title.text, name_of(step.kind));
  words += budget_words(step.budget);
  if (!step.condition.empty()) words += "  " + step.condition;
  tree.line(depth, words, step.range);
  std::vector<std::string> kinds;
  for (const Hazard& hazard : step.hazards) {
    const std::string name(name_of(hazard.kind));
    if (std::find(kinds.begin(), kinds.end(), name) == kinds.end()) kinds.push_back(name);
  }
  if (!kinds.empty()) tree.line(depth + 2, fmt::format("! {}", fmt::join(kinds, ", ")));
  const std::vector<int> alternatives = step.alternatives();
  for (size_t group = 1; group < alternatives.size(); group++)
    tree.line(depth + 2, fmt::format("a choice of {} alternatives", alternatives[group]));
  std::vector<std::string> needs;
  for (const VariableUse& use : step.variables) needs.push_back("$" + use.name);
  for (const Placeholder& each : step.placeholders) needs.push_back(each.text);
  if (!needs.empty()) tree.line(depth + 2, fmt::format("needs {}", fmt::join(needs, " ")));
}

void add_procedure(Tree& tree, const Procedure& procedure) {
  tree.line(1,
            fmt::format("{}{}  <{}>", procedure.number.empty() ? "" : procedure.number + ". ", procedure.title.text,
                        procedure.id),
            procedure.range);
  if (!procedure.trigger.empty()) tree.line(2, "trigger: " + procedure.trigger.text, procedure.trigger.range);
  if (!procedure.symptoms.empty())
    tree.line(2, plural(procedure.symptoms.size(), "symptom"), procedure.symptoms.front().range);
  if (!procedure.impact.empty())
    tree.line(2, "impact: " + plural(procedure.impact.size(), "line"), procedure.impact.front().range);
  if (!procedure.prerequisites.empty())
    tree.line(2, plural(procedure.prerequisites.size(), "prerequisite"), procedure.prerequisites.front().range);
  if (procedure.expected_time)
    tree.line(2, "expected to take " + procedure.expected_time->text.text, procedure.expected_time->text.range);
  if (procedure.expected_loss)
    tree.line(2, "expected loss: " + procedure.expected_loss->text.text, procedure.expected_loss->text.range);
  for (const Option& option : procedure.options)
    tree.line(2, fmt::format("option {}: {}{}", option.letter, option.title.text, budget_words(option.budget)),
              option.range);
  size_t phase = procedure.phases.size();
  for (const Step& step : procedure.steps) {
    if (step.phase != phase && step.phase < procedure.phases.size()) {
      phase = step.phase;
      const Phase& each = procedure.phases[phase];
      if (!each.title.empty()) tree.line(2, each.title.text + ":" + budget_words(each.budget), each.range);
    }
    add_step(tree, procedure, step, 3);
  }
}

void add_facts(Tree& tree, const Document& document) {
  if (!document.objectives.empty()) tree.line(0, "objectives");
  for (const Objective& each : document.objectives)
    tree.line(
        1,
        fmt::format("{}: RTO {}, RPO {}{}", each.subject.empty() ? "all" : each.subject.text, target_words(each.rto),
                    target_words(each.rpo), each.priority.empty() ? "" : ", " + each.priority.text),
        each.range);
  if (!document.severities.empty()) tree.line(0, "severities");
  for (const Severity& each : document.severities)
    tree.line(1,
              fmt::format("{}: {}{}", each.level.text, each.description.text,
                          each.response ? "; response " + each.response->text.text : ""),
              each.level.range);
  if (!document.contacts.empty()) tree.line(0, "contacts");
  for (const Contact& each : document.contacts) {
    std::vector<std::string> fields;
    for (const auto& [label, value] : each.fields) fields.push_back(value.text);
    tree.line(1, fmt::format("{}: {}", each.role.text, fmt::join(fields, ", ")), each.range);
  }
  if (!document.escalations.empty()) tree.line(0, "escalation");
  for (const Escalation& each : document.escalations)
    tree.line(1, fmt::format("{}: {}{}", each.level.text, each.who.text, budget_words(each.budget)), each.range);
  if (!document.schedules.empty()) tree.line(0, "schedules");
  for (const Schedule& each : document.schedules)
    tree.line(1,
              fmt::format("{}: {}{}{}", each.subject.text, each.text.text,
                          each.command.empty() ? "" : "  " + each.command, each.backup ? "  (makes copies)" : ""),
              each.text.range);
  if (!document.embedded_files.empty()) tree.line(0, "files in the document");
  for (const EmbeddedFile& each : document.embedded_files)
    tree.line(1,
              fmt::format("{} ({} line{})", each.path.empty() ? "without a name" : each.path.text, each.lines.size(),
                          each.lines.size() == 1 ? "" : "s"),
              each.range);
  if (!document.metrics.empty()) tree.line(0, "metrics");
  for (const MetricsTable& table : document.metrics)
    for (const Metric& each : table.metrics)
      tree.line(1, fmt::format("{}{}", each.name.text, each.target.empty() ? "" : ": target " + each.target.text),
                each.name.range);
  if (!document.variables.empty()) tree.line(0, "variables");
  for (const VariableDefinition& each : document.variables)
    tree.line(1, fmt::format("{}={}{}", each.name.text, each.value.text, each.placeholder ? "  (to be filled in)" : ""),
              each.name.range);
  if (!document.references.empty()) tree.line(0, "references");
  for (const Link& each : document.references)
    tree.line(1, fmt::format("{}{}", each.text.text, each.target.empty() ? "" : " -> " + each.target), each.text.range);
}

}  // namespace

std::string outline_text(const Document& document) {
  Tree tree;
  tree.line(0, document.title.empty() ? document.path : document.title.text, document.title.range);
  add_facts(tree, document);
  tree.line(0, document.scenarios.empty() ? "no scenarios" : "scenarios");
  for (const Procedure& each : document.scenarios) add_procedure(tree, each);
  if (!document.procedures.empty()) tree.line(0, "other procedures");
  for (const Procedure& each : document.procedures) add_procedure(tree, each);
  if (!document.unknown.empty()) tree.line(0, "not understood");
  for (const UnknownPart& each : document.unknown)
    tree.line(1, fmt::format("{}: {}", each.what, each.first_words), each.range);
  if (!document.placeholders.empty()) tree.line(0, "left to be filled in");
  for (const Placeholder& each : document.placeholders) tree.line(1, each.text, each.range);
  if (!document.errors.empty()) tree.line(0, "errors");
  for (const ReadError& each : document.errors) tree.line(1, each.message, each.range);
  return tree.take();
}

}  // namespace holdfast::runbook
