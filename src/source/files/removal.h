#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "source/files/changes.h"
#include "source/files/spared.h"
#include "source/files/target.h"

namespace holdfast::files {

// Removes what a snapshot does not have, and nothing else: what is spared stays, with
// the directories that hold it, and no other file system is entered, however it came
// to be mounted there. Not thread-safe.
class Removal {
 public:
  // With `dry_run` nothing is removed, and all else is the same. `spared` is borrowed.
  Removal(Target& target, const Spared& spared, bool dry_run) : target_(target), spared_(spared), dry_run_(dry_run) {}

  // The file system of a directory (of what it points to, if it is a symbolic link).
  Result<dev_t> device_of(const std::string& directory) const;

  // Removes a path of the tree with all below it. True: nothing of it is left.
  // `device`: the file system that it must lie on.
  Result<bool> remove(const std::string& tree_path, dev_t device);
  // Counts a path as left in place.
  void leave(const std::string& tree_path, const char* reason);

  // One for each tree that went as a whole.
  const Changes& changes() const { return changes_; }
  // What was left in place and why, in one line; none when nothing was.
  std::vector<std::string> notes() const;
  // The first path that was left in place, with the reason.
  std::string first_left() const { return examples_.empty() ? "" : examples_.front(); }

  static constexpr const char* kElsewhere = "it lies on another file system";

 private:
  const char* reason_to_leave(const std::string& tree_path, const struct stat& status, dev_t device) const;

  Target& target_;
  const Spared& spared_;
  const bool dry_run_;
  Changes changes_;
  uint64_t left_ = 0;
  std::vector<std::string> examples_;
};

}  // namespace holdfast::files
