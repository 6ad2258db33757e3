#pragma once

#include <string>
#include <vector>

#include "engine/person.h"
#include "engine/state.h"

namespace holdfast::cli {

// What the live view shows, as lines: a pure function of the run and the moment.
struct FrameLine {
  enum class Look { kPlain, kTitle, kDim, kGood, kBusy, kBad, kWarn, kRule };
  Look look = Look::kPlain;
  std::string text;  // no longer than the width
};

struct FrameInput {
  Time now;
  size_t width = 80, height = 24;
  std::string running;              // the step whose output is shown
  std::vector<std::string> output;  // its last lines
  std::string work;                 // what holdfast itself does just now
  const engine::Question* question = nullptr;
  std::string typed;  // for a question that wants words
  bool wants_words = false;
  bool stop_armed = false;                   // x was pressed once
  std::map<std::string, Duration> expected;  // of steps, from earlier runs
};

// At most `height - 1` lines: the terminal's last one stays free for the cursor.
std::vector<FrameLine> draw_frame(const engine::RunState& state, const FrameInput& input);

}  // namespace holdfast::cli
