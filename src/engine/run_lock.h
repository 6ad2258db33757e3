#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::engine {

// Held by whoever drives a run; ends with the process, however that ends. No
// child inherits it.
class RunLock {
 public:
  // kLocked names who holds it. `who` is written into the file for that message.
  // Waits up to 5 s for what a driver that was killed has left behind, and for the name
  // of one that has just begun.
  static Result<RunLock> take(const std::string& path, const std::string& who, Clock& clock = system_clock());
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;
  ~RunLock();

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace holdfast::engine
