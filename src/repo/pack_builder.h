#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "repo/key_set.h"
#include "repo/pack.h"

namespace holdfast::repo {

// A pack that is being filled in memory. Place and nonce of a record are reserved
// under the owner's lock; the sealing, which takes time, then goes on in parallel,
// straight into the pack's buffer.
class PackBuilder {
 public:
  // `buffer` is reused memory (may be empty); the pack takes at most `capacity` bytes,
  // unless its first record alone needs more.
  PackBuilder(ObjectType type, const EpochKey& epoch, size_t capacity, Bytes buffer, Random& random);

  // Whether a record of that content fits beside what is reserved. True for the first.
  bool fits(size_t content_bytes) const;
  size_t used_bytes() const { return used_; }
  bool empty() const { return records_.empty(); }
  ObjectType type() const { return key_.header().type; }
  uint32_t epoch() const { return key_.header().epoch; }
  std::span<const PackRecord> records() const { return records_; }

  struct Place {
    uint32_t ordinal = 0;
    uint32_t offset = 0;
  };
  // Not thread-safe: one at a time, never while fill() may still write (a first,
  // large record grows the buffer) -- which can't be, as it is the first.
  Place reserve(const BlockId& id, BlockKind kind, size_t raw_length, size_t content_bytes);
  // Thread-safe for different places.
  void fill(const Place& place, BlockKind kind, size_t raw_length, bool compressed, ByteView content);

  // The pack's bytes, with footer and trailer; every place was filled.
  Bytes finish();

 private:
  const PackKey key_;
  const size_t capacity_;
  Bytes buffer_;
  size_t used_ = 0;
  std::vector<PackRecord> records_;
};

}  // namespace holdfast::repo
