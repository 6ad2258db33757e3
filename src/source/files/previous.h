#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "repo/repository.h"
#include "repo/tree.h"

namespace holdfast::files {

// The tree of the snapshot before, read beside a walk in the same order. When it
// can't be read any further (damaged, say) it is as if nothing more stood in it:
// a new capture must not fail because an old one is bad. Not thread-safe.
class PreviousTree {
 public:
  // `root` empty: there is none.
  PreviousTree(repo::Repository& repository, const std::optional<repo::BlockId>& root);

  // The entry of this path. Paths must be asked for in ascending order.
  std::optional<repo::Entry> find(const std::string& path);

 private:
  void advance();
  std::unique_ptr<repo::TreeReader> reader_;
  std::optional<repo::Entry> ahead_;
};

// The first thing at this path or below it that is no directory. None when the tree
// can't be read so far.
std::optional<std::string> first_leaf_below(repo::Repository& repository, const repo::BlockId& root,
                                            const std::string& path);

// A run of a file, and where in the file it stands.
struct PlacedExtent {
  uint64_t offset = 0;
  repo::Extent extent;
};

// Where the file was cut the last time: the extents with a block that overlap
// [offset, offset + length). Empty when that can't be read.
std::vector<PlacedExtent> previous_extents(repo::Repository& repository, const repo::Content& content, uint64_t offset,
                                           uint64_t length);

// Takes content over without its bytes: remembers every block and region that it
// needs as reused. False when one of them is not there any more.
// `last` is the block reused last: neighbours in a tree share blocks.
Result<bool> reuse_content(repo::WriteSession& session, const repo::Content& content,
                           std::optional<repo::BlockId>& last);

}  // namespace holdfast::files
