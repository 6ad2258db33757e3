#pragma once

#include <vector>

#include "repo/ids.h"

namespace holdfast::repo {

// The ids that a session has stored: 16 bytes each in an open table, so that a
// first backup of billions of bytes remembers them within a few dozen bytes per
// block. Ids are keyed digests, hence spread evenly. Not thread-safe.
class BlockSet {
 public:
  // False when it was there.
  bool insert(const BlockId& id);
  bool contains(const BlockId& id) const;
  size_t size() const { return size_; }

 private:
  size_t slot_of(const BlockId& id) const;  // where it is, or would go
  void grow();

  std::vector<BlockId> slots_;  // a power of two; the zero id marks a free slot
  size_t size_ = 0;
  bool has_zero_ = false;  // the zero id itself
};

}  // namespace holdfast::repo
