#include "source/chunker.h"

#include <algorithm>

#include "base/encoding.h"

namespace holdfast::source {
namespace {

// The chance of a cut at a byte is 2^-bits: the hash's top bits are all zero,
// and those depend on the last 64 bytes.
constexpr uint64_t threshold_of(unsigned bits) { return 1ull << (64 - bits); }
constexpr uint64_t kHard = threshold_of(22);
constexpr uint64_t kEasy = threshold_of(18);

}  // namespace

GearTable GearTable::of(const repo::Repository& repository) {
  GearTable table;
  for (uint32_t i = 0; i < table.values_.size(); i += 2) {
    ByteWriter seed;
    seed.string("holdfast gear table 1");
    seed.u32(i);
    const repo::BlockId id = repository.id_of(repo::BlockKind::kData, seed.view());
    std::memcpy(&table.values_[i], id.bytes.data(), 8);
    std::memcpy(&table.values_[i + 1], id.bytes.data() + 8, 8);
  }
  return table;
}

size_t Chunker::scan(ByteView data, size_t from, size_t to, uint64_t threshold) {
  const uint64_t* const gear = gear_.data();
  const uint8_t* const bytes = data.data();
  uint64_t hash = hash_;
  size_t i = from;
  // Four steps a turn: the loop's own cost would be a third of the whole.
  for (; i + 4 <= to; i += 4) {
    hash = (hash << 1) + gear[bytes[i]];
    if (hash < threshold) [[unlikely]]
      return i + 1;
    hash = (hash << 1) + gear[bytes[i + 1]];
    if (hash < threshold) [[unlikely]]
      return i + 2;
    hash = (hash << 1) + gear[bytes[i + 2]];
    if (hash < threshold) [[unlikely]]
      return i + 3;
    hash = (hash << 1) + gear[bytes[i + 3]];
    if (hash < threshold) [[unlikely]]
      return i + 4;
  }
  for (; i < to; i++) {
    hash = (hash << 1) + gear[bytes[i]];
    if (hash < threshold) return i + 1;
  }
  hash_ = hash;
  return kNoCut;
}

size_t Chunker::feed(ByteView data) {
  // Positions within `data` at which the present chunk has 64 bytes less than
  // its minimum (hashing begins), its wished and its largest size.
  const auto position = [&](size_t chunk_bytes) {
    return std::min(data.size(), chunk_bytes > taken_ ? chunk_bytes - taken_ : 0);
  };
  const size_t warm = position(kMinimumBytes - 64), minimum = position(kMinimumBytes);
  const size_t normal = position(kNormalBytes), maximum = position(kMaximumBytes);
  size_t cut = scan(data, warm, minimum, 0);
  if (cut == kNoCut) cut = scan(data, minimum, normal, kHard);
  if (cut == kNoCut) cut = scan(data, normal, maximum, kEasy);
  if (cut == kNoCut && taken_ + data.size() >= kMaximumBytes) cut = maximum;
  if (cut != kNoCut) {
    restart();
    return cut;
  }
  taken_ += data.size();
  return kNoCut;
}

}  // namespace holdfast::source
