#include "runbook/plan.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/utf8.h"
#include "runbook/acts.h"
#include "runbook/document_json.h"
#include "runbook/hazards.h"
#include "runbook/phrases.h"
#include "runbook/placeholders.h"
#include "runbook/step_builder.h"
#include "runbook/step_script.h"
#include "runbook/vocabulary.h"

namespace holdfast::runbook {

namespace {

// The answers of a request: "KEY=ANSWER", or the answer alone where one choice has it.
class Answers {
 public:
  explicit Answers(const std::vector<std::string>& given) {
    for (const std::string& each : given) given_.emplace(each, std::vector<std::string>());
  }

  // `asked`: it is open unless it is answered; what nobody is asked may be answered all the same.
  std::string take(const Choice& choice, bool asked) {
    std::vector<std::string> bare;
    std::string taken;
    for (auto& [given, used] : given_) {
      const size_t equals = given.find('=');
      const bool keyed = equals != std::string::npos;
      if (keyed && lower(given.substr(0, equals)) != lower(choice.key)) continue;
      const std::string answer = answer_of(choice, keyed ? given.substr(equals + 1) : given);
      if (answer.empty()) continue;
      fits_.insert(given);
      if (!keyed) bare.push_back(given);
      if (keyed && !taken.empty() && taken != answer) twice_ = choice.key;
      if (keyed) taken = answer;
    }
    if (!taken.empty() || !asked) return taken;
    for (const std::string& given : bare) given_[given].push_back(choice.key);
    if (bare.size() > 1) twice_ = choice.key;
    return bare.empty() ? "" : answer_of(choice, bare.front());
  }

  // Each answer was for one choice, and each choice has one.
  Result<void> check(const std::string& title) const {
    for (const auto& [given, used] : given_) {
      if (!fits_.contains(given))
        return make_error(ErrorCode::kUsage, "the choice '{}' fits nothing in '{}'", given, title)
            .with_hint("'holdfast runbook plan' lists the choices and their answers");
      if (used.size() > 1)
        return make_error(ErrorCode::kUsage, "the answer '{}' fits several choices: {}", given, fmt::join(used, ", "))
            .with_hint(fmt::format("say which: --choose {}={}", used.front(), given));
    }
    if (!twice_.empty())
      return make_error(ErrorCode::kUsage, "the choice '{}' is answered twice", twice_)
          .with_hint("give one answer to it");
    return {};
  }

 private:
  static std::string answer_of(const Choice& choice, const std::string& text) {
    for (const Choice::Answer& each : choice.answers)
      if (lower(each.key) == lower(text)) return each.key;
    return "";
  }

  std::map<std::string, std::vector<std::string>> given_;  // as given -> choices that it settles by itself
  std::set<std::string> fits_;
  std::string twice_;
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
    for (const Step& step : procedure().steps) {
      skipped_.push_back(left_out(step));
      keys_.merge(choices_of(step));
    }
    for (size_t index = 0; index < procedure().phases.size(); index++) condition_of_phase(index);
    options();
    for (const Step& step : procedure().steps) add(step);
    TRY(answers_.check(procedure().title.text));
    share_durations();
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

  // A title may have no word that a key can be made of.
  std::string key_of_phase(size_t index) const {
    const std::string key = slug(procedure().phases[index].title.text);
    return key.empty() ? "phase-" + std::to_string(index + 1) : key;
  }

  // Each choice has a key of its own, whatever titles say.
  std::string unique_key(const std::string& base) {
    std::string key = base;
    for (int number = 2; !keys_.insert(key).second; number++) key = base + "-" + std::to_string(number);
    return key;
  }

  void options() {
    std::map<size_t, Choice> groups;
    for (const Option& option : procedure().options) {
      Choice& choice = groups[option.group];
      if (choice.answers.empty()) {
        const std::string& phase = procedure().phases[option.phase].title.text;
        const std::string item = slug(option.within.text);
        choice.key = unique_key(!item.empty() ? item : phase.empty() ? "option" : key_of_phase(option.phase));
        const std::string& offers = option.within.empty() ? phase : option.within.text;
        choice.question = "which option of '" + (offers.empty() ? procedure().title.text : offers) + "'";
        choice.range = option.range;
      }
      choice.answers.push_back({option.letter, option.title.text, option.budget});
    }
    for (auto& [group, choice] : groups) {
      const bool asked = !refuted_.contains(group);
      choice.chosen = answers_.take(choice, asked);
      chosen_[group] = choice.chosen;
      if (asked) plan_.choices.push_back(std::move(choice));
    }
  }

  void add(const Step& step) {
    PlannedStep planned;
    planned.step = &step;
    planned.phase = &procedure().phases[step.phase];
    planned.option = step.option ? &procedure().options[*step.option] : nullptr;
    planned.skipped = skipped_[plan_.steps.size()];
    if (planned.skipped.empty()) planned.skipped = other_option(step);
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

  // The durations of options and phases.
  void share_durations() {
    const Procedure& all = procedure();
    for (const Option& option : all.options)
      share(option.title.text, option.budget, [&](const PlannedStep& each) { return each.option == &option; });
    for (const Phase& phase : all.phases)
      share(phase.title.text, phase.budget,
            [&](const PlannedStep& each) { return is_within(each.phase->range, phase.range); });
  }

  // A lone step has the duration for its own. Several have it together; what it leaves to the one
  // that states none is that one's. A part of the steps is not expected to need the whole.
  template <typename Belongs>
  void share(const std::string& title, const std::optional<Budget>& budget, const Belongs& belongs) {
    if (!budget || budget->kind != Budget::Kind::kDuration || !budget->most) return;
    Duration left = *budget->most;
    SharedBudget shared{budget_title(title), *budget->most, {}};
    std::vector<PlannedStep*> silent;
    size_t count = 0;
    bool whole = true;
    for (PlannedStep& planned : plan_.steps) {
      if (!belongs(planned) || !other_option(*planned.step).empty()) continue;
      count++;
      whole = whole && planned.skipped.empty();
      if (planned.skipped.empty()) shared.steps.push_back(planned.step);
      if (planned.expected) left = left - *planned.expected;
      if (!planned.expected) silent.push_back(&planned);
    }
    if (whole && silent.size() == 1 && left > Duration()) {
      silent.front()->expected = left;
      silent.front()->expected_is_rest = count > 1;
    }
    if (whole && silent.size() > 1 && left > Duration()) undivided_.push_back(plan_.budgets.size());
    if (count > 1 && !shared.steps.empty()) plan_.budgets.push_back(std::move(shared));
  }

  // Clocks are told apart by it.
  std::string budget_title(const std::string& title) const {
    const auto taken = [&](const std::string& name) {
      return std::any_of(plan_.budgets.begin(), plan_.budgets.end(),
                         [&](const SharedBudget& each) { return each.title == name; });
    };
    std::string name = title;
    for (int number = 2; taken(name); number++) name = title + " (" + std::to_string(number) + ")";
    return name;
  }

  // By their durations, the steps one after the other. Where several state none they take what
  // their option or phase states together.
  Duration sum_of_durations() const {
    Duration sum;
    std::map<size_t, Duration> begun;  // of plan_.budgets
    for (const PlannedStep& planned : plan_.steps) {
      if (!planned.skipped.empty()) continue;
      for (const size_t index : undivided_)
        if (plan_.budgets[index].steps.front() == planned.step) begun[index] = sum;
      if (planned.expected) sum = sum + *planned.expected;
      for (const size_t index : undivided_)
        if (plan_.budgets[index].steps.back() == planned.step)
          sum = std::max(sum, begun[index] + plan_.budgets[index].most);
    }
    return sum;
  }

  static bool is_within(const SourceRange& inner, const SourceRange& outer) {
    return outer.begin <= inner.begin && inner.end <= outer.end;
  }

  // By the request.
  std::string left_out(const Step& step) {
    const bool from_here = request_.from.empty() || started_ || step.id == request_.from;
    started_ = started_ || from_here;
    if (const auto skip = request_.skip.find(step.id); skip != request_.skip.end()) return skip->second;
    if (!from_here) return "before the step to begin with";
    if (!request_.only.empty() && !request_.only.contains(step.id)) return "not among the steps asked for";
    return request_.drill && step.annotations.drill_skip ? "left out in a drill" : "";
  }

  std::string other_option(const Step& step) const {
    if (!step.option) return "";
    const std::string& chosen = chosen_.at(procedure().options[*step.option].group);
    if (chosen.empty()) return "no option is chosen yet";
    return chosen == procedure().options[*step.option].letter ? "" : "another option is chosen";
  }

  static bool by_hand(const Step& step) { return step.kind == StepKind::kManual || step.annotations.manual; }

  // What the document makes a step or a phase depend on, in words, is for a person to decide before
  // the run. "" unless the answer is no.
  std::string settle(Choice choice, const std::string& title, const std::string& condition, bool asked) {
    choice.question = "does the condition of '" + title + "' hold: " + condition;
    choice.answers = {{"yes", "run it", std::nullopt}, {"no", "leave it out: " + condition, std::nullopt}};
    choice.chosen = answers_.take(choice, asked);
    const bool refuted = choice.chosen == "no";
    if (asked) plan_.choices.push_back(std::move(choice));
    return refuted ? "its condition does not hold: " + condition : "";
  }

  // Holds for all its steps, those of phases below it, too. Where all are done by hand, whoever does
  // them decides.
  void condition_of_phase(size_t index) {
    const Phase& phase = procedure().phases[index];
    if (phase.condition.empty()) return;
    const auto within = [&](size_t other) { return is_within(procedure().phases[other].range, phase.range); };
    bool runs = false, taken = false;
    Choice choice;
    choice.key = key_of_phase(index);
    choice.range = phase.range;
    for (size_t place = 0; place < procedure().steps.size(); place++) {
      const Step& step = procedure().steps[place];
      taken = taken || step.id == choice.key || (step.phase == index && step.option);
      runs = runs || (within(step.phase) && skipped_[place].empty() && !by_hand(step));
    }
    choice.key = unique_key(taken ? choice.key + "-condition" : choice.key);
    const std::string refuted = settle(std::move(choice), phase.title.text, phase.condition, runs);
    if (refuted.empty()) return;
    for (const Option& option : procedure().options)
      if (within(option.phase)) refuted_.insert(option.group);
    for (size_t place = 0; place < procedure().steps.size(); place++)
      if (within(procedure().steps[place].phase) && skipped_[place].empty()) skipped_[place] = refuted;
  }

  // A manual step is decided on by whoever does it.
  static bool has_condition(const Step& step) {
    return !step.condition.empty() && step.annotations.when.empty() && !by_hand(step);
  }
  static std::string condition_key(const Step& step) {
    return step.alternatives().size() > 1 ? step.id + "-condition" : step.id;
  }
  static std::string alternatives_key(const Step& step, size_t group) {
    return group == 1 ? step.id : step.id + "-" + std::to_string(group);
  }

  static std::set<std::string> choices_of(const Step& step) {
    std::set<std::string> keys;
    if (has_condition(step)) keys.insert(condition_key(step));
    for (size_t group = 1; group < step.alternatives().size(); group++) keys.insert(alternatives_key(step, group));
    return keys;
  }

  std::string refuted_condition(const Step& step, bool runs) {
    if (!has_condition(step)) return "";
    Choice choice;
    choice.key = condition_key(step);
    choice.range = step.range;
    return settle(std::move(choice), step.title.text, step.condition, runs);
  }

  std::map<int, int> alternatives(const Step& step, bool runs) {
    std::map<int, int> chosen;
    const std::vector<int> counts = step.alternatives();
    for (size_t group = 1; group < counts.size(); group++) {
      if (counts[group] < 2) continue;
      Choice choice;
      choice.key = alternatives_key(step, group);
      choice.question = "which alternative in '" + step.title.text + "'";
      choice.range = step.range;
      for (int number = 1; number <= counts[group]; number++)
        choice.answers.push_back(
            {std::to_string(number), title_of(step, static_cast<int>(group), number), std::nullopt});
      choice.chosen = answers_.take(choice, runs);
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
    find_ambiguous();
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

  // Names to which the document gives more than one value: which holds here only a person knows.
  void find_ambiguous() {
    std::map<std::string_view, std::string_view> values;
    for (const VariableDefinition& each : plan_.document->variables) {
      if (each.placeholder) continue;
      const auto [known, first] = values.emplace(each.name.text, each.value.text);
      if (!first && known->second != each.value.text) ambiguous_.insert(each.name.text);
    }
  }

  bool from_document(Input& input) const {
    if (ambiguous_.contains(input.name)) return false;
    for (const VariableDefinition& each : plan_.document->variables) {
      if (each.name.text != input.name || each.placeholder || each.open) continue;
      // What it was made of may be another value in this run.
      const bool other = std::any_of(each.uses.begin(), each.uses.end(), [&](const std::string& name) {
        return request_.environment.contains(name) || request_.variables.contains(name) || ambiguous_.contains(name);
      });
      if (other) continue;
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

  // Output that begins like a command may be one.
  void blocks_left_out() {
    for (const UnknownPart& each : plan_.document->unknown) {
      const std::string word = each.first_words.substr(0, each.first_words.find(' '));
      const bool command = is_known_program(word) || word.starts_with("./") || word == "$";
      if (each.what == "code block" && command && is_within(each.range, procedure().range))
        plan_.warnings.push_back("the block at line " + std::to_string(each.range.begin.line) +
                                 " is taken for output and no step: " + each.first_words);
    }
  }

  void warnings() {
    blocks_left_out();
    for (OrderHazard& hazard : order_hazards(procedure())) {
      if (plan_.steps[hazard.step].skipped.empty()) plan_.warnings.push_back(std::move(hazard.sentence));
    }
    Duration total = sum_of_durations();
    for (const PlannedStep& planned : plan_.steps)
      if (planned.skipped.empty() && planned.window_end) total = std::max(total, *planned.window_end);
    if (plan_.rto && plan_.rto->most && total > *plan_.rto->most)
      plan_.warnings.push_back("the steps may take " + format_duration(total) + " by their own budgets, the RTO is " +
                               plan_.rto->text.text);
  }

  const PlanRequest& request_;
  Answers answers_;
  Plan plan_;
  std::map<size_t, std::string> chosen_;
  std::set<std::string> keys_;        // of choices
  std::set<std::string> ambiguous_;   // variables of the document
  std::vector<std::string> skipped_;  // of each step, why it is left out; "" : it is not
  std::set<size_t> refuted_;          // groups of options in phases whose condition does not hold
  std::vector<size_t> undivided_;     // budgets whose steps nobody knows the shares of
  bool started_ = false;
};

// A journal holds UTF-8: another command than the document's would be run.
Result<void> check_bytes(const Plan& plan) {
  const auto refuse = [&](Position where) {
    return make_error(ErrorCode::kInvalidData, "{}:{}: a command holds a byte that is no UTF-8", plan.document->path,
                      where.line)
        .with_hint("store the document as UTF-8; in a command write such a byte as $'\\xNN'");
  };
  for (const PlannedStep& planned : plan.steps) {
    const Step& step = *planned.step;
    if (!planned.skipped.empty()) continue;
    const size_t valid = valid_utf8_bytes(step.text);
    if (valid < step.text.size())
      return refuse(step.where({static_cast<uint32_t>(valid), static_cast<uint32_t>(valid) + 1}).begin);
    const Annotations& said = step.annotations;
    for (const std::string* text :
         {&said.when, &said.target, &said.fence, &said.verify, &said.compensate, &said.workdir})
      if (!is_utf8(*text)) return refuse(said.range.begin);
    for (const auto& [name, value] : said.env)
      if (!is_utf8(value)) return refuse(said.range.begin);
  }
  return {};
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
  Plan plan = TRY(Planner(document, *procedure, request).run());
  TRY(check_bytes(plan));
  return plan;
}

}  // namespace holdfast::runbook
