#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/history.h"
#include "engine/plan.h"

namespace holdfast::engine {

// How long a plan is expected to take, step by step, held against its windows, budgets and RTO.
struct Outlook {
  struct StepTime {
    Duration expected;
    bool measured = false;  // from earlier runs; otherwise the document says so
  };
  std::map<std::string, StepTime> steps;
  Duration whole;                     // sum of what is known; parallel steps count as the longest
  std::vector<std::string> unknown;   // steps of which nothing is known, not even together
  std::vector<std::string> warnings;  // one sentence each, where a budget will not hold
};

Outlook look_ahead(const Plan& plan, const History& history);

// Every way in which a step departs from a command that is typed and forgotten, one
// sentence each: what it destroys, what is proven before, what happens after a crash.
std::vector<std::string> explain(const Step& step);

}  // namespace holdfast::engine
