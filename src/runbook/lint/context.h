#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runbook/acts.h"
#include "runbook/lint/lint.h"
#include "runbook/shell/invocation.h"

namespace holdfast::runbook::lint {

// One program run by a step or by a file of the document.
struct Run {
  shell::Invocation invocation;
  const Procedure* procedure = nullptr;  // null in a file
  const Step* step = nullptr;
  const EmbeddedFile* file = nullptr;
  SourceRange range;
  std::string_view text;  // as written; of the step's or file's text, and of a wrapped one the wrapper's
  std::string small;      // lower-case program and arguments
  bool in_scenario() const { return procedure != nullptr && procedure->kind == ProcedureKind::kScenario; }
  bool says(std::string_view words) const { return small.find(words) != std::string::npos; }
};

// What rules look at, computed once.
class Context {
 public:
  Context(const Document& document, const StackFacts* stack);

  const Document& document;
  const StackFacts* stack;
  std::vector<Run> runs;                     // in the order of scenarios, procedures, files
  std::vector<const Procedure*> procedures;  // scenarios first
  std::string all_text;                      // lower-case source

  bool mentions(std::string_view words) const { return all_text.find(words) != std::string::npos; }
  // Where a span of a run's step or file stands.
  static SourceRange where(const Run& run, shell::Span span);

 private:
  void add(const shell::Script& script, const std::string& text, Run proto);
};

// Collects findings of one rule after the other.
class Report {
 public:
  void add(std::string_view rule, SourceRange range, std::string message);
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  std::vector<Finding> findings_;
  std::set<std::pair<const RuleInfo*, Position>> known_;
};

// One group of rules each.
void check_objectives(const Context& context, Report& report);
void check_copies(const Context& context, Report& report);
void check_commands(const Context& context, Report& report);
void check_shell(const Context& context, Report& report);
void check_services(const Context& context, Report& report);
void check_secrets(const Context& context, Report& report);
void check_structure(const Context& context, Report& report);

bool contains_any(const std::string& text, std::initializer_list<std::string_view> words);

}  // namespace holdfast::runbook::lint
