#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "source/files/faults.h"
#include "source/files/patterns.h"

namespace holdfast::files {

// Something that the walk came by.
struct Found {
  std::string path;  // relative to "/", as in the tree
  struct stat status{};
  bool is_parent = false;  // above the roots: in the tree only for its metadata
};

// Real, absolute paths of the roots, sorted, none inside another. A root that is
// a symbolic link stands for what it points to: capturing the link alone would
// protect nothing. kNotFound, kPermission name the root.
Result<std::vector<std::string>> resolve_roots(const std::vector<std::string>& paths);

// Walks directories depth first in the order of repo::compare_paths: the
// directories above the roots, then each root with all below it. Keeps the names
// of one directory per level in memory. What can't be looked at becomes a fault;
// what vanishes between listing and looking is only counted. Not thread-safe.
class Walker {
 public:
  struct Options {
    std::vector<std::string> roots;  // from resolve_roots()
    bool one_file_system = false;    // mount points below a root are taken empty, mounted files not at all
    std::string repository = {};     // directory that is passed over, wherever it is met; "" for none
  };
  Walker(FileSystem& fs, Options options, const ExcludePatterns& excludes, Faults& faults);

  std::optional<Found> next();
  uint64_t vanished() const { return vanished_; }
  // Where the repository was passed over.
  const std::optional<std::string>& repository_met() const { return repository_met_; }
  // What was left out because another file system is mounted there: the first
  // kMostMounts paths, and how many there were.
  static constexpr size_t kMostMounts = 10'000;
  const std::vector<std::string>& mounts_met() const { return mounts_met_; }
  uint64_t mount_count() const { return mount_count_; }
  // Directories below the roots that other file systems are mounted on, and that were
  // entered: the first kMostMounts.
  const std::vector<std::string>& mounts_entered() const { return mounts_entered_; }

 private:
  struct Level {
    std::string path;
    std::vector<DirectoryEntry> names = {};
    size_t position = 0;
    bool is_parent = false;
    size_t below_root = 0;  // where, in the paths of this level, the part below the root begins
    dev_t device = 0;       // of the root
    dev_t own_device = 0;
  };

  void enter(const Found& found);
  Result<std::vector<DirectoryEntry>> list(const std::string& path);
  void enter_parent(const std::string& path);
  // The entry of this name, unless it is excluded, gone or unreadable.
  std::optional<Found> look_at(const Level& level, const DirectoryEntry& name);
  bool is_root(const std::string& path) const;
  bool is_repository(const Found& found);
  bool is_elsewhere(const Level& level, const Found& found);
  void note_mount(const Level& level, const Found& directory);

  FileSystem& fs_;
  const Options options_;
  const ExcludePatterns& excludes_;
  Faults& faults_;
  std::vector<Level> levels_;
  std::optional<Found> to_enter_;  // handed out last, not listed yet
  bool started_ = false;
  uint64_t vanished_ = 0;
  std::optional<struct stat> repository_;
  std::optional<std::string> repository_met_;
  std::vector<std::string> mounts_met_, mounts_entered_;
  uint64_t mount_count_ = 0;
};

}  // namespace holdfast::files
