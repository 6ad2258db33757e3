#pragma once

#include <string>
#include <vector>

#include "engine/event.h"
#include "engine/report_document.h"
#include "engine/state.h"
#include "runbook/model.h"

namespace holdfast::engine {

// What happened in a run, for the review: targets against actuals, what became of each
// step and what it said, the timeline, where the runbook was departed from, and what only
// people can answer. `document` is the runbook as it was; null when it can't be read.
ReportDocument report_of(const RunState& state, const std::vector<Event>& events, const std::string& directory,
                         const runbook::Document* document);

// The figures by which a run is measured, by what people call them.
struct Actuals {
  std::optional<Duration> recovery;  // from the beginning of the incident to the end of the run
  // From the oldest instant that was restored to the beginning; not where the shell alone knew one, or where
  // a point was restored without proof.
  std::optional<Duration> loss;
};
Actuals actuals_of(const RunState& state, const std::vector<Event>& events);

}  // namespace holdfast::engine
