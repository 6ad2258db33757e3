#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "repo/repository.h"

namespace holdfast::source {

// The table that content-defined cutting works with, derived from the
// repository's id key: where a file is cut then says nothing about its content
// to someone who sees the lengths of blocks but has no key.
class GearTable {
 public:
  static GearTable of(const repo::Repository& repository);
  const std::array<uint64_t, 256>& values() const { return values_; }

 private:
  std::array<uint64_t, 256> values_{};
};

// Cuts a stream where its content says, so that equal stretches of two streams
// are cut alike wherever they stand. A gear hash of the last 64 bytes is
// compared with a threshold that is hard to pass before the wished size and easy
// behind it (normalised chunking), which keeps sizes close together.
//
// Fed with the stream piece by piece; keeps no data. Not thread-safe.
class Chunker {
 public:
  static constexpr size_t kMinimumBytes = 256u << 10;
  static constexpr size_t kNormalBytes = 768u << 10;
  static constexpr size_t kMaximumBytes = 4u << 20;

  explicit Chunker(const GearTable& table) : gear_(table.values()) {}

  // Takes bytes of the current chunk. Returns how many belong to it when it ends
  // within `data` (the rest is to be fed again), or kNoCut when it took them all.
  static constexpr size_t kNoCut = SIZE_MAX;
  size_t feed(ByteView data);
  // Starts a new chunk, as after a cut.
  void restart() {
    taken_ = 0;
    hash_ = 0;
  }

 private:
  // Hashes data[from, to) until a hash falls below `threshold`; the index behind that byte, or kNoCut.
  size_t scan(ByteView data, size_t from, size_t to, uint64_t threshold);

  const std::array<uint64_t, 256>& gear_;
  size_t taken_ = 0;
  uint64_t hash_ = 0;
};

}  // namespace holdfast::source
