#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// What the person who plans has settled.
struct PlanRequest {
  std::string procedure;                  // id, number or words of its title
  std::vector<std::string> choices = {};  // "recovery-procedure=B", "restore-database=2", "B" where one choice takes it
  std::map<std::string, std::string> variables = {};  // also the values of placeholders, by their names
  std::set<std::string> environment = {};             // names that are set already
  std::string from = {};                              // step id: those before are left out
  std::set<std::string> only = {};                    // step ids; empty: all
  std::map<std::string, std::string> skip = {};       // step id -> reason
  bool drill = false;                                 // leaves out steps that say drill=skip
};

// A decision that a person has to take before the run: an option of the procedure, an
// alternative within a step, or whether the condition of a step or a phase holds.
struct Choice {
  std::string key;  // what `choices` calls it: "recovery-procedure", "restart-redis"
  std::string question;
  struct Answer {
    std::string key;  // "A", "1"
    std::string title;
    std::optional<Budget> budget;
  };
  std::vector<Answer> answers;
  std::string chosen;  // "" : open
  SourceRange range;
};

// A value that has to be known before the run.
struct Input {
  enum class Kind { kVariable, kPlaceholder };
  Kind kind = Kind::kVariable;
  std::string name;
  std::string text;   // as written in the document
  std::string value;  // given, or from the document's own definitions
  bool known = false;
  bool secret = false;  // its name says so: TOKEN, PASSWORD, KEY
  std::vector<std::string> steps;
  SourceRange range;  // first use
};

struct PlannedStep {
  const Step* step = nullptr;  // lives as long as the document
  const Phase* phase = nullptr;
  const Option* option = nullptr;
  std::string script;  // what would run: alternatives chosen, input handed to its program
  std::vector<Hazard> hazards;
  std::string skipped;                 // why it is left out; "" : it runs
  std::optional<Duration> window_end;  // since the scenario began, from the step's or its phase's budget
  std::optional<Duration> expected;    // own duration, or what its option or phase leaves it
  bool expected_is_rest = false;       // what the durations of other steps leave it
  bool needs_person = false;
};

// A duration that an option or a phase states for all its steps together.
struct SharedBudget {
  std::string title;
  Duration most;
  std::vector<const Step*> steps;  // those that run
};

// What a scenario will do, in order. Nothing is executed by making one.
struct Plan {
  const Document* document = nullptr;
  const Procedure* procedure = nullptr;
  std::vector<PlannedStep> steps;
  std::vector<SharedBudget> budgets;  // those of options before those of phases
  std::vector<Choice> choices;
  std::vector<Input> inputs;
  std::vector<std::string> warnings;  // hazards of the order, one sentence each
  std::optional<Target> rto, rpo;     // the tightest that apply
  bool complete() const;              // no open choice, no unknown input
};

// A command that holds bytes that are no UTF-8 is refused: what is journaled and run would be another.
// kNotFound: no such procedure or step; kUsage: an answer that fits no choice, or several; kInvalidData: the
// document has errors in its annotations.
Result<Plan> make_plan(const Document& document, const PlanRequest& request);

}  // namespace holdfast::runbook
