#pragma once

#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/source.h"

namespace holdfast::files {

// In Snapshot::source: the roots as display_path() shows them behind a '/', and the
// patterns that were excluded.
inline constexpr const char* kRootsKey = "roots";
inline constexpr const char* kExcludesKey = "excludes";
// Likewise, as display_path() shows it: the repository, where it lay among what was captured.
inline constexpr const char* kRepositoryKey = "repository_left_out";
// Likewise: where other file systems were mounted and left out, as `one_file_system`
// wants it; and, if there were more than are listed, how many in all.
inline constexpr const char* kMountsKey = "mounts_left_out";
inline constexpr const char* kMountsEnteredKey = "mounts_entered";
inline constexpr const char* kMountCountKey = "mounts_left_out_count";

struct CaptureOptions {
  std::vector<std::string> paths;     // absolute; several roots keep their whole path in the tree
  std::vector<std::string> excludes;  // gitignore-like patterns: "*.tmp", "/srv/data/cache/", "**/node_modules"
  bool one_file_system = false;
  std::string repository = {};  // directory of the repository itself, never captured; "" when it has none
  bool force = false;           // read every file even when it looks unchanged
  bool allow_empty = false;     // a path of which `previous` has files may have none now
};

// What capture() would refuse before it reads: kConfig, and kRefused for a path, or for
// what was a mount point in one, that is an empty directory.
Result<void> look_before_capture(FileSystem& fs, repo::Repository& repository, const CaptureOptions& options,
                                 const repo::Snapshot* previous);

// Captures trees into `session`. `previous`: the last snapshot of this component, if
// any: files whose size, mtime, ctime and inode are as they were (and whose mtime is
// well before that capture read them) are taken over without being read. A file that
// changes while it is read is read again (up to 3 times), then recorded as a fault.
// kConfig for a path inside the repository's own directory; kIo when nothing but
// directories could be read: that must not become the newest state of them; kRefused
// likewise when a path holds nothing of what `previous` has, unless `allow_empty`: at
// once where it is an empty directory.
// The returned snapshot has no component name yet.
Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
                               const repo::Snapshot* previous);

}  // namespace holdfast::files
