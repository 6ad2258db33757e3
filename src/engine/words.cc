#include "engine/words.h"

#include <algorithm>

#include "engine/shared_clock.h"

namespace holdfast::engine {
namespace {

std::string how_it_ended(const Event& event) {
  const auto end = AttemptEnd::from_json(event.payload);
  if (!end.ok()) return "ended";
  if (end->succeeded()) return "done in " + plain_duration(end->took);
  if (!end->failure.empty()) return end_words(*end);
  if (end->timed_out) return "ended by its timeout after " + plain_duration(end->took);
  if (end->stopped) return "stopped after " + plain_duration(end->took);
  if (end->signal != 0) return fmt::format("killed by signal {} after {}", end->signal, plain_duration(end->took));
  return fmt::format("failed with status {} after {}", end->exit_status, plain_duration(end->took));
}

std::string budget_words(const Event& event, bool over) {
  const std::string name = event.payload.value("budget", "");
  const auto limit = Duration::from_seconds(event.payload.value("limit_s", 0.0));
  const std::string shared = shared_title(name);
  const std::string what = !event.step.empty() ? "its expected time"
                           : name == "RTO"     ? "the RTO"
                           : !shared.empty()   ? fmt::format("the time for \"{}\"", shared)
                                               : fmt::format("the window of \"{}\"", name);
  return over ? fmt::format("overrun: {} of {} has passed", what, plain_duration(limit))
              : fmt::format("warning: 80 % of {} of {} have passed", what, plain_duration(limit));
}

std::string words_of_step(const Event& event) {
  const Json& payload = event.payload;
  const auto text = [&](const char* key) { return payload.value(key, std::string()); };
  if (event.kind == kind::kStepStarted)
    return event.attempt > 1 ? fmt::format("begun, attempt {}", event.attempt) : "begun";
  if (event.kind == kind::kStepFinished) return how_it_ended(event);
  if (event.kind == kind::kStepVoid) return "was never begun: its supervisor died before";
  if (event.kind == kind::kStepOrphaned) return text("why");
  if (event.kind == kind::kStepUnknown) return "nobody knows how it ended: " + text("why");
  if (event.kind == kind::kStepSettled) {
    const std::string why = text("why");
    const std::string as = text("as") == "retry" ? "to be run again"
                           : text("as") == "ran" ? "to be verified again"
                                                 : text("as");
    return fmt::format("counts as {} by {}{}{}", as, text("by"), why.empty() ? "" : ": ", why);
  }
  if (event.kind == kind::kStepSkipped) return fmt::format("skipped by {}: {}", text("by"), text("why"));
  if (event.kind == kind::kStepAnswered) {
    const bool approved = text("question") == "approve";
    const std::string note = text("note");
    return fmt::format("{} by {}{}{}", approved ? "approved" : "done by hand", text("who"), note.empty() ? "" : ": ",
                       note);
  }
  if (event.kind == kind::kStepOverridden)
    return fmt::format("its safety rules are overridden by {}: {}", text("who"), text("why"));
  if (event.kind == kind::kPointVerified) {
    const std::string repository = text("repository");
    return fmt::format("relies on point {} of {}{}, read whole and right", text("point").substr(0, 8), text("instant"),
                       repository.empty() ? "" : " in repository " + repository.substr(0, 8));
  }
  if (event.kind == kind::kBudgetWarned) return budget_words(event, false);
  if (event.kind == kind::kBudgetOverrun) return budget_words(event, true);
  if (event.kind == kind::kTargetAsserted) return fmt::format("its target is the one meant: {}", text("found"));
  if (event.kind == kind::kFenceConfirmed)
    return fmt::format("the old primary is fenced: {}{}", text("how"),
                       text("lag").empty() ? "" : "; replication lag: " + text("lag"));
  return "";
}

}  // namespace

std::string plain_duration(Duration duration) {
  std::string text = format_duration(duration);
  for (const std::string_view tail : {" 0 s", " 0 min", " 0 h"}) {
    if (text.size() > tail.size() && text.ends_with(tail)) return text.substr(0, text.size() - tail.size());
  }
  return text;
}

std::string clock_text(Duration duration) {
  const int64_t seconds = std::max<int64_t>(duration.ns / 1'000'000'000, 0);
  if (seconds < 3600) return fmt::format("{:02}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string which_point(const RestoreWords& restore) {
  std::vector<std::string> words;
  const auto say = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.push_back(fmt::format("{} {}", option, value));
  };
  say("--point", restore.point);
  say("--at", restore.at);
  say("--lsn", restore.lsn);
  say("--xid", restore.xid);
  say("--name", restore.restore_point);
  say("--timeline", restore.timeline);
  if (restore.immediate) words.emplace_back("--immediate");
  if (restore.exclusive) words.emplace_back("--exclusive");
  return fmt::format("{}", fmt::join(words, " "));
}

std::string point_words(const WantedPoint& wanted) {
  const std::string of =
      wanted.components.empty() ? "the stack" : fmt::format("{}", fmt::join(wanted.components, ", "));
  const std::string which = which_point(wanted);
  return which.empty() ? "the newest recovery point of " + of
                       : fmt::format("the recovery point of {} for {}", of, which);
}

std::string unknown_words(const Step& step) {
  const std::string options = fmt::format("{}", fmt::join(step.unknown, ", "));
  if (step.instant_is_known())
    return fmt::format("only the shell knows the value of {}: the newest point that leads there is proven", options);
  return fmt::format(
      "only the shell knows the value of {}: what is proven need not be what is restored, and the loss is "
      "not measured; --set gives its variables a value",
      options);
}

std::string own_budget(const Step& step) { return "step " + step.id; }

std::vector<std::string> steps_not_undone(const RunState& state) {
  std::vector<std::string> found;
  for (const Step& step : state.plan.steps) {
    if (state.undoing && state.step(step.id).effect != Effect::kNone && step.compensate.empty())
      found.push_back(step.id);
  }
  return found;
}

std::string outcome_words(const StepState& step) {
  switch (step.phase) {
    case StepPhase::kDone:
      return step.end && step.end->succeeded() ? "done in " + plain_duration(step.end->took) : "done";
    case StepPhase::kFailed:
      if (!step.end) return "failed";
      if (step.end->succeeded()) return "failed by its verification";
      return step.end->ended_by_itself() ? fmt::format("failed (status {})", step.end->exit_status)
                                         : "failed: it " + end_words(*step.end);
    case StepPhase::kSkipped: return "skipped: " + step.skipped;
    case StepPhase::kRan: return "being verified";
    default: return std::string(phase_name(step.phase));
  }
}

std::string words_of(const RunState& state, const Event& event) {
  const Json& payload = event.payload;
  if (!event.step.empty()) {
    // What a step's own commands do is of interest when they fail.
    const bool own_command = event.step.find('~') != std::string::npos && !event.step.ends_with(kUndoSuffix);
    if (own_command && event.kind == kind::kStepStarted) return "";
    const std::string words = words_of_step(event);
    return words.empty() ? "" : event.step + ": " + words;
  }
  if (event.kind == kind::kRunDriven)
    return ("driven by " + payload.value("who", "") + ", pid " + std::to_string(payload.value("pid", 0)));
  if (event.kind == kind::kRunStopped)
    return "stopped (" + payload.value("why", "") + "): " + payload.value("words", "");
  if (event.kind == kind::kRunFinished)
    return fmt::format("{} after {}", payload.value("outcome", ""), plain_duration(event.time - state.began));
  if (event.kind == kind::kUndoBegun) return ("undoing what was done: " + payload.value("why", ""));
  if (event.kind == kind::kBudgetWarned) return (budget_words(event, false));
  if (event.kind == kind::kBudgetOverrun) return (budget_words(event, true));
  return "";
}

}  // namespace holdfast::engine
