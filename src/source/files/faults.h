#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::files {

// A path as people and JSON can take it: what is not printable UTF-8 becomes
// "\xNN", and a backslash "\\", so that two paths never look alike.
std::string display_path(std::string_view path);

// The path that display_path() shows so.
std::string path_of_display(std::string_view shown);

// Whether a line of Faults::take() is the last of a list that was cut: "and 17 more".
bool tells_of_more(std::string_view line);
// How many faults the lines of a snapshot stand for, and the first few of them: "3 paths
// could not be read when this point was taken: srv/x: not read: permission denied; ...".
// "" when there are none.
std::string faults_note(const std::vector<std::string>& lines);

// Collects what went wrong with single files while the rest goes on. Keeps the
// first kLimit lines and counts the others, so that a million faults do not fill
// the memory. Thread-safe.
class Faults {
 public:
  static constexpr size_t kLimit = 1000;

  // "srv/x: owner not set: permission denied"
  void add(std::string_view path, std::string_view problem);
  void add(std::string_view path, std::string_view problem, const Error& error);
  // The lines so far; a last one says how many more there were.
  std::vector<std::string> take();
  uint64_t count() const;

  // Owners that the system did not let us set, because we are not root: no faults,
  // since whoever restores as a user expects to own what comes back. Only counted.
  void add_owner_left() { owners_left_++; }
  uint64_t owners_left() const { return owners_left_; }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  uint64_t count_ = 0;
  std::atomic<uint64_t> owners_left_{0};
};

}  // namespace holdfast::files
