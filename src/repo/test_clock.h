#pragma once

#include <atomic>

#include "base/time.h"

namespace holdfast::repo {

// A clock that stands still until a test moves it. Thread-safe.
class TestClock : public Clock {
 public:
  Time now() override { return {kStart.ns + elapsed_ns_}; }
  Duration monotonic() override { return {elapsed_ns_}; }
  void sleep(Duration duration) override { advance(duration); }
  void advance(Duration duration) { elapsed_ns_ += duration.ns; }

 private:
  static constexpr Time kStart = Time::from_unix_seconds(1'767'225'600);  // 2026-01-01
  std::atomic<int64_t> elapsed_ns_{0};
};

}  // namespace holdfast::repo
