#pragma once

#include "engine/event.h"
#include "engine/state.h"

namespace holdfast::engine {

// Shows a run: the live view, plain lines, JSON events. Never decides anything.
class Observer {
 public:
  virtual ~Observer() = default;
  // An event that was just appended; `state` has it already.
  virtual void on_event(const RunState& state, const Event& event) = 0;
  // Time has passed: clocks, the tail of the output.
  virtual void on_tick(const RunState& state, Time now) = 0;
  // Something takes long inside of holdfast itself ("reading point 3f0a91c2").
  virtual void on_work(const RunState& state, const std::string& words) = 0;
};

}  // namespace holdfast::engine
