#include "engine/shared_clock.h"

#include <algorithm>

namespace holdfast::engine {
namespace {

constexpr std::string_view kPrefix = "duration of ";

}  // namespace

std::optional<SharedClock> shared_clock(const RunState& state, const SharedBudget& budget, Time now) {
  Time began = state.created_at;
  for (const Step& step : state.plan.steps) {
    if (step.id == budget.steps.front()) break;
    if (!state.settled(step.id)) return std::nullopt;
    began = std::max(began, state.step(step.id).ended);
  }
  SharedClock clock;
  Time ended;
  for (const std::string& id : budget.steps) {
    const StepState& step = state.step(id);
    clock.runs = clock.runs || !state.settled(id);
    if (step.phase == StepPhase::kDone) ended = std::max(ended, step.ended);
  }
  if (!clock.runs && ended.ns == 0) return std::nullopt;
  clock.elapsed = std::max((clock.runs ? now : ended) - began, Duration());
  return clock;
}

std::string name_of(const SharedBudget& budget) { return std::string(kPrefix) + budget.title; }

std::string shared_title(const std::string& name) {
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
}

}  // namespace holdfast::engine
