#include "engine/engine.h"

#include <algorithm>

#include "engine/shared_clock.h"
#include "engine/words.h"

namespace holdfast::engine {
namespace {

constexpr Duration kTick = Duration::milliseconds(250);
constexpr int kWarnPercent = 80;
constexpr Duration kAfterKill = Duration::milliseconds(20);
constexpr int kLooksAfterKill = 250;

bool undoes(const LostAttempt& lost) { return lost.id.ends_with(kUndoSuffix); }

}  // namespace

void Engine::append(std::string_view kind, const std::string& step, int attempt, Json payload) {
  redactor_.redact_words(payload);
  Event event;
  event.time = world_.clock.now();
  event.step = step;
  event.attempt = attempt;
  event.kind = kind;
  event.payload = std::move(payload);
  world_.log.append(std::move(event));
  const Event& appended = world_.log.events().back();
  const auto applied = apply(state_, appended);
  CHECK_MSG(applied.ok(), "an event that the engine made does not fit its own fold");
}

Result<void> Engine::commit() {
  TRY(world_.log.commit());
  durable_ = world_.log.events().size();
  while (told_ < durable_) world_.observer.on_event(state_, world_.log.events()[told_++]);
  return {};
}

Result<RunState> Engine::committed_state() const {
  const auto& events = world_.log.events();
  return fold({events.begin(), events.begin() + static_cast<std::ptrdiff_t>(durable_)});
}

void Engine::stop_run(std::string why, Error error) {
  if (!stopping_) stopping_ = Stop{std::move(why), std::move(error)};
}

// What goes on while the loop waits for a person or for a proof.
void Engine::attend() {
  if (meanwhile_error_) return;
  auto collected = collect();
  watch_budgets();
  if (collected.ok()) collected = commit();
  if (!collected.ok()) {
    meanwhile_error_ = std::move(collected).error();
    return;
  }
  world_.observer.on_tick(state_, world_.clock.now());
}

Result<std::optional<Answer>> Engine::ask(const Question& question) {
  TRY(commit());
  auto answer = world_.person.ask(question, [this] { attend(); });
  if (meanwhile_error_) return std::exchange(meanwhile_error_, std::nullopt)->clone();
  const bool left = options_.stop != nullptr && options_.stop->load();
  if (answer.ok() && !*answer && left) {
    stop_run("interrupted", make_error(ErrorCode::kInterrupted, "run {} was left", state_.id));
  }
  return answer;
}

// What was being undone when the journal lost its events, is undone to the end: `undo.begun` is lost, too.
bool Engine::is_to_undo() const {
  return state_.undoing || options_.undo || std::any_of(options_.lost.begin(), options_.lost.end(), undoes);
}

// An end that is unknown, or a failure; for who undoes also one that was unknown before the step was to be run again.
bool Engine::has_open_end(const std::string& id) const {
  const StepState& step = state_.step(id);
  return step.phase == StepPhase::kUnknown || step.phase == StepPhase::kFailed ||
         (is_to_undo() && step.effect == Effect::kPossible);
}

// Steps behind which the run had gone on, as attempts tell that the journal has lost: what a person, or the
// command line, said of them is lost, too. What is asked anyway, is asked again.
std::set<std::string> Engine::passed_over() const {
  std::set<std::string> passed;
  if (is_to_undo()) return passed;
  const auto is_lost = [&](const Step& step) {
    return std::any_of(options_.lost.begin(), options_.lost.end(),
                       [&](const auto& lost) { return lost.id == step.id; });
  };
  const auto& steps = state_.plan.steps;
  const auto last = std::find_if(steps.rbegin(), steps.rend(), is_lost);
  for (auto step = last; step != steps.rend(); ++step) {
    const StepPhase phase = state_.step(step->id).phase;
    const bool is_asked = phase == StepPhase::kPending && step->needs_person();
    const bool is_open = phase == StepPhase::kPending || phase == StepPhase::kFailed;
    const bool beside = !step->parallel.empty() && step->parallel == last->parallel;
    if (is_open && !is_asked && !beside && step->skipped.empty() && !is_lost(*step)) passed.insert(step->id);
  }
  return passed;
}

bool Engine::answer_may_be_lost(const Step& step) const {
  const auto& steps = state_.plan.steps;
  const auto from = std::find_if(steps.begin(), steps.end(), [&](const Step& each) { return each.id == step.id; });
  return std::any_of(from, steps.end(), [&](const Step& each) { return state_.step(each.id).lost; });
}

// For who wonders why they are asked again.
std::string Engine::with_loss(const Step& step, std::string words) const {
  if (answer_may_be_lost(step))
    words += "; the journal has lost events: if this was answered, the answer is among them";
  return words;
}

// Of what the journal has lost nobody but a person can say what became of it.
Result<void> Engine::check_lost_attempts() const {
  std::vector<std::string> unsaid;
  for (const LostAttempt& lost : options_.lost) {
    if (lost.running != 0) {
      return make_error(ErrorCode::kInvalidData,
                        "the journal of run {} has lost events, and step {} still runs (pid {})", state_.id, lost.id,
                        lost.running)
          .with_hint("wait for its end, or end it, then resume");
    }
    if (options_.settle.contains(lost.id) || options_.skip.contains(lost.id)) continue;
    unsaid.push_back(fmt::format("{} ({}, {})", lost.id, lost.directory, lost.end ? end_words(*lost.end) : "no end"));
  }
  for (const std::string& id : passed_over()) {
    if (options_.settle.contains(id) || options_.skip.contains(id)) continue;
    unsaid.push_back(fmt::format("{} ({}, and the run went on)", id, phase_name(state_.step(id).phase)));
  }
  if (unsaid.empty()) return {};
  return make_error(ErrorCode::kInvalidData, "the journal of run {} has lost events: it knows nothing of {}", state_.id,
                    fmt::join(unsaid, ", "))
      .with_hint(fmt::format(
          "bring back journal.db and journal.db-wal; or look, and say of each what becomes of it: --done STEP{}",
          is_to_undo() ? ", --retry STEP~undo, --skip STEP=REASON of a step itself (the run was being undone)"
                       : ", --retry STEP, --skip STEP=REASON"));
}

void Engine::begin_undoing() {
  if (state_.undoing || !is_to_undo()) return;
  const auto lost = std::find_if(options_.lost.begin(), options_.lost.end(), undoes);
  const bool told = options_.undo || lost == options_.lost.end();
  append(kind::kUndoBegun, "", 0,
         {{"who", world_.person.who()},
          {"why", told ? "--undo" : "the journal has lost events: " + lost->directory + " was an undoing"}});
}

void Engine::take_up_lost_attempts() {
  for (const LostAttempt& lost : options_.lost) {
    append(kind::kStepUnknown, lost.id, lost.attempt,
           {{"why", "the journal has lost events: it did not know of this attempt"}, {"directory", lost.directory}});
  }
}

// Only an end that is missing or open can be settled.
Result<void> Engine::check_settlements() const {
  TRY(check_lost_attempts());
  for (const auto& [step, as] : options_.settle) {
    const std::string& id = step;
    const size_t mark = id.find('~');
    const std::string suffix = mark == std::string::npos ? "" : id.substr(mark);
    const bool known = state_.plan.find(id.substr(0, mark)) != nullptr &&
                       (suffix.empty() || suffix == kVerifySuffix || suffix == kUndoSuffix);
    if (!known) return make_error(ErrorCode::kNotFound, "the run has no step {}", id);
    if (as == "retry" && suffix.empty() && is_to_undo()) {
      return make_error(ErrorCode::kRefused, "the run is undone: step {} can't be run again", id)
          .with_hint(fmt::format("--done {0} undoes it, --skip {0}=REASON does not", id));
    }
    const StepPhase phase = state_.step(id).phase;
    const bool lost =
        std::any_of(options_.lost.begin(), options_.lost.end(), [&](const auto& l) { return l.id == id; });
    if (lost || phase == StepPhase::kRunning || has_open_end(id) || passed_over().contains(id)) continue;
    return make_error(ErrorCode::kRefused, "step {} is {}: there is nothing to settle", id, phase_name(phase));
  }
  return {};
}

// What a dead supervisor left behind is waited for no longer.
Result<void> Engine::give_up_orphan(const std::string& id, bool kill) {
  using State = AttemptReport::State;
  const StepState step = state_.step(id);
  const AttemptFiles files{join_path(options_.directory, step.directory)};
  auto state = TRY(world_.runner.look(files, step.process)).state;
  if (state == State::kRunning) {
    return make_error(ErrorCode::kRefused, "step {} still runs: its end will be known", id)
        .with_hint(fmt::format("'holdfast runbook resume {}' without that option waits for it", state_.id));
  }
  for (int looks = 0; kill && state == State::kOrphaned; looks++) {
    if (looks == kLooksAfterKill) {
      return make_error(ErrorCode::kTimeout, "processes of step {} can't be ended", id)
          .with_hint("end them by hand; those that dropped their environment are not touched");
    }
    TRY(world_.runner.stop(step.process, step.key));
    world_.runner.wait(kAfterKill);
    state = TRY(world_.runner.look(files, step.process)).state;
  }
  if (state != State::kOrphaned && state != State::kUnknown) return collect_one(id);
  const std::string rest = kill ? "what it left was ended" : "what it left is not waited for";
  append(kind::kStepUnknown, id, step.attempts, {{"why", "its supervisor was killed; " + rest}});
  return {};
}

// What the command line says of an end that was there before this drive, whatever on_crash says.
Result<void> Engine::settle_as_told(const std::string& id, const std::string& as) {
  const bool done = as == "done";
  if (state_.step(id).phase == StepPhase::kRunning) TRY(give_up_orphan(id, !done));
  const bool was_passed = done && state_.step(id).phase == StepPhase::kPending;
  if (!has_open_end(id) && !was_passed) return {};
  const std::string who = world_.person.who();
  settle(id, as, who, "command line");
  if (!id.ends_with(kVerifySuffix)) return {};
  // A step that failed by its verification goes by what is said of that.
  const std::string whole = id.substr(0, id.size() - kVerifySuffix.size());
  const StepState& step = state_.step(whole);
  const bool by_verification = step.phase == StepPhase::kFailed && step.end && step.end->succeeded();
  if (by_verification) settle(whole, done ? "done" : "ran", who, "command line");
  return {};
}

// What a drive makes of a step that an earlier one left.
Result<void> Engine::take_up(const Step& step) {
  const auto wanted = options_.skip.find(step.id);
  const bool to_undo = state_.undoing && state_.step(step.id).effect != Effect::kNone;
  if (wanted != options_.skip.end() && (to_undo || !state_.settled(step.id))) {
    if (state_.step(step.id).phase == StepPhase::kRunning) TRY(give_up_orphan(step.id, true));
    skip(step, wanted->second, world_.person.who());
  } else if (options_.resumed && state_.step(step.id).phase == StepPhase::kFailed && !state_.undoing) {
    settle(step.id, "retry", "resume", "the run was resumed");
  }
  const std::string undo = step.id + std::string(kUndoSuffix);
  if (options_.resumed && state_.step(undo).phase == StepPhase::kFailed) {
    settle(undo, "retry", "resume", "the run was resumed");
  }
  return {};
}

// Who drives, and what the command line settled beforehand.
Result<void> Engine::announce() {
  TRY(check_settlements());
  const ProcessIdentity self = ProcessIdentity::of_self();
  append(kind::kRunDriven, "", 0,
         {{"pid", self.pid}, {"host", world_.proofs.host()}, {"boot", self.boot}, {"who", world_.person.who()}});
  for (const auto& [id, reason] : options_.overrides) {
    if (state_.step(id).override_reason.empty()) {
      append(kind::kStepOverridden, id, 0, {{"rule", "destructive"}, {"why", reason}, {"who", world_.person.who()}});
    }
  }
  TRY(collect());
  take_up_lost_attempts();
  for (const auto& [id, as] : options_.settle) TRY(settle_as_told(id, as));
  begin_undoing();
  for (const Step& step : state_.plan.steps) TRY(take_up(step));
  return {};
}

bool Engine::anything_runs() const {
  return std::any_of(state_.steps.begin(), state_.steps.end(),
                     [](const auto& entry) { return entry.second.phase == StepPhase::kRunning; });
}

bool Engine::all_settled() const {
  if (anything_runs()) return false;
  return std::all_of(state_.plan.steps.begin(), state_.plan.steps.end(),
                     [&](const Step& step) { return state_.undoing ? !to_be_undone(step) : state_.settled(step.id); });
}

Result<void> Engine::collect_one(const std::string& id) {
  using State = AttemptReport::State;
  const StepState& step = state_.steps.at(id);
  const int attempt = step.attempts;
  const AttemptReport report =
      TRY(world_.runner.look(AttemptFiles{join_path(options_.directory, step.directory)}, step.process));
  switch (report.state) {
    case State::kRunning: break;
    case State::kOrphaned:
      // Its supervisor would have ended it by now.
      if (step.deadline && world_.clock.now() > *step.deadline) TRY(world_.runner.stop(step.process, step.key));
      if (step.orphaned_seq < state_.driven_seq) {
        append(kind::kStepOrphaned, id, attempt,
               {{"why", "its supervisor was killed; what it left still runs and is waited for"}});
      }
      break;
    case State::kEnded: append(kind::kStepFinished, id, attempt, report.end->to_json()); break;
    case State::kVoid:
      append(kind::kStepVoid, id, attempt, {{"why", "its supervisor ended before the step began"}});
      break;
    case State::kUnknown:
      append(kind::kStepUnknown, id, attempt, {{"why", "its supervisor was killed and left no status"}});
      break;
    case State::kElsewhere:
      if (options_.settle.contains(id) || options_.skip.contains(id)) {
        append(kind::kStepUnknown, id, attempt, {{"why", "it was started where it can't be looked at"}});
        break;
      }
      return make_error(ErrorCode::kRefused, "step {} was started on another machine or in another container", id)
          .with_hint("resume the run there, or settle the step with --done or --retry");
  }
  return {};
}

Result<void> Engine::collect() {
  std::vector<std::string> running;
  for (const auto& [id, step] : state_.steps) {
    if (step.phase == StepPhase::kRunning) running.push_back(id);
  }
  for (const std::string& id : running) TRY(collect_one(id));
  return {};
}

void Engine::watch_budget(const std::string& name, Duration limit, Duration elapsed, const std::string& step) {
  const Json payload = {{"budget", name}, {"limit_s", limit.in_seconds()}, {"elapsed_s", elapsed.in_seconds()}};
  if (elapsed >= limit) {
    if (!state_.budgets.contains("over:" + name)) append(kind::kBudgetOverrun, step, 0, payload);
  } else if (elapsed.ns >= limit.ns / 100 * kWarnPercent) {
    if (!state_.budgets.contains("warn:" + name)) append(kind::kBudgetWarned, step, 0, payload);
  }
}

// How long the document says that the step itself takes, since its newest attempt began.
void Engine::watch_own_budget(const Step& step) {
  if (!step.expected) return;
  const StepState& state = state_.step(step.id);
  const bool done = state.phase == StepPhase::kDone && state.end;
  if (!done && state.phase != StepPhase::kRunning) return;
  const Duration elapsed = done ? state.end->took : world_.clock.now() - state.started;
  if (!done || elapsed >= *step.expected) watch_budget(own_budget(step), *step.expected, elapsed, step.id);
}

void Engine::watch_shared_budget(const SharedBudget& budget) {
  const auto clock = shared_clock(state_, budget, world_.clock.now());
  if (clock && (clock->runs || clock->elapsed >= budget.most))
    watch_budget(name_of(budget), budget.most, clock->elapsed);
}

// A window's end concerns the steps in it; it ends none of them. One that was done too late
// while nobody drove the run was late all the same.
void Engine::watch_budgets() {
  if (state_.undoing) return;
  const Duration now = world_.clock.now() - state_.began;
  Duration whole;
  for (const Step& step : state_.plan.steps) {
    watch_own_budget(step);
    const StepState& state = state_.step(step.id);
    const bool settled = state_.settled(step.id);
    const bool done = state.phase == StepPhase::kDone && state.ended.ns != 0;
    if (settled && !done) continue;
    const Duration elapsed = settled ? state.ended - state_.began : now;
    whole = std::max(whole, elapsed);
    if (!step.window_end || (settled && elapsed < *step.window_end)) continue;
    watch_budget(step.phase.empty() ? step.title : step.phase, *step.window_end, elapsed);
  }
  for (const SharedBudget& budget : state_.plan.budgets) watch_shared_budget(budget);
  if (state_.plan.rto && state_.plan.rto->most) watch_budget("RTO", *state_.plan.rto->most, whole);
}

void Engine::obey_wishes() {
  if (options_.stop != nullptr && options_.stop->load()) detach_ = true;
  const Wish wish = world_.person.wish();
  if (wish == Wish::kDetach) detach_ = true;
  if (wish == Wish::kStopStep) {
    for (const auto& [id, step] : state_.steps) {
      if (step.phase == StepPhase::kRunning)
        ignore(world_.runner.stop(step.process, step.key), "it may just have ended");
    }
  }
  if (detach_) stop_run("interrupted", make_error(ErrorCode::kInterrupted, "run {} was left", state_.id));
}

void Engine::pause() {
  const Time now = world_.clock.now();
  Duration at_most = kTick;
  if (wake_at_) at_most = std::clamp(*wake_at_ - now, Duration(), kTick);
  world_.runner.wait(at_most);
  world_.observer.on_tick(state_, world_.clock.now());
}

Result<void> Engine::end_stopped() {
  append(kind::kRunStopped, "", 0, {{"why", stopping_->why}, {"words", stopping_->error.text()}});
  TRY(commit());
  return std::move(stopping_->error);
}

Result<void> Engine::turn() {
  wake_at_.reset();
  const size_t before = world_.log.events().size();
  TRY(collect());
  watch_budgets();
  obey_wishes();
  if (!stopping_) TRY(advance());
  // What was settled may open the way for what comes next: only an idle turn waits.
  if (world_.log.events().size() != before || (stopping_ && (detach_ || !anything_runs()))) return {};
  TRY(commit());
  pause();
  return {};
}

Result<void> Engine::drive() {
  TRY(announce());
  watch_budgets();
  while (!all_settled()) {
    if (stopping_ && (detach_ || !anything_runs())) return end_stopped();
    TRY(turn());
  }
  watch_budgets();
  append(kind::kRunFinished, "", 0, {{"outcome", state_.undoing ? "undone" : "recovered"}});
  return commit();
}

}  // namespace holdfast::engine
