#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "repo/index.h"
#include "repo/tree.h"

namespace holdfast::repo {

// What a walk tells. Called from several threads at once.
class WalkSink {
 public:
  virtual ~WalkSink() = default;
  // The walk has come to a block. False: it does not go below it (seen before, or
  // not there). An error ends the walk.
  virtual Result<bool> enter(BlockKind kind, const BlockId& id) = 0;
  // A block that lists others can't be read or makes no sense. An error ends the walk.
  virtual Result<void> unreadable(BlockKind kind, const BlockId& id, const Error& error) = 0;
};

// Goes through everything that a tree refers to: pages, chunks, regions, data.
// Reads all but data blocks.
Result<void> walk_tree(Repository& repository, const BlockId& root, size_t threads, WalkSink& sink);

// One bit for each entry of an index: blocks that were seen. A block that stands in
// several packs is marked at the first of its entries. Thread-safe.
class BlockMarks {
 public:
  explicit BlockMarks(std::shared_ptr<const Index> index);
  const Index& index() const { return *index_; }

  enum class Outcome { kFirst, kAgain, kUnknown };  // kUnknown: no index knows it
  Outcome mark(const BlockId& id);
  // Whether the block of this entry, the first one of its id, was marked.
  bool marked(size_t first_entry) const;

 private:
  const std::shared_ptr<const Index> index_;
  std::vector<std::atomic<uint64_t>> words_;
};

}  // namespace holdfast::repo
