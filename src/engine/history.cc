#include "engine/history.h"

#include <algorithm>
#include <vector>

#include "base/filesystem.h"
#include "engine/runs.h"

namespace holdfast::engine {
namespace {

constexpr size_t kRunsRead = 30;

Duration median(std::vector<Duration> durations) {
  std::sort(durations.begin(), durations.end());
  return durations[durations.size() / 2];
}

}  // namespace

Result<History> read_history(const std::string& runs, const std::string& document, const std::string& procedure) {
  const std::vector<std::string> ids = TRY(list_runs(runs));
  History history;
  std::map<std::string, std::vector<Duration>> steps;
  std::vector<Duration> whole;
  const size_t first = ids.size() > kRunsRead ? ids.size() - kRunsRead : 0;
  for (size_t i = first; i < ids.size(); i++) {
    const auto run = read_run(join_path(runs, ids[i]));
    if (!run.ok() || run->plan.procedure != procedure || base_name(run->plan.document) != base_name(document)) continue;
    // What is run out of its order shows little of how long it takes in its place.
    if (run->partial()) continue;
    for (const Step& step : run->plan.steps) {
      const StepState& state = run->step(step.id);
      const bool took_time = state.phase == StepPhase::kDone && state.end;
      if (took_time) steps[step.id].push_back(state.end->took);
    }
    // A drill may leave steps out.
    if (run->finished == "recovered" && !run->drill()) whole.push_back(run->last - run->created_at);
  }
  history.runs = whole.size();
  for (auto& [id, durations] : steps) history.steps[id] = median(std::move(durations));
  if (!whole.empty()) history.whole = median(std::move(whole));
  return history;
}

}  // namespace holdfast::engine
