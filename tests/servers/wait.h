#pragma once

#include <chrono>
#include <thread>

#include "base/time.h"

namespace holdfast::servers {

// Waits until `condition()` is true; false when the deadline passed first. The
// only place in tests that may pause.
template <typename Condition>
bool wait_until(Condition condition, Duration deadline = Duration::seconds(300)) {
  const Duration end = system_clock().monotonic() + deadline;
  while (!condition()) {
    if (system_clock().monotonic() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace holdfast::servers
