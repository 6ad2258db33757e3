#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/progress.h"
#include "base/time.h"

namespace holdfast::cli {

class Context;

// Shows how a long operation goes, on standard error: on a terminal one line that
// is redrawn, else a line every few seconds. Nothing with --quiet. It watches from
// a thread of its own, which the destructor ends and joins; the line is then gone.
class ProgressView {
 public:
  explicit ProgressView(Context& context);
  ~ProgressView();
  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;

 private:
  void watch(std::stop_token stop);

  Progress& progress_;
  const bool terminal_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

// The line itself: "copying  [=====>    ]  52%  1.2 GiB of 2.3 GiB  310 MiB/s  4 s left".
// At most `width` columns: what fits, the most telling first.
struct ProgressFigures {
  std::string phase;
  uint64_t bytes_done = 0, bytes_total = 0, files_done = 0, files_total = 0;
  Duration elapsed;
  uint64_t recent_bytes_per_second = 0;
};
std::string progress_line(const ProgressFigures& figures, size_t width, bool bar);

}  // namespace holdfast::cli
