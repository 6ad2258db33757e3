#include "engine/state.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/json_number.h"

namespace holdfast::engine {
namespace {

// The step itself; verification and its like have no verification of their own.
bool has_verification(const RunState& state, const std::string& id) {
  const Step* step = state.plan.find(id);
  return step != nullptr && !step->verify.empty();
}

Result<void> on_created(RunState& state, const Event& event) {
  state.id = event.run;
  state.created = event.payload;
  state.created_at = event.time;
  state.began = event.time;
  if (event.payload.contains("began_us")) {
    state.began = Time::from_unix_microseconds(whole_number<int64_t>(event.payload, "began_us"));
  }
  state.plan = TRY(Plan::from_json(event.payload.at("plan")));
  return {};
}

Result<void> on_started(StepState& step, const Event& event) {
  step.phase = StepPhase::kRunning;
  step.attempts = event.attempt;
  step.started = event.time;
  step.started_seq = event.seq;
  step.directory = event.payload.at("directory").get<std::string>();
  step.key = event.payload.value("key", "");
  step.orphaned_seq = 0;
  step.end.reset();
  step.deadline.reset();
  if (event.payload.contains("deadline")) {
    step.deadline = TRY(parse_time(event.payload.at("deadline").get<std::string>(), event.time));
  }
  step.process = TRY(ProcessIdentity::from_json(event.payload.at("process")));
  return {};
}

Result<void> on_finished(RunState& state, const Event& event) {
  StepState& step = state.steps[event.step];
  const AttemptEnd end = TRY(AttemptEnd::from_json(event.payload));
  step.end = end;
  step.ended = end.ended;
  step.took = step.took + end.took;
  if (end.succeeded()) {
    step.effect = Effect::kCertain;
    step.phase = has_verification(state, event.step) ? StepPhase::kRan : StepPhase::kDone;
  } else {
    step.phase = StepPhase::kFailed;
    step.failures++;
    const bool began = end.failure.empty();
    if (began) step.effect = std::max(step.effect, Effect::kPossible);
  }
  return {};
}

void on_settled(StepState& step, const Event& event) {
  const std::string as = event.payload.value("as", "");
  step.ended = event.time;
  if (as == "done") {
    step.phase = StepPhase::kDone;
    step.effect = Effect::kCertain;
  } else if (as == "failed") {
    step.phase = StepPhase::kFailed;
    step.failures++;
  } else if (as == "ran") {
    step.phase = StepPhase::kRan;
  } else {
    step.phase = StepPhase::kPending;
    // Whoever says "again" gives the declared retries anew.
    if (event.payload.value("by", "") != "retries") step.failures = 0;
  }
}

void on_answered(StepState& step, const Event& event) {
  const std::string question = event.payload.value("question", "");
  const std::string answer = event.payload.value("answer", "");
  if (question == "approve" && answer == "yes") step.approved_by = event.payload.value("who", "");
  if (question == "manual" && answer == "done") {
    step.phase = StepPhase::kDone;
    step.effect = Effect::kCertain;
    step.ended = event.time;
  }
}

void on_unknown(StepState& step, const Event& event) {
  step.phase = StepPhase::kUnknown;
  // Of an attempt whose start the journal has lost.
  step.attempts = std::max(step.attempts, event.attempt);
  step.directory = event.payload.value("directory", step.directory);
  step.lost = step.lost || event.payload.contains("directory");
  step.effect = std::max(step.effect, Effect::kPossible);
}

void on_skipped(RunState& state, const Event& event) {
  StepState& step = state.steps[event.step];
  step.phase = StepPhase::kSkipped;
  step.skipped = event.payload.value("why", "");
  step.ended = event.time;
  // Only who is undoing says by it that nothing is to be undone.
  if (state.undoing) step.effect = Effect::kNone;
}

// The step whose compensation has come to its end has no effect any more.
void take_back(RunState& state, const std::string& id) {
  if (!id.ends_with(kUndoSuffix) || state.steps[id].phase != StepPhase::kDone) return;
  state.steps[id.substr(0, id.size() - kUndoSuffix.size())].effect = Effect::kNone;
}

Result<bool> apply_to_step(RunState& state, const Event& event) {
  StepState& step = state.steps[event.step];
  if (event.kind == kind::kStepStarted) {
    TRY(on_started(step, event));
  } else if (event.kind == kind::kStepFinished) {
    TRY(on_finished(state, event));
  } else if (event.kind == kind::kStepVoid) {
    step.phase = StepPhase::kPending;
  } else if (event.kind == kind::kStepOrphaned) {
    step.orphaned_seq = event.seq;
  } else if (event.kind == kind::kStepUnknown) {
    on_unknown(step, event);
  } else if (event.kind == kind::kStepSettled) {
    on_settled(step, event);
  } else if (event.kind == kind::kStepSkipped) {
    on_skipped(state, event);
  } else if (event.kind == kind::kStepAnswered) {
    on_answered(step, event);
  } else if (event.kind == kind::kStepOverridden) {
    step.override_reason = event.payload.value("why", "");
  } else if (event.kind == kind::kTargetAsserted) {
    step.target_seq = event.seq;
  } else if (event.kind == kind::kFenceConfirmed) {
    step.fence_seq = event.seq;
  } else {
    return false;
  }
  take_back(state, event.step);
  return true;
}

void apply_to_run(RunState& state, const Event& event) {
  const Json& payload = event.payload;
  if (event.kind == kind::kRunDriven) {
    state.stopped.clear();
    state.driven_seq = event.seq;
  }
  if (event.kind == kind::kRunStopped) state.stopped = payload.value("why", "");
  if (event.kind == kind::kRunFinished) state.finished = payload.value("outcome", "");
  if (event.kind == kind::kUndoBegun) state.undoing = true;
  if (event.kind == kind::kBudgetWarned) state.budgets.insert("warn:" + payload.value("budget", ""));
  if (event.kind == kind::kBudgetOverrun) state.budgets.insert("over:" + payload.value("budget", ""));
  if (event.kind == kind::kPointVerified && payload.contains("components")) {
    const std::string which = payload.value("which", ""), repository = payload.value("repository", "");
    for (const Json& component : payload.at("components")) {
      state.verified.insert(proof_key(component.get<std::string>(), which, repository));
    }
  }
}

}  // namespace

std::string proof_key(const std::string& component, const std::string& which, const std::string& repository) {
  return repository + " " + component + " " + which;
}

const StepState& RunState::step(const std::string& step_id) const {
  static const StepState untouched;
  const auto found = steps.find(step_id);
  return found == steps.end() ? untouched : found->second;
}

bool RunState::settled(const std::string& step_id) const {
  const StepPhase phase = step(step_id).phase;
  return phase == StepPhase::kDone || phase == StepPhase::kSkipped;
}

Result<void> apply(RunState& state, const Event& event) {
  try {
    state.last = event.time;
    if (event.kind == kind::kRunCreated) return on_created(state, event);
    if (!event.step.empty() && TRY(apply_to_step(state, event))) return {};
    apply_to_run(state, event);
    return {};
  } catch (const nlohmann::json::exception& exception) {
    return make_error(ErrorCode::kInvalidData, "event {} ({}) can't be understood: {}", event.seq, event.kind,
                      exception.what());
  }
}

Result<RunState> fold(const std::vector<Event>& events) {
  if (events.empty() || events.front().kind != kind::kRunCreated) {
    return make_error(ErrorCode::kInvalidData, "a journal that does not begin with {}", kind::kRunCreated);
  }
  RunState state;
  for (const Event& event : events) TRY(apply(state, event));
  return state;
}

std::string_view phase_name(StepPhase phase) {
  constexpr std::array<std::string_view, 7> kNames = {"pending", "running", "unknown", "ran",
                                                      "done",    "failed",  "skipped"};
  return kNames[static_cast<size_t>(phase)];
}

}  // namespace holdfast::engine
