#include "engine/engine.h"

#include <algorithm>

namespace holdfast::engine {
namespace {

constexpr Duration kTick = Duration::milliseconds(250);
constexpr int kWarnPercent = 80;

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
  world_.observer.on_event(state_, appended);
}

void Engine::stop_run(std::string why, Error error) {
  if (!stopping_) stopping_ = Stop{std::move(why), std::move(error)};
}

Result<std::optional<Answer>> Engine::ask(Question question) {
  TRY(world_.log.commit());
  auto answer = world_.person.ask(question, [this] {
    if (meanwhile_error_) return;
    auto collected = collect();
    watch_budgets();
    if (collected.ok()) collected = world_.log.commit();
    if (!collected.ok()) meanwhile_error_ = std::move(collected).error();
    world_.observer.on_tick(state_, world_.clock.now());
  });
  if (meanwhile_error_) return std::exchange(meanwhile_error_, std::nullopt)->clone();
  const bool left = options_.stop != nullptr && options_.stop->load();
  if (answer.ok() && !*answer && left) {
    stop_run("interrupted", make_error(ErrorCode::kInterrupted, "run {} was left", state_.id));
  }
  return answer;
}

// Who drives, and what the command line settled beforehand.
Result<void> Engine::announce() {
  const ProcessIdentity self = ProcessIdentity::of_self();
  append(kind::kRunDriven, "", 0,
         {{"pid", self.pid}, {"host", world_.proofs.host()}, {"boot", self.boot}, {"who", world_.person.who()}});
  for (const auto& [id, reason] : options_.overrides) {
    if (state_.step(id).override_reason.empty()) {
      append(kind::kStepOverridden, id, 0, {{"rule", "destructive"}, {"why", reason}, {"who", world_.person.who()}});
    }
  }
  TRY(collect());
  for (const Step& step : state_.plan.steps) {
    const StepPhase phase = state_.step(step.id).phase;
    const auto wanted = options_.skip.find(step.id);
    if (wanted != options_.skip.end() && phase != StepPhase::kRunning && !state_.settled(step.id)) {
      skip(step, wanted->second, world_.person.who());
    } else if (options_.resumed && phase == StepPhase::kFailed) {
      settle(step.id, "retry", "resume", "the run was resumed");
    }
    const std::string undo = step.id + std::string(kUndoSuffix);
    const StepPhase undone = state_.step(undo).phase;
    if (options_.resumed && (undone == StepPhase::kFailed || undone == StepPhase::kUnknown)) {
      settle(undo, "retry", "resume", "the run was resumed");
    }
  }
  if (options_.undo && !state_.undoing) {
    append(kind::kUndoBegun, "", 0, {{"who", world_.person.who()}, {"why", "--undo"}});
  }
  return {};
}

bool Engine::anything_runs() const {
  return std::any_of(state_.steps.begin(), state_.steps.end(),
                     [](const auto& entry) { return entry.second.phase == StepPhase::kRunning; });
}

bool Engine::all_settled() const {
  if (anything_runs()) return false;
  return std::all_of(state_.plan.steps.begin(), state_.plan.steps.end(), [&](const Step& step) {
    if (!state_.undoing) return state_.settled(step.id);
    const bool to_undo = state_.step(step.id).phase == StepPhase::kDone && !step.compensate.empty();
    return !to_undo || state_.settled(step.id + std::string(kUndoSuffix));
  });
}

Result<void> Engine::collect_one(const std::string& id) {
  using State = AttemptReport::State;
  const StepState& step = state_.steps.at(id);
  const int attempt = step.attempts;
  const AttemptReport report =
      TRY(world_.runner.look(AttemptFiles{join_path(options_.directory, step.directory)}, step.process));
  switch (report.state) {
    case State::kRunning:
      break;
    case State::kOrphaned:
      // Its supervisor would have ended it by now.
      if (step.deadline && world_.clock.now() > *step.deadline) TRY(world_.runner.stop(step.process));
      break;
    case State::kEnded: append(kind::kStepFinished, id, attempt, report.end->to_json()); break;
    case State::kVoid:
      append(kind::kStepVoid, id, attempt, {{"why", "its supervisor ended before the step began"}});
      break;
    case State::kUnknown:
      append(kind::kStepUnknown, id, attempt, {{"why", "its supervisor was killed and left no status"}});
      break;
    case State::kElsewhere:
      if (options_.settle.contains(id)) {
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

void Engine::watch_budget(const std::string& name, Duration limit) {
  const Duration elapsed = world_.clock.now() - state_.began;
  const Json payload = {{"budget", name}, {"limit_s", limit.in_seconds()}, {"elapsed_s", elapsed.in_seconds()}};
  if (elapsed >= limit) {
    if (!state_.budgets.contains("over:" + name)) append(kind::kBudgetOverrun, "", 0, payload);
  } else if (elapsed.ns >= limit.ns / 100 * kWarnPercent) {
    if (!state_.budgets.contains("warn:" + name)) append(kind::kBudgetWarned, "", 0, payload);
  }
}

// A window's end concerns the steps in it that are not settled; it ends none of them.
void Engine::watch_budgets() {
  if (state_.undoing) return;
  bool open = false;
  for (const Step& step : state_.plan.steps) {
    if (state_.settled(step.id)) continue;
    open = true;
    if (step.window_end) watch_budget(step.phase.empty() ? step.title : step.phase, *step.window_end);
  }
  if (open && state_.plan.rto && state_.plan.rto->most) watch_budget("RTO", *state_.plan.rto->most);
}

void Engine::obey_wishes() {
  if (options_.stop != nullptr && options_.stop->load()) detach_ = true;
  const Wish wish = world_.person.wish();
  if (wish == Wish::kDetach) detach_ = true;
  if (wish == Wish::kStopStep) {
    for (const auto& [id, step] : state_.steps) {
      if (step.phase == StepPhase::kRunning) ignore(world_.runner.stop(step.process), "it may just have ended");
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
  TRY(world_.log.commit());
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
  TRY(world_.log.commit());
  pause();
  return {};
}

Result<void> Engine::drive() {
  TRY(announce());
  while (!all_settled()) {
    if (stopping_ && (detach_ || !anything_runs())) return end_stopped();
    TRY(turn());
  }
  append(kind::kRunFinished, "", 0, {{"outcome", state_.undoing ? "undone" : "recovered"}});
  return world_.log.commit();
}

}  // namespace holdfast::engine
