#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "base/progress.h"

namespace holdfast::recovery {

// Several works at once, each with its own Progress, shown as one: bytes and files are
// added up (also of parts that have ended), the phase names who does what, and a stop
// that is asked of the whole reaches every part. Watches from a thread of its own, which
// the destructor ends and joins. Thread-safe.
class SharedProgress {
 public:
  explicit SharedProgress(Progress& whole);
  ~SharedProgress();
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;

  // A part begins; it lives as long as this does. `expected_bytes`: 0 when unknown.
  Progress& begin(const std::string& name, uint64_t expected_bytes);
  void end(Progress& part);
  // Asks every part, also those that begin later, to stop; the whole does not look stopped.
  void stop_parts();

 private:
  struct Part {
    std::string name;
    Progress progress;
    bool ended = false;
  };
  void watch(std::stop_token stop);
  void add_up();  // with mutex_ held

  Progress& whole_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::list<Part> parts_;  // guarded by mutex_, as is what follows; parts do not move
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace holdfast::recovery
