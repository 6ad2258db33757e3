#include "cli/progress_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"
#include "cli/context.h"
#include "cli/present.h"
#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

constexpr auto kRedraw = std::chrono::milliseconds(150);
constexpr auto kPlainLine = std::chrono::seconds(5);
constexpr size_t kBarColumns = 20;

std::string drawn_bar(double share) {
  const auto filled = static_cast<size_t>(share * kBarColumns);
  std::string bar(filled, '=');
  if (filled < kBarColumns) bar += '>';
  bar.resize(kBarColumns, ' ');
  return "[" + bar + "]";
}

std::string time_left(const ProgressFigures& figures) {
  if (figures.recent_bytes_per_second == 0 || figures.bytes_done >= figures.bytes_total) return "";
  const uint64_t seconds = (figures.bytes_total - figures.bytes_done) / figures.recent_bytes_per_second;
  if (seconds > 100 * 3600) return "";
  if (seconds < 59) return fmt::format("{} s left", seconds + 1);
  return format_duration(Duration::seconds(static_cast<int64_t>(seconds + 1))) + " left";
}

}  // namespace

std::string progress_line(const ProgressFigures& figures, size_t width, bool bar) {
  std::vector<std::string> parts;
  const bool sized = figures.bytes_total > 0;
  // What comes while it is at work was in no total.
  const uint64_t total = std::max(figures.bytes_total, figures.bytes_done);
  const double share = sized ? static_cast<double>(figures.bytes_done) / static_cast<double>(total) : 0;
  parts.push_back(figures.phase.empty() ? "working" : figures.phase);
  if (sized) {
    if (bar) parts.push_back(drawn_bar(share));
    parts.push_back(fmt::format("{:3.0f}%", share * 100));
    parts.push_back(fmt::format("{} of {}", format_bytes(figures.bytes_done), format_bytes(total)));
  } else if (figures.bytes_done > 0) {
    parts.push_back(format_bytes(figures.bytes_done));
  } else if (figures.files_done > 0) {
    parts.push_back(counted(figures.files_done, "file"));
  } else {
    parts.push_back(format_duration(figures.elapsed));
  }
  if (figures.recent_bytes_per_second > 0) parts.push_back(format_bytes(figures.recent_bytes_per_second) + "/s");
  if (sized) {
    const std::string left = time_left(figures);
    if (!left.empty()) parts.push_back(left);
  }
  std::string line;
  for (const std::string& part : parts) {
    const std::string longer = line.empty() ? part : line + "  " + part;
    if (display_width(longer) > width) break;
    line = longer;
  }
  return line;
}

ProgressView::ProgressView(Context& context) : progress_(context.progress()), terminal_(isatty(STDERR_FILENO) == 1) {
  // Plain lines beside a document on standard output would be read by no one.
  if (context.quiet() || (context.json() && !terminal_)) return;
  thread_ = std::jthread([this](std::stop_token stop) { watch(std::move(stop)); });
}

ProgressView::~ProgressView() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void ProgressView::watch(std::stop_token stop) {
  const auto began = std::chrono::steady_clock::now();
  auto then = began;
  uint64_t bytes_then = progress_.bytes_done;
  double rate = 0;
  bool drawn = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto period = terminal_ ? std::chrono::duration_cast<std::chrono::milliseconds>(kRedraw)
                                    : std::chrono::duration_cast<std::chrono::milliseconds>(kPlainLine);
      wake_.wait_for(lock, stop, period, [] { return false; });
    }
    if (stop.stop_requested()) break;
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - then).count();
    const uint64_t bytes = progress_.bytes_done;
    const double measured = static_cast<double>(bytes - std::min(bytes, bytes_then)) / std::max(seconds, 0.001);
    // Smoothed, so that the rate can be read while it is redrawn.
    rate = then == began || !terminal_ ? measured : rate * 0.85 + measured * 0.15;
    then = now;
    bytes_then = bytes;

    ProgressFigures figures;
    figures.phase = progress_.phase.load();
    figures.bytes_done = bytes;
    figures.bytes_total = progress_.bytes_total;
    figures.files_done = progress_.files_done;
    figures.files_total = progress_.files_total;
    figures.elapsed = Duration::nanoseconds(std::chrono::nanoseconds(now - began).count());
    figures.recent_bytes_per_second = static_cast<uint64_t>(rate);
    if (terminal_) {
      fmt::print(stderr, "\r\033[K{}", progress_line(figures, terminal_width(STDERR_FILENO) - 1, true));
    } else {
      fmt::print(stderr, "{}\n", progress_line(figures, 1000, false));
    }
    std::fflush(stderr);
    drawn = true;
  }
  if (drawn && terminal_) fmt::print(stderr, "\r\033[K");
}

}  // namespace holdfast::cli
