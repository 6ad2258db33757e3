#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "repo/point.h"
#include "source/files/patterns.h"

namespace holdfast::files {

// What a restore must not remove although its snapshot does not have it: a backup
// never had it, or was told to leave it alone, so nothing could bring it back.
// Immutable.
class Spared {
 public:
  // `excludes`: of the present configuration. They count beside those that the
  // snapshot was taken with: what was excluded since is in no backup since.
  // `repository`: where in the tree the repository itself lies, if it does.
  static Result<Spared> create(const repo::Snapshot& snapshot, const std::vector<std::string>& excludes,
                               const std::optional<std::string>& repository);

  // Why nothing may be removed at this path of the tree, as it or something above it
  // is spared: "it is excluded". Null where it may be removed.
  const char* reason(std::string_view path, bool is_directory) const;

  // What was captured, as in the tree.
  const std::vector<std::string>& roots() const { return roots_; }

 private:
  Spared(ExcludePatterns then, ExcludePatterns now) : excluded_then_(std::move(then)), excluded_now_(std::move(now)) {}
  bool is_excluded(std::string_view path, bool is_directory) const;

  ExcludePatterns excluded_then_, excluded_now_;
  std::vector<std::string> repositories_;  // that of now, and that of the capture
  std::vector<std::string> roots_;
  // Each beginning of a fault's line that may be its path: ": " can be in a name too,
  // and to spare too much does no harm.
  std::set<std::string, std::less<>> faults_;
  bool faults_unnamed_ = false;                // there were more than a snapshot lists
  std::set<std::string, std::less<>> mounts_;  // that the capture left out, as display_path() shows them
  bool mounts_unnamed_ = false;
};

}  // namespace holdfast::files
