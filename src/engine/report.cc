#include "engine/report.h"

#include <algorithm>
#include <cctype>

#include "engine/journal.h"
#include "engine/lost_attempts.h"
#include "engine/output_tail.h"
#include "engine/words.h"

namespace holdfast::engine {
namespace {

constexpr size_t kExcerptLines = 15, kFailedExcerptLines = 40;

bool mentions(const std::string& text, std::initializer_list<std::string_view> words) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

class Reporter {
 public:
  Reporter(const RunState& state, const std::vector<Event>& events, const std::string& directory,
           const runbook::Document* document)
      : state_(state),
        events_(events),
        directory_(directory),
        runbook_(document),
        report_(fmt::format("{} {}: {}", state.drill() ? "Drill" : "Run", state.id, state.plan.title)) {}

  ReportDocument write() {
    summary();
    targets();
    windows();
    steps();
    timeline();
    deviations();
    outputs();
    review();
    return std::move(report_);
  }

 private:
  void summary() {
    const std::string outcome = !state_.finished.empty()  ? state_.finished
                                : !state_.stopped.empty() ? "stopped: " + state_.stopped
                                                          : "not ended";
    std::vector<std::vector<std::string>> rows = {
        {"Outcome", outcome},
        {"Began", format_rfc3339(state_.began)},
        {"Last event", format_rfc3339(state_.last)},
        {"Took", plain_duration(state_.last - state_.began)},
        {"Runbook", state_.plan.document},
        {"Its SHA-256", state_.plan.document_sha256},
        {"Started by", state_.created.value("who", "")},
        {"Journal", fmt::format("{} events, last digest {}", events_.size(), to_hex(events_.back().digest))}};
    for (const LostAttempt& lost : lost_attempts())
      rows.push_back({"Not in the journal", lost.directory + ": it has lost events"});
    for (const auto& [key, chosen] : state_.plan.choices) rows.push_back({"Chosen for " + key, chosen});
    report_.table({"", ""}, std::move(rows));
  }

  // One that began since the journal was read is in it by now.
  std::vector<LostAttempt> lost_attempts() const {
    auto lost = find_lost_attempts(directory_, state_, events_);
    if (!lost.ok() || lost->empty()) return {};
    const auto now = Journal::read(join_path(directory_, "journal.db"));
    for (const Event& event : now.ok() ? *now : events_) {
      const std::string named = event.payload.value("directory", "");
      std::erase_if(*lost, [&](const LostAttempt& attempt) { return attempt.directory == named; });
    }
    return std::move(*lost);
  }

  // Without all of the steps a target is not shown to be met.
  bool in_part() const {
    const bool any_done = std::any_of(state_.plan.steps.begin(), state_.plan.steps.end(),
                                      [&](const Step& step) { return state_.step(step.id).phase == StepPhase::kDone; });
    const bool by_person = std::any_of(events_.begin(), events_.end(), [](const Event& event) {
      return event.kind == kind::kStepSkipped && event.payload.value("by", "") != "plan";
    });
    return state_.partial() || !state_.created.value("left_out", Json::array()).empty() || !any_done || by_person;
  }

  std::string verdict(const std::optional<Duration>& target, const std::optional<Duration>& actual) const {
    if (!target || !actual) return "";
    if (*actual > *target) return "missed";
    return in_part() ? "within, in part" : state_.drill() ? "within, in a drill" : "met";
  }

  static std::string text_of(const std::optional<Duration>& duration) {
    return duration ? plain_duration(*duration) : "not measured";
  }

  // The document's own table where it has one, otherwise the objectives.
  void targets() {
    report_.heading(2, "Targets and actuals");
    const Actuals actuals = actuals_of(state_, events_);
    std::vector<std::vector<std::string>> rows;
    if (runbook_ != nullptr) {
      for (const runbook::MetricsTable& table : runbook_->metrics) {
        if (!table.fillable) continue;
        for (const runbook::Metric& metric : table.metrics) rows.push_back(row_of(metric, actuals));
      }
    }
    if (rows.empty()) {
      const auto most = [](const std::optional<Objective>& objective) {
        return objective ? objective->most : std::nullopt;
      };
      rows.push_back({"Time to recovery (RTO)", state_.plan.rto ? state_.plan.rto->text : "", text_of(actuals.recovery),
                      verdict(most(state_.plan.rto), actuals.recovery)});
      rows.push_back({"Data loss (RPO)", state_.plan.rpo ? state_.plan.rpo->text : "", text_of(actuals.loss),
                      verdict(most(state_.plan.rpo), actuals.loss)});
    }
    report_.table({"Metric", "Target", "Actual", ""}, std::move(rows));
  }

  std::vector<std::string> row_of(const runbook::Metric& metric, const Actuals& actuals) const {
    std::optional<Duration> actual;
    if (mentions(metric.name.text, {"recover", "restor", "rto", "mttr"})) actual = actuals.recovery;
    if (mentions(metric.name.text, {"loss", "rpo"})) actual = actuals.loss;
    return {metric.name.text, metric.target.text, text_of(actual), verdict(metric.target_duration, actual)};
  }

  // Neighbouring steps with one window.
  struct Window {
    std::string name;
    Duration end;
    std::vector<Duration> done;  // when each that is done was
    bool settled = true;         // all of them
  };

  std::vector<Window> windows_of_plan() const {
    std::vector<Window> found;
    for (const Step& step : state_.plan.steps) {
      if (!step.window_end) continue;
      const std::string name = step.phase.empty() ? step.title : step.phase;
      if (found.empty() || found.back().name != name) found.push_back({name, *step.window_end, {}, true});
      Window& window = found.back();
      window.end = *step.window_end;
      const StepState& now = state_.step(step.id);
      window.settled = window.settled && state_.settled(step.id);
      if (now.phase == StepPhase::kDone && now.ended.ns != 0) window.done.push_back(now.ended - state_.began);
    }
    return found;
  }

  void windows() {
    std::vector<std::vector<std::string>> rows;
    for (const Window& window : windows_of_plan()) {
      const auto last = std::max_element(window.done.begin(), window.done.end());
      const bool reached = last != window.done.end() && (window.settled || *last > window.end);
      rows.push_back({window.name, plain_duration(window.end), reached ? plain_duration(*last) : "not reached",
                      reached ? verdict(window.end, *last) : ""});
    }
    if (rows.empty()) return;
    report_.heading(3, "Windows");
    report_.table({"Window", "Ends after", "Last step ended after", ""}, std::move(rows));
  }

  void steps() {
    report_.heading(2, "Steps");
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < state_.plan.steps.size(); i++) {
      const Step& step = state_.plan.steps[i];
      const StepState& now = state_.step(step.id);
      rows.push_back({std::to_string(i + 1), step.id, step.title, outcome_words(now), std::to_string(now.attempts),
                      now.attempts > 0 ? "+" + clock_text(now.started - state_.began) : ""});
    }
    report_.table({"#", "Step", "Title", "Outcome", "Attempts", "Begun"}, std::move(rows));
  }

  void timeline() {
    report_.heading(2, "Timeline");
    std::vector<std::vector<std::string>> rows;
    for (const Event& event : events_) {
      const std::string words = event.kind == kind::kRunCreated ? "run created by " + event.payload.value("who", "")
                                                                : words_of(state_, event);
      if (!words.empty())
        rows.push_back({format_rfc3339(event.time), "+" + clock_text(event.time - state_.began), words});
    }
    report_.table({"Time", "Since the beginning", "What happened"}, std::move(rows));
  }

  // What the plan left out is told once, below; what the run found out is told by its event.
  bool left_out_by_plan(const Event& event) const {
    const Step* step = state_.plan.find(event.step);
    return event.payload.value("by", "") == "plan" && step != nullptr && !step->skipped.empty();
  }

  // Where what was done is not what the runbook says.
  std::vector<std::string> departures() const {
    std::vector<std::string> found;
    for (const Event& event : events_) {
      const bool skipped = event.kind == kind::kStepSkipped && !left_out_by_plan(event);
      const bool settled = event.kind == kind::kStepSettled && event.payload.value("by", "") != "verify";
      const bool noted = event.kind == kind::kStepAnswered && !event.payload.value("note", "").empty();
      const bool other = event.kind == kind::kStepOverridden || event.kind == kind::kStepUnknown ||
                         event.kind == kind::kBudgetOverrun || event.kind == kind::kUndoBegun;
      if (skipped || settled || noted || other) found.push_back(words_of(state_, event));
    }
    for (const Step& step : state_.plan.steps) {
      const StepState& now = state_.step(step.id);
      if (!step.skipped.empty() && !step.other_option)
        found.push_back(fmt::format("{}: left out: {}", step.id, step.skipped));
      if (now.attempts > 1) found.push_back(fmt::format("{}: took {} attempts", step.id, now.attempts));
    }
    for (const std::string& id : steps_not_undone(state_))
      found.push_back(fmt::format("{}: not undone: the runbook gives no compensate= for it", id));
    return found;
  }

  void deviations() {
    report_.heading(2, "Departures from the runbook");
    auto found = departures();
    if (found.empty()) report_.paragraph("None: every step ran as it is written, once.");
    report_.list(std::move(found));
  }

  void outputs() {
    report_.heading(2, "What the steps said");
    for (const Step& step : state_.plan.steps) {
      const StepState& now = state_.step(step.id);
      if (now.directory.empty()) continue;
      const size_t count = now.phase == StepPhase::kDone ? kExcerptLines : kFailedExcerptLines;
      const auto lines = tail_lines(AttemptFiles{join_path(directory_, now.directory)}.output(), count);
      report_.heading(3, fmt::format("{}: {}", step.id, outcome_words(now)));
      if (lines.empty())
        report_.paragraph("Nothing.");
      else
        report_.code(fmt::format("{}\n", fmt::join(lines, "\n")));
    }
  }

  void review() {
    report_.heading(2, "For the review");
    std::vector<std::string> questions = {"Root cause: what failed, and why?",
                                          "Detection: who or what noticed, and how long after it began?"};
    for (const Step& step : state_.plan.steps) {
      const StepState& now = state_.step(step.id);
      if (now.attempts > 1) questions.push_back(fmt::format("Why did {} need {} attempts?", step.id, now.attempts));
      if (now.phase == StepPhase::kFailed) questions.push_back(fmt::format("What keeps {} from working?", step.id));
      if (now.phase == StepPhase::kSkipped && step.skipped.empty())
        questions.push_back(fmt::format("{} was skipped ({}): should the runbook say so?", step.id, now.skipped));
      if (!now.override_reason.empty())
        questions.push_back(
            fmt::format("The safety rules were overridden for {} ({}): what would have made that unnecessary?", step.id,
                        now.override_reason));
      if (step.kind == StepKind::kManual && now.phase == StepPhase::kDone)
        questions.push_back(fmt::format("{} was done by hand: can a command do it?", step.id));
    }
    questions.push_back("Effectiveness: which steps took longer than they should?");
    questions.push_back("Procedure: what is changed in the runbook, by whom, until when?");
    questions.push_back("Prevention: what keeps this from happening again?");
    report_.list(std::move(questions));
  }

  const RunState& state_;
  const std::vector<Event>& events_;
  const std::string& directory_;
  const runbook::Document* runbook_;
  ReportDocument report_;
};

}  // namespace

namespace {

// What the step destroyed is there again, as far as the run knows.
bool was_restored(const RunState& state, const Step& step) {
  const auto done = [&](const std::string& id) { return state.step(id).phase == StepPhase::kDone; };
  return step.destructive() && done(step.id) && !step.restored_by.empty() && done(step.restored_by);
}

// The instant of the last proof of a point that a step relied on: its own, else one of the same point.
Result<Time> proven_instant(const RunState& state, const std::vector<Event>& events, const Step& step,
                            const WantedPoint& wanted) {
  const Event* proof = nullptr;
  for (const Event& event : events) {
    if (event.kind != kind::kPointVerified || event.payload.value("which", "") != which_point(wanted)) continue;
    const auto of = event.payload.value("components", std::vector<std::string>());
    const bool covers = std::any_of(of.begin(), of.end(), [&](const std::string& component) {
      return component == "*" ||
             std::find(wanted.components.begin(), wanted.components.end(), component) != wanted.components.end();
    });
    if (covers && (event.step == step.id || proof == nullptr || proof->step != step.id)) proof = &event;
  }
  if (proof == nullptr) return make_error(ErrorCode::kNotFound, "no point was proven for step {}", step.id);
  return parse_time(proof->payload.value("instant", ""), state.began);
}

}  // namespace

Actuals actuals_of(const RunState& state, const std::vector<Event>& events) {
  Actuals actuals;
  if (state.finished == "recovered") actuals.recovery = state.last - state.began;
  if (state.undoing) return actuals;
  std::optional<Duration> worst;
  bool all_known = true;
  for (const Step& step : state.plan.steps) {
    if (!was_restored(state, step)) continue;
    for (const WantedPoint& wanted : step.wanted_points()) {
      const auto instant = proven_instant(state, events, step, wanted);
      all_known = all_known && instant.ok() && wanted.instant_is_known();
      // What is lost in the end is lost of the component that fell back furthest.
      if (instant.ok()) worst = std::max(worst.value_or(Duration()), state.began - *instant);
    }
  }
  if (all_known) actuals.loss = worst;
  return actuals;
}

ReportDocument report_of(const RunState& state, const std::vector<Event>& events, const std::string& directory,
                         const runbook::Document* document) {
  return Reporter(state, events, directory, document).write();
}

}  // namespace holdfast::engine
