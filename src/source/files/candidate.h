#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/tree.h"

namespace holdfast::files {

// Something found by the walk, on its way into the new tree.
struct Candidate {
  repo::Entry entry;  // what lstat said; its content is what is still to do
  struct stat status{};
  std::optional<repo::Entry> previous;      // of the same path and kind, in the snapshot before
  bool unchanged = false;                   // `previous` can be taken over without reading
  std::optional<ino_t> first_name_of = {};  // the file, if names that come later will refer to this one
};

// In Entry::source_data of the directories above the roots, which are in the
// tree only so that they can be made again where they are missing.
constexpr const char* kParentMark = "parent";

// A file so large that it is stored in pieces, side by side.
struct LargeFile {
  Candidate candidate;
};

// What one worker does at a time: either a run of neighbours in the tree, whose
// small files are bundled, or one piece of a large file.
struct WorkItem {
  std::vector<Candidate> neighbours;
  std::shared_ptr<const LargeFile> large;  // shared by its pieces
  uint64_t offset = 0, length = 0;         // of the piece
  bool last = false;                       // piece
  bool is_hole = false;                    // the piece has no data; then it may be of any length
};

// A file is taken as unchanged when everything that the system says of it is as
// it was, and it was last touched well before it was read that time. A change within
// the same tick of the file system's clock would not show; nor one that is made through
// a mapping (mmap) to a page that an earlier one made dirty, until the kernel has
// written that page: after dirty_expire_centisecs and dirty_writeback_centisecs, 35 s
// unless someone set them.
constexpr Duration kRacyMargin = Duration::seconds(60);
bool looks_unchanged(const repo::Entry& now, const repo::Entry& before);

}  // namespace holdfast::files
