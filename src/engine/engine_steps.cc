#include <algorithm>

#include "base/encoding.h"
#include "base/filesystem.h"
#include "engine/engine.h"
#include "engine/output_tail.h"

namespace holdfast::engine {
namespace {

constexpr Duration kLongestPause = Duration::seconds(60);
constexpr size_t kTailLines = 12;
constexpr int kSupervisorsTried = 5;

Duration pause_after(int failures, Duration first_pause) {
  Duration pause = first_pause;
  for (int i = 1; i < failures && pause < kLongestPause; i++) pause = pause + pause;
  return std::min(pause, kLongestPause);
}

}  // namespace

void Engine::settle(const std::string& id, std::string_view as, std::string_view by, const std::string& why) {
  append(kind::kStepSettled, id, state_.step(id).attempts, {{"as", as}, {"by", by}, {"why", why}});
}

void Engine::skip(const Step& step, const std::string& why, const std::string& by) {
  append(kind::kStepSkipped, step.id, 0, {{"why", why}, {"by", by}});
}

std::vector<std::string> Engine::output_tail(const std::string& id) const {
  const StepState& step = state_.step(id);
  if (step.directory.empty()) return {};
  return tail_lines(AttemptFiles{join_path(options_.directory, step.directory)}.output(), kTailLines);
}

// A supervisor that dies before it is ready has done nothing: another is started.
Result<Engine::Waiting> Engine::prepare(const std::string& id, int attempt, const std::string& script) {
  for (int tries = 1;; tries++) {
    // A directory that a killed engine made for this attempt may still have a supervisor that is about to leave.
    Waiting waiting;
    waiting.directory = fmt::format("{}/{}-{:06x}", attempts_directory(id), attempt, world_.random.below(1 << 24));
    waiting.files = AttemptFiles{join_path(options_.directory, waiting.directory)};
    auto process = world_.runner.prepare(waiting.files, script);
    if (process.ok()) {
      waiting.process = std::move(*process);
      return waiting;
    }
    const bool again = process.error().code() == ErrorCode::kUnavailable && tries < kSupervisorsTried;
    if (!again) return std::move(process).error().with_context("step " + id);
  }
}

Result<void> Engine::launch(const Step& step, const std::string& id, const std::string& script) {
  const int attempt = state_.step(id).attempts + 1;
  const Waiting waiting = TRY(prepare(id, attempt, script));
  const AttemptOrder order = launcher_.order(step, id, attempt, waiting.files.script());
  Json payload = {{"process", waiting.process.to_json()},
                  {"directory", waiting.directory},
                  {"argv_sha256", order.argv_sha256()},
                  {"key", launcher_.idempotency_key(id)}};
  if (order.timeout) payload["deadline"] = format_rfc3339(world_.clock.now() + *order.timeout);
  append(kind::kStepStarted, id, attempt, std::move(payload));
  if (auto committed = commit(); !committed.ok()) {
    world_.runner.abandon(waiting.files);
    return std::move(committed).context(fmt::format("step {} was not begun", id));
  }
  ignore(world_.runner.go(waiting.files, order), "a supervisor that has gone is found by the next look");
  return {};
}

// The first steps that are not settled: one, or a group that was declared parallel.
std::vector<const Step*> Engine::front() const {
  std::vector<const Step*> found;
  const auto& steps = state_.plan.steps;
  auto first = std::find_if(steps.begin(), steps.end(), [&](const Step& step) { return !state_.settled(step.id); });
  if (first == steps.end()) return found;
  found.push_back(&*first);
  if (first->parallel.empty()) return found;
  for (auto next = first + 1; next != steps.end() && next->parallel == first->parallel; ++next) {
    if (!state_.settled(next->id)) found.push_back(&*next);
  }
  return found;
}

Result<void> Engine::advance() {
  if (state_.undoing) return advance_undo();
  for (const Step* step : front()) {
    TRY(advance_step(*step));
    if (stopping_) break;
  }
  return {};
}

bool Engine::own_command_runs(const Step& step) const {
  for (const std::string_view suffix : {kVerifySuffix, kWhenSuffix, kTargetSuffix, kFenceSuffix}) {
    if (state_.step(step.id + std::string(suffix)).phase == StepPhase::kRunning) return true;
  }
  return false;
}

Result<void> Engine::advance_step(const Step& step) {
  if (own_command_runs(step)) return {};
  switch (state_.step(step.id).phase) {
    case StepPhase::kRunning:
    case StepPhase::kDone:
    case StepPhase::kSkipped: return {};
    case StepPhase::kPending: return begin(step);
    case StepPhase::kRan: return after_run(step);
    case StepPhase::kFailed: return after_failure(step);
    case StepPhase::kUnknown: return settle_unknown(step);
  }
  return {};
}

// These commands only look: one whose end is unknown is simply run again.
Result<std::optional<bool>> Engine::verdict(const Step& step, std::string_view suffix, const std::string& command,
                                            uint64_t since_seq) {
  const std::string id = step.id + std::string(suffix);
  const StepState& state = state_.step(id);
  const bool fresh = state.started_seq > since_seq;
  if (fresh && state.phase == StepPhase::kDone) return std::optional<bool>(true);
  if (fresh && state.phase == StepPhase::kFailed) {
    if (!state.end || state.end->answers()) return std::optional<bool>(false);
    if (state.started_seq > state_.driven_seq) {
      stop_run("failed",
               make_error(ErrorCode::kSubprocess, "{} gave no answer: {}", id, end_words(*state.end))
                   .with_hint(fmt::format("'holdfast runbook resume {}' asks again: {}", state_.id, command)));
      return std::optional<bool>();
    }
  }
  TRY(launch(step, id, command));
  return std::optional<bool>();
}

Result<void> Engine::begin(const Step& step) {
  if (!step.skipped.empty()) {
    skip(step, step.skipped, "plan");
    return {};
  }
  if (!TRY(may_start(step))) return {};
  if (step.kind == StepKind::kManual) return do_by_hand(step);
  return launch(step, step.id, step.script);
}

Result<void> Engine::do_by_hand(const Step& step) {
  Question question{
      Question::Kind::kManual, &step, with_loss(step, "do this by hand: " + step.title), {}, {"done", "skip", "stop"}};
  if (!step.prose.empty()) question.details.push_back(step.prose);
  if (!step.script.empty()) question.details.push_back(step.script);
  const auto answer = TRY(ask(question));
  if (!answer) {
    stop_run("needs-person", make_error(ErrorCode::kNeedsPerson, "{}",
                                        with_loss(step, fmt::format("step {} is done by a person", step.id)))
                                 .with_hint("run it attended, or give --skip " + step.id + "=REASON"));
  } else if (answer->key == "stop") {
    stop_run("interrupted", make_error(ErrorCode::kInterrupted, "stopped at step {}", step.id));
  } else if (answer->key == "skip") {
    skip(step, answer->note, world_.person.who());
  } else {
    append(kind::kStepAnswered, step.id, 0,
           {{"question", "manual"}, {"answer", "done"}, {"who", world_.person.who()}, {"note", answer->note}});
  }
  return {};
}

Result<void> Engine::after_run(const Step& step) {
  const auto right = TRY(verdict(step, kVerifySuffix, step.verify, state_.step(step.id).started_seq));
  if (right) settle(step.id, *right ? "done" : "failed", "verify", *right ? "" : "its verification failed");
  return {};
}

Result<void> Engine::after_failure(const Step& step) {
  const StepState& state = state_.step(step.id);
  // What a person stopped is not begun again by itself.
  const bool by_person = state.end && state.end->stopped;
  if (state.failures <= step.retries && !by_person) {
    const Time again = state.ended + pause_after(state.failures, options_.first_pause);
    if (world_.clock.now() < again) {
      wake_at_ = wake_at_ ? std::min(*wake_at_, again) : again;
    } else {
      settle(step.id, "retry", "retries", fmt::format("failure {} of {} allowed", state.failures, step.retries));
    }
    return {};
  }
  const bool ended_well = state.end && state.end->succeeded();
  const std::string how = !state.end   ? "failed"
                          : ended_well ? "is not right by its verification"
                                       : end_words(*state.end);
  if (step.optional) {
    skip(step, how + "; it is optional", "plan");
    return {};
  }
  Question question{Question::Kind::kFailed,
                    &step,
                    fmt::format("step {} {}", step.id, how),
                    output_tail(step.id),
                    {"retry", "skip", "undo", "stop"}};
  const auto answer = TRY(ask(question));
  if (!answer || answer->key == "stop") {
    stop_run("failed", make_error(ErrorCode::kSubprocess, "step {} {}", step.id, how)
                           .with_hint(fmt::format("see its output; 'holdfast runbook resume {}' tries it again, --skip "
                                                  "{}=REASON goes on without it",
                                                  state_.id, step.id)));
  } else if (answer->key == "retry") {
    settle(step.id, "retry", world_.person.who(), answer->note);
  } else if (answer->key == "skip") {
    skip(step, answer->note, world_.person.who());
  } else {
    append(kind::kUndoBegun, "", 0, {{"who", world_.person.who()}, {"why", fmt::format("step {} {}", step.id, how)}});
  }
  return {};
}

Result<void> Engine::settle_by_probe(const Step& step) {
  const auto worked = TRY(verdict(step, kVerifySuffix, step.verify, state_.step(step.id).started_seq));
  if (worked)
    settle(step.id, *worked ? "done" : "retry", "probe",
           *worked ? "its verification succeeds" : "its verification fails");
  return {};
}

// `id` is the step's own or that of its compensation.
Result<void> Engine::settle_by_person(const Step& step, const std::string& id) {
  Question question{Question::Kind::kUnknown,
                    &step,
                    fmt::format("nobody knows whether step {} came to its end: look, then say", id),
                    output_tail(id),
                    {"done", "retry", "stop"}};
  const auto answer = TRY(ask(question));
  if (!answer || answer->key == "stop") {
    stop_run("needs-person",
             make_error(ErrorCode::kNeedsPerson, "nobody knows whether step {} came to its end", id)
                 .with_hint(fmt::format("look, then 'holdfast runbook resume {0} --done {1}' or '--retry {1}'",
                                        state_.id, id)));
  } else {
    settle(id, answer->key, world_.person.who(), answer->note);
  }
  return {};
}

Result<void> Engine::settle_unknown(const Step& step) {
  switch (step.on_crash) {
    case OnCrash::kRetry: settle(step.id, "retry", "on_crash", "on_crash=retry"); return {};
    case OnCrash::kSkip: settle(step.id, "done", "on_crash", "on_crash=skip"); return {};
    case OnCrash::kFail: settle(step.id, "failed", "on_crash", "on_crash=fail"); return {};
    case OnCrash::kProbe:
      // Without a command that finds out nobody but a person can.
      return step.verify.empty() ? settle_by_person(step, step.id) : settle_by_probe(step);
    case OnCrash::kAsk: return settle_by_person(step, step.id);
  }
  return {};
}

// It has an effect, or may have one, that its compensation takes back.
bool Engine::to_be_undone(const Step& step) const {
  const StepState& now = state_.step(step.id);
  return !step.compensate.empty() && now.effect != Effect::kNone && now.phase != StepPhase::kRunning;
}

// The newest step that has an effect; one at a time.
Result<void> Engine::advance_undo() {
  if (anything_runs()) return {};
  const auto& steps = state_.plan.steps;
  const auto step = std::find_if(steps.rbegin(), steps.rend(), [&](const Step& each) { return to_be_undone(each); });
  if (step == steps.rend()) return {};
  const StepState& now = state_.step(step->id);
  const bool known = now.effect == Effect::kCertain && now.phase != StepPhase::kUnknown;
  return known ? undo(*step) : ask_whether_to_undo(*step);
}

Result<void> Engine::undo(const Step& step) {
  const std::string id = step.id + std::string(kUndoSuffix);
  const StepPhase phase = state_.step(id).phase;
  if (phase == StepPhase::kUnknown) return settle_by_person(step, id);
  if (phase != StepPhase::kFailed) return launch(step, id, step.compensate);
  stop_run("failed",
           make_error(ErrorCode::kSubprocess, "undoing step {} failed", step.id)
               .with_hint(fmt::format("'holdfast runbook resume {}' tries it again; '--done {}' says that it is undone",
                                      state_.id, id)));
  return {};
}

Result<void> Engine::ask_whether_to_undo(const Step& step) {
  const StepState& now = state_.step(step.id);
  const bool failed = now.phase != StepPhase::kUnknown && now.end && !now.end->succeeded();
  const std::string doubt =
      failed ? fmt::format("step {} {}, and may have done something before", step.id, end_words(*now.end))
             : fmt::format("nobody knows whether step {} came to its end", step.id);
  Question question{
      Question::Kind::kUnknown, &step, doubt + ": is it to be undone?", output_tail(step.id), {"undo", "skip", "stop"}};
  question.details.push_back(step.compensate);
  const auto answer = TRY(ask(question));
  if (answer && answer->key == "undo") {
    settle(step.id, "done", world_.person.who(), "to be undone");
  } else if (answer && answer->key == "skip") {
    skip(step, answer->note, world_.person.who());
  } else {
    stop_run("needs-person", make_error(ErrorCode::kNeedsPerson, "{}", doubt)
                                 .with_hint(fmt::format(
                                     "'holdfast runbook resume {0} --done {1}' undoes it, '--skip {1}=REASON' does not",
                                     state_.id, step.id)));
  }
  return {};
}

}  // namespace holdfast::engine
