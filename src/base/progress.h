#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

// What a long operation tells of itself. The operation adds to the counters from
// any thread; an observer (the terminal's bar, the lines of a log) reads them.
struct Progress {
  std::atomic<uint64_t> bytes_total{0};  // 0: not known (yet)
  std::atomic<uint64_t> bytes_done{0};   // of the source or target
  std::atomic<uint64_t> files_total{0};
  std::atomic<uint64_t> files_done{0};
  std::atomic<uint64_t> bytes_stored{0};  // new bytes in the repository
  std::atomic<const char*> phase{""};     // a string literal: "copying", "waiting for WAL"
  std::atomic<bool> stop{false};          // set to ask the operation to end with kInterrupted
};

}  // namespace holdfast
