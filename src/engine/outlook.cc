#include "engine/outlook.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/words.h"

namespace holdfast::engine {
namespace {

std::string on_crash_sentence(const Step& step) {
  switch (step.on_crash) {
    case OnCrash::kRetry: return "if nobody knows how it ended, it is run again";
    case OnCrash::kSkip: return "if nobody knows how it ended, it counts as done";
    case OnCrash::kFail: return "if nobody knows how it ended, it counts as failed";
    case OnCrash::kProbe: return "if nobody knows how it ended, its verification says whether it is run again";
    case OnCrash::kAsk: break;
  }
  return "if nobody knows how it ended, a person is asked";
}

void add_step(const Step& step, const History& history, Duration before, Outlook& outlook) {
  const auto measured = history.steps.find(step.id);
  if (measured != history.steps.end()) {
    outlook.steps[step.id] = {measured->second, true};
  } else if (step.expected) {
    outlook.steps[step.id] = {*step.expected, false};
  } else {
    outlook.unknown.push_back(step.id);
    return;
  }
  const Outlook::StepTime& known = outlook.steps.at(step.id);
  const Duration end = before + known.expected;
  outlook.whole = std::max(outlook.whole, end);
  if (step.window_end && known.measured && end > *step.window_end) {
    outlook.warnings.push_back(fmt::format("{} is expected to end after {}, its window after {}", step.id,
                                           plain_duration(end), plain_duration(*step.window_end)));
  }
}

// The steps of which nothing is known take what the others leave them of what they have together.
void add_budget(const SharedBudget& budget, Duration begun, Outlook& outlook) {
  const size_t before = outlook.unknown.size();
  for (const std::string& id : budget.steps)
    outlook.unknown.erase(std::remove(outlook.unknown.begin(), outlook.unknown.end(), id), outlook.unknown.end());
  if (outlook.unknown.size() < before) outlook.whole = std::max(outlook.whole, begun + budget.most);
}

}  // namespace

Outlook look_ahead(const Plan& plan, const History& history) {
  Outlook outlook;
  Duration before;  // the end of the steps before the current group
  std::string group;
  std::map<std::string, Duration> begun;  // of budgets whose steps are not all known
  for (const Step& step : plan.steps) {
    if (!step.skipped.empty()) continue;
    if (step.parallel.empty() || step.parallel != group) before = outlook.whole;
    group = step.parallel;
    for (const SharedBudget& budget : plan.budgets)
      if (budget.steps.front() == step.id) begun[budget.title] = before;
    add_step(step, history, before, outlook);
    for (const SharedBudget& budget : plan.budgets)
      if (budget.steps.back() == step.id) add_budget(budget, begun[budget.title], outlook);
  }
  if (plan.rto && plan.rto->most && outlook.whole > *plan.rto->most) {
    outlook.warnings.push_back(fmt::format("the steps are expected to take {}, the RTO is {}",
                                           plain_duration(outlook.whole), plain_duration(*plan.rto->most)));
  }
  return outlook;
}

std::vector<std::string> explain(const Step& step) {
  std::vector<std::string> words;
  if (!step.skipped.empty()) words.push_back("it is left out: " + step.skipped);
  for (const Hazard& hazard : step.hazards) words.push_back(fmt::format("{}: {}", hazard.kind, hazard.reason));
  if (step.kind == StepKind::kManual) words.push_back("a person does it and says so");
  if (!step.approve.empty()) words.push_back(step.approve + " has to approve it");
  if (!step.when.empty()) words.push_back("it is skipped unless this succeeds: " + step.when);
  if (step.destructive()) {
    std::vector<std::string> points;
    for (const WantedPoint& wanted : step.wanted_points()) points.push_back(point_words(wanted));
    words.push_back(fmt::format("before, {} {} read whole, and its target is asserted{}", fmt::join(points, " and "),
                                points.size() == 1 ? "is" : "are",
                                step.target.empty() ? ": the host's name" : " by: " + step.target));
    if (!step.unknown.empty()) words.push_back(unknown_words(step));
  }
  if (step.fenced()) {
    words.push_back(step.fence.empty() ? "before, a person says that the old primary can't come back"
                                       : "before, the fence has to be proven by: " + step.fence);
  }
  if (!step.verify.empty()) words.push_back("after, this has to succeed: " + step.verify);
  if (step.timeout) words.push_back("it is ended after " + plain_duration(*step.timeout));
  if (step.retries > 0) words.push_back(fmt::format("when it fails it is tried {} more times", step.retries));
  if (step.optional) words.push_back("its failure stops nothing");
  if (!step.compensate.empty()) words.push_back("it is undone by: " + step.compensate);
  for (const std::string& secret : step.secrets) words.push_back("it is given the secret " + secret);
  if (step.kind != StepKind::kManual) words.push_back(on_crash_sentence(step));
  return words;
}

}  // namespace holdfast::engine
