#pragma once

#include <optional>
#include <string>

#include "engine/event.h"
#include "engine/state.h"

namespace holdfast::engine {

// An event of a run in words, without line feeds of its own making; empty for what no
// person needs to see. What came from outside is not made safe for a terminal here.
std::string words_of(const RunState& state, const Event& event);

// As format_duration(), without a second part that is zero: "5 min", "1 h".
std::string plain_duration(Duration duration);

// "1:02:09", "02:09": a clock that people compare at a glance.
std::string clock_text(Duration duration);

// The options of the restore that a destructive step relies on, "--point 3f0a --at 12:00";
// "" when it is the newest point.
std::string which_point(const RestoreWords& restore);
// "the newest recovery point of db", "the recovery point of db for --at 12:00".
std::string point_words(const WantedPoint& wanted);
// Of a step whose restore has unknown(): which, and what that means for its proof and for the loss.
std::string unknown_words(const Step& step);

// What the budget of a step's own expected time is called among the run's budgets.
std::string own_budget(const Step& step);

// "done in 6.2 s", "failed (status 3)", "skipped: not needed".
// Steps of a run that was undone that did, or may have done, something which nothing takes back.
std::vector<std::string> steps_not_undone(const RunState& state);
std::string outcome_words(const StepState& step);

}  // namespace holdfast::engine
