#include "recovery/shared_progress.h"

#include <chrono>
#include <set>

namespace holdfast::recovery {

namespace {

constexpr auto kPeriod = std::chrono::milliseconds(100);

// Progress::phase is a literal: whoever reads it may do so at any later time. There are
// as many of these as there are phases together with components, so they are kept.
const char* kept_text(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

}  // namespace

SharedProgress::SharedProgress(Progress& whole) : whole_(whole) {
  thread_ = std::jthread([this](std::stop_token stop) { watch(std::move(stop)); });
}

SharedProgress::~SharedProgress() {
  thread_.request_stop();
  thread_.join();
}

Progress& SharedProgress::begin(const std::string& name, uint64_t expected_bytes) {
  const std::lock_guard lock(mutex_);
  Part& part = parts_.emplace_back();
  part.name = name;
  part.progress.bytes_total = expected_bytes;
  part.progress.stop = stopped_ || whole_.stop;
  return part.progress;
}

void SharedProgress::end(Progress& progress) {
  const std::lock_guard lock(mutex_);
  for (Part& part : parts_) {
    if (&part.progress == &progress) part.ended = true;
  }
}

void SharedProgress::stop_parts() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (Part& part : parts_) part.progress.stop = true;
}

void SharedProgress::watch(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, kPeriod, [] { return false; });
    add_up();
  }
}

void SharedProgress::add_up() {
  uint64_t bytes_total = 0, bytes_done = 0, files_total = 0, files_done = 0, bytes_stored = 0;
  bool unknown = false;
  std::string phase;
  for (Part& part : parts_) {
    if (whole_.stop) part.progress.stop = true;
    const uint64_t done = part.progress.bytes_done;
    // What has ended is done, whatever was expected of it.
    const uint64_t total = part.ended ? done : part.progress.bytes_total.load();
    unknown |= total == 0 && !part.ended;
    bytes_total += total;
    bytes_done += done;
    files_total += part.progress.files_total;
    files_done += part.progress.files_done;
    bytes_stored += part.progress.bytes_stored;
    const std::string doing = part.progress.phase.load();
    if (!part.ended && !doing.empty()) phase += (phase.empty() ? "" : ", ") + part.name + ": " + doing;
  }
  whole_.bytes_total = unknown ? 0 : bytes_total;
  whole_.bytes_done = bytes_done;
  whole_.files_total = files_total;
  whole_.files_done = files_done;
  whole_.bytes_stored = bytes_stored;
  if (!phase.empty()) whole_.phase = kept_text(phase);
}

}  // namespace holdfast::recovery
