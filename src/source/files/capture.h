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

struct CaptureOptions {
  std::vector<std::string> paths;     // absolute; several roots keep their whole path in the tree
  std::vector<std::string> excludes;  // gitignore-like patterns: "*.tmp", "/srv/data/cache/", "**/node_modules"
  bool one_file_system = false;
  std::string repository = {};  // directory of the repository itself, never captured; "" when it has none
  bool force = false;           // read every file even when it looks unchanged
};

// Captures trees into `session`. `previous`: the last snapshot of this component, if
// any: files whose size, mtime, ctime and inode are as they were (and whose mtime is
// well before that capture read them) are taken over without being read. A file that
// changes while it is read is read again (up to 3 times), then recorded as a fault.
// kConfig for a path inside the repository's own directory; kIo when nothing but
// directories could be read: that must not become the newest state of them.
// The returned snapshot has no component name yet.
Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
                               const repo::Snapshot* previous);

}  // namespace holdfast::files
