#include "runbook/plan.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "runbook/acts.h"
#include "runbook/clients.h"
#include "runbook/document_json.h"
#include "runbook/hazards.h"
#include "runbook/phrases.h"
#include "runbook/placeholders.h"
#include "runbook/shell/invocation.h"
#include "runbook/shell/parser.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

namespace {

// The answers of a request, taken one by one; what is left fits nothing.
class Answers {
 public:
  explicit Answers(const std::vector<std::string>& given) : left_(given) {}

  // "KEY=ANSWER", or the bare answer where only one choice has it.
  std::string take(const Choice& choice) {
    for (const bool bare : {false, true}) {
      for (auto given = left_.begin(); given != left_.end(); ++given) {
        const size_t equals = given->find('=');
        if ((equals == std::string::npos) != bare) continue;
        if (!bare && lower(given->substr(0, equals)) != choice.key) continue;
        const std::string answer = bare ? *given : given->substr(equals + 1);
        for (const Choice::Answer& each : choice.answers) {
          if (lower(each.key) != lower(answer)) continue;
          left_.erase(given);
          return each.key;
        }
      }
    }
    return "";
  }

  const std::vector<std::string>& left() const { return left_; }

 private:
  std::vector<std::string> left_;
};

class Planner {
 public:
  Planner(const Document& document, const Procedure& procedure, const PlanRequest& request)
      : request_(request), answers_(request.choices) {
    plan_.document = &document;
    plan_.procedure = &procedure;
  }

  Result<Plan> run() {
    TRY(check_names());
    options();
    for (const Step& step : procedure().steps) add(step);
    if (!answers_.left().empty())
      return make_error(ErrorCode::kUsage, "the choice '{}' fits nothing in '{}'", answers_.left().front(),
                        procedure().title.text)
          .with_hint("'holdfast runbook plan' lists the choices and their answers");
    inputs();
    targets();
    warnings();
    return std::move(plan_);
  }

 private:
  const Procedure& procedure() const { return *plan_.procedure; }

  Result<void> check_names() {
    const auto known = [&](const std::string& id) -> Result<void> {
      if (id.empty() || procedure().find_step(id) != nullptr) return {};
      return make_error(ErrorCode::kNotFound, "there is no step '{}' in '{}'", id, procedure().title.text)
          .with_hint("'holdfast runbook show' lists the steps");
    };
    TRY(known(request_.from));
    for (const std::string& id : request_.only) TRY(known(id));
    for (const auto& [id, reason] : request_.skip) {
      TRY(known(id));
      if (reason.empty())
        return make_error(ErrorCode::kUsage, "step '{}' is to be skipped without a reason", id)
            .with_hint("say --skip STEP=REASON");
    }
    return {};
  }

  void options() {
    std::map<size_t, Choice> groups;
    for (const Option& option : procedure().options) {
      Choice& choice = groups[option.group];
      if (choice.answers.empty()) {
        const std::string phase = slug(procedure().phases[option.phase].title.text);
        choice.key = phase.empty() ? "option" : phase;
        choice.question = "which option of '" +
                          (phase.empty() ? procedure().title.text : procedure().phases[option.phase].title.text) + "'";
        choice.range = option.range;
      }
      choice.answers.push_back({option.letter, option.title.text, option.budget});
    }
    for (auto& [group, choice] : groups) {
      choice.chosen = answers_.take(choice);
      chosen_[group] = choice.chosen;
      plan_.choices.push_back(std::move(choice));
    }
  }

  void add(const Step& step) {
    PlannedStep planned;
    planned.step = &step;
    planned.phase = &procedure().phases[step.phase];
    planned.option = step.option ? &procedure().options[*step.option] : nullptr;
    planned.skipped = why_skipped(step);
    if (std::string refuted = refuted_condition(step, planned.skipped.empty()); planned.skipped.empty())
      planned.skipped = std::move(refuted);
    planned.hazards = step.hazards;
    planned.script = step_script(step, alternatives(step, planned.skipped.empty()));
    planned.needs_person = step.kind == StepKind::kManual || step.annotations.manual || step.interactive() ||
                           !step.annotations.approve.empty();
    const std::optional<Budget>& own = step.budget;
    // The innermost window holds; a duration of the option leaves the phase's window as it is.
    for (const std::optional<Budget>& budget :
         {planned.phase->budget, planned.option != nullptr ? planned.option->budget : std::nullopt, own})
      if (budget && budget->kind == Budget::Kind::kWindow) planned.window_end = budget->most;
    if (own && own->kind == Budget::Kind::kDuration) planned.expected = own->most;
    plan_.steps.push_back(std::move(planned));
  }

  std::string why_skipped(const Step& step) {
    const bool from_here = request_.from.empty() || started_ || step.id == request_.from;
    started_ = started_ || from_here;
    if (const auto skip = request_.skip.find(step.id); skip != request_.skip.end()) return skip->second;
    if (!from_here) return "before the step to begin with";
    if (!request_.only.empty() && !request_.only.contains(step.id)) return "not among the steps asked for";
    if (request_.drill && step.annotations.drill_skip) return "left out in a drill";
    if (!step.option) return "";
    const std::string& chosen = chosen_[procedure().options[*step.option].group];
    if (chosen.empty()) return "no option is chosen yet";
    return chosen == procedure().options[*step.option].letter ? "" : "another option is chosen";
  }

  // What the document makes a step depend on, in words, is for a person to decide before the run; a
  // manual step is decided on by whoever does it. "" unless the answer is no.
  std::string refuted_condition(const Step& step, bool runs) {
    const bool by_hand = step.kind == StepKind::kManual || step.annotations.manual;
    if (step.condition.empty() || !step.annotations.when.empty() || by_hand) return "";
    Choice choice;
    choice.key = step.alternatives().size() > 1 ? step.id + "-condition" : step.id;
    choice.question = "does the condition of '" + step.title.text + "' hold: " + step.condition;
    choice.answers = {{"yes", "run it", std::nullopt}, {"no", "leave it out: " + step.condition, std::nullopt}};
    choice.range = step.range;
    choice.chosen = answers_.take(choice);
    const bool refuted = choice.chosen == "no";
    if (runs) plan_.choices.push_back(std::move(choice));
    return refuted ? "its condition does not hold: " + step.condition : "";
  }

  std::map<int, int> alternatives(const Step& step, bool runs) {
    std::map<int, int> chosen;
    const std::vector<int> counts = step.alternatives();
    for (size_t group = 1; group < counts.size(); group++) {
      if (counts[group] < 2) continue;
      Choice choice;
      choice.key = group == 1 ? step.id : step.id + "-" + std::to_string(group);
      choice.question = "which alternative in '" + step.title.text + "'";
      choice.range = step.range;
      for (int number = 1; number <= counts[group]; number++)
        choice.answers.push_back(
            {std::to_string(number), title_of(step, static_cast<int>(group), number), std::nullopt});
      choice.chosen = answers_.take(choice);
      if (!choice.chosen.empty()) chosen[static_cast<int>(group)] = choice.chosen[0] - '0';
      if (choice.chosen.size() > 1) chosen[static_cast<int>(group)] = std::stoi(choice.chosen);
      if (runs) plan_.choices.push_back(std::move(choice));
    }
    return chosen;
  }

  static std::string title_of(const Step& step, int group, int number) {
    for (const Piece& piece : step.pieces) {
      if (piece.group != group || piece.alternative != number) continue;
      return piece.text.empty() ? piece.title : shortened(piece.text);
    }
    return "";
  }

  // Variables and placeholders that their own step doesn't settle: what an earlier step assigns
  // is gone with its process.
  void inputs() {
    for (const PlannedStep& planned : plan_.steps) {
      if (!planned.skipped.empty()) continue;
      const Step& step = *planned.step;
      for (const VariableUse& use : step.variables) add_variable(use, step);
      const bool by_hand = step.kind == StepKind::kManual || step.annotations.manual || step.interactive();
      for (const Placeholder& each : step.placeholders) {
        // A secret that a person types is none of ours.
        if (by_hand && is_secret_name(each.name)) continue;
        add_input(Input::Kind::kPlaceholder, each.name, each.text, each.range, step, false);
      }
      own_commands(step);
    }
  }

  void add_variable(const VariableUse& use, const Step& step) {
    add_input(Input::Kind::kVariable, use.name, "$" + use.name, use.range, step, use.has_default || use.sourced);
  }

  // Of what annotations run; these are processes of their own and see nothing of what the step sets.
  void own_commands(const Step& step) {
    const Annotations& said = step.annotations;
    for (const std::string* command : {&said.when, &said.target, &said.fence, &said.verify, &said.compensate}) {
      for (const VariableUse& use : variables_of(*command, said.range)) add_variable(use, step);
      for (const FoundPlaceholder& each : placeholders_in_code(*command))
        add_input(Input::Kind::kPlaceholder, each.name, each.text, said.range, step, false);
    }
  }

  void add_input(Input::Kind kind, const std::string& name, const std::string& text, SourceRange range,
                 const Step& step, bool optional) {
    for (Input& known : plan_.inputs) {
      if (known.kind != kind || known.name != name) continue;
      if (known.steps.back() != step.id) known.steps.push_back(step.id);
      return;
    }
    if (kind == Input::Kind::kVariable && step.annotations.env.contains(name)) return;
    Input input;
    input.kind = kind;
    input.name = name;
    input.text = text;
    input.range = range;
    input.secret = is_secret_name(name);
    input.steps = {step.id};
    const auto given = request_.variables.find(name);
    if (given != request_.variables.end()) {
      input.value = given->second;
      input.known = true;
    } else if (kind == Input::Kind::kVariable) {
      input.known = optional || request_.environment.contains(name) || from_document(input);
    }
    plan_.inputs.push_back(std::move(input));
  }

  bool from_document(Input& input) const {
    for (const VariableDefinition& each : plan_.document->variables) {
      if (each.name.text != input.name || each.placeholder) continue;
      input.value = each.value.text;
      return true;
    }
    return false;
  }

  // The tightest objectives: the scenario's own, else the global ones, else those of the components
  // that its title names, else the strictest component's. What is no recovery has only its own.
  void targets() {
    const auto tighter = [](std::optional<Target>& best, const std::optional<Target>& candidate) {
      if (candidate && candidate->most && (!best || *candidate->most < *best->most)) best = candidate;
    };
    using Scope = Objective::Scope;
    const auto scenarios = [&](const Objective& each) {
      return each.scope == Scope::kScenario && slug(each.subject.text) == slug(procedure().title.text);
    };
    const auto global = [](const Objective& each) { return each.scope == Scope::kGlobal; };
    const auto component = [](const Objective& each) { return each.scope == Scope::kComponent; };
    const auto named = [&](const Objective& each) {
      return component(each) && share_word(each.subject.text, procedure().title.text);
    };
    const std::function<bool(const Objective&)> tiers[] = {scenarios, global, named, component};
    for (const auto& applies : tiers) {
      std::optional<Target> rto, rpo;
      for (const Objective& each : plan_.document->objectives) {
        if (!applies(each)) continue;
        tighter(rto, each.rto);
        tighter(rpo, each.rpo);
      }
      if (!plan_.rto) plan_.rto = rto;
      if (!plan_.rpo) plan_.rpo = rpo;
      if (procedure().kind != ProcedureKind::kScenario) return;
    }
  }

  void warnings() {
    for (OrderHazard& hazard : order_hazards(procedure())) {
      if (plan_.steps[hazard.step].skipped.empty()) plan_.warnings.push_back(std::move(hazard.sentence));
    }
    Duration sum, end;
    for (const PlannedStep& planned : plan_.steps) {
      if (!planned.skipped.empty()) continue;
      if (planned.expected) sum = sum + *planned.expected;
      if (planned.window_end) end = std::max(end, *planned.window_end);
    }
    const Duration total = std::max(sum, end);
    if (plan_.rto && plan_.rto->most && total > *plan_.rto->most)
      plan_.warnings.push_back("the steps may take " + format_duration(total) + " by their own budgets, the RTO is " +
                               plan_.rto->text.text);
  }

  const PlanRequest& request_;
  Answers answers_;
  Plan plan_;
  std::map<size_t, std::string> chosen_;
  bool started_ = false;
};

constexpr std::string_view kInputEnd = "HOLDFAST_INPUT";

// "docker exec -it db psql": no terminal stands behind a here-document.
void drop_terminal(std::string& text, const std::vector<shell::Word>& words, size_t count) {
  for (size_t index = count; index > 0; index--) {
    const shell::Word& word = words[index - 1];
    const bool both = word.value == "-it" || word.value == "-ti";
    if (both || word.value == "-t" || word.value == "--tty")
      text.replace(word.span.begin, word.span.end - word.span.begin, both ? "-i" : "");
  }
}

// The command line that reads a piece of input, as a here-document of its program. psql
// goes on after a statement that failed unless it is told not to.
std::string opener_of(const Piece& piece) {
  const std::string here = " <<'" + std::string(kInputEnd) + "'";
  std::string opener = piece.program;
  const shell::Script script = shell::parse(without_angles(opener));
  for (const shell::Invocation& invocation : shell::invocations(script)) {
    if (!opens_prompt(invocation)) continue;
    const std::vector<shell::Word>& words = invocation.command->words;
    const size_t place = words.size() - std::min(words.size(), invocation.args.size() + 1);
    opener.insert(std::min<size_t>(invocation.span.end, opener.size()), here);
    if (words[place].value != invocation.path) return opener;
    if (invocation.program == "psql") opener.insert(words[place].span.end, " -v ON_ERROR_STOP=1");
    drop_terminal(opener, words, place);
    return opener;
  }
  return opener + here;
}

}  // namespace

bool Plan::complete() const {
  const bool chosen =
      std::all_of(choices.begin(), choices.end(), [](const Choice& choice) { return !choice.chosen.empty(); });
  return chosen && std::all_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.known; });
}

Result<Plan> make_plan(const Document& document, const PlanRequest& request) {
  if (!document.errors.empty()) {
    const ReadError& error = document.errors.front();
    return make_error(ErrorCode::kInvalidData, "{}:{}: {}", document.path, error.range.begin.line, error.message)
        .with_hint(error.hint);
  }
  const Procedure* procedure = document.find_procedure(request.procedure);
  if (procedure == nullptr)
    return make_error(ErrorCode::kNotFound, "no scenario, or more than one, fits '{}' in {}", request.procedure,
                      document.path)
        .with_hint("'holdfast runbook show' lists scenarios with their ids");
  return Planner(document, *procedure, request).run();
}

std::string step_script(const Step& step, const std::map<int, int>& alternatives) {
  if (step.kind == StepKind::kSql || step.kind == StepKind::kManual) return step.text;
  std::string script;
  for (const Piece& piece : step.pieces) {
    if (piece.group > 0) {
      const auto chosen = alternatives.find(piece.group);
      if (chosen == alternatives.end() || chosen->second != piece.alternative) continue;
    }
    if (piece.kind == Piece::Kind::kCommands) {
      script += piece.text;
      continue;
    }
    script += opener_of(piece) + "\n" + piece.text + std::string(kInputEnd) + "\n";
  }
  return script;
}

std::string fill_command(std::string command, const std::map<std::string, std::string>& values) {
  const std::vector<FoundPlaceholder> found = placeholders_in_code(command);
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    const auto value = values.find(each->name);
    if (value != values.end()) command.replace(each->span.begin, each->span.end - each->span.begin, value->second);
  }
  return command;
}

std::string fill_placeholders(const Step& step, std::string text, const std::map<std::string, std::string>& values) {
  // Longest first: one may begin with another.
  std::vector<const Placeholder*> all;
  for (const Placeholder& each : step.placeholders) all.push_back(&each);
  std::stable_sort(all.begin(), all.end(),
                   [](const Placeholder* a, const Placeholder* b) { return a->text.size() > b->text.size(); });
  std::string result;
  size_t place = 0;
  while (place < text.size()) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Placeholder* each) {
      return values.contains(each->name) && text.compare(place, each->text.size(), each->text) == 0;
    });
    if (found == all.end()) {
      result += text[place++];
      continue;
    }
    result += values.at((*found)->name);
    place += (*found)->text.size();
  }
  return result;
}

}  // namespace holdfast::runbook
