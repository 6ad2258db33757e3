#include "source/postgres/region_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

namespace holdfast::postgres {
namespace {

// A block and where it would lie if all of it were where some extents have it.
struct Placement {
  repo::BlockId block;
  uint64_t at = 0;
  auto operator<=>(const Placement&) const = default;
};

struct Interval {
  uint64_t from, to;
};

bool overlaps(const std::vector<Interval>& taken, uint64_t from, uint64_t to) {
  return std::any_of(taken.begin(), taken.end(), [&](const Interval& i) { return from < i.to && i.from < to; });
}

// Blocks whose pages lie apart, with those of many others between: each is read once, and held from
// its first use to its last, whatever else the repository's cache has to serve meanwhile.
class HeldBlocks {
 public:
  explicit HeldBlocks(repo::Repository& repository) : repository_(repository) {}
  // Once for each use that follows.
  void announce(const repo::BlockId& id) { held_[id].uses++; }
  Result<std::shared_ptr<const Bytes>> use(const repo::BlockId& id) {
    Held& held = held_[id];
    if (!held.block) held.block = TRY(repository_.read_block(id));
    return --held.uses == 0 ? std::move(held.block) : held.block;
  }

 private:
  struct Held {
    size_t uses = 0;
    std::shared_ptr<const Bytes> block;
  };
  repo::Repository& repository_;
  std::map<repo::BlockId, Held> held_;
};

}  // namespace

Result<void> RegionReader::read(const std::vector<repo::Extent>& extents, MutableByteView out) {
  std::map<Placement, uint64_t> bytes_of;
  uint64_t at = 0;
  for (const repo::Extent& extent : extents) {
    if (extent.length_bytes > out.size() - at)
      return make_error(ErrorCode::kInvalidData, "extents are longer than their file");
    if (extent.block && extent.block_offset <= at)
      bytes_of[{*extent.block, at - extent.block_offset}] += extent.length_bytes;
    at += extent.length_bytes;
  }
  if (at != out.size()) return make_error(ErrorCode::kInvalidData, "extents are shorter than their file");
  std::map<Placement, bool> direct;
  std::vector<Interval> taken;
  for (const auto& [placement, bytes] : bytes_of) {
    const uint64_t size = TRY(repository_.block_size(placement.block));
    if (bytes * 2 < size || placement.at + size > out.size() || overlaps(taken, placement.at, placement.at + size))
      continue;
    TRY(repository_.read_block_into(placement.block, out.subspan(placement.at, size)));
    taken.push_back({placement.at, placement.at + size});
    direct[placement] = true;
  }
  const auto is_there = [&](const repo::Extent& extent) {
    return extent.block_offset <= at && direct.contains({*extent.block, at - extent.block_offset});
  };
  HeldBlocks held(repository_);
  at = 0;
  for (const repo::Extent& extent : extents) {
    if (extent.block && !is_there(extent)) held.announce(*extent.block);
    at += extent.length_bytes;
  }
  at = 0;
  for (const repo::Extent& extent : extents) {
    const MutableByteView part = out.subspan(at, extent.length_bytes);
    if (!extent.block) {
      if (!part.empty()) std::memset(part.data(), 0, part.size());
    } else if (!is_there(extent)) {
      const auto block = TRY(held.use(*extent.block));
      if (extent.block_offset + extent.length_bytes > block->size()) {
        return make_error(ErrorCode::kInvalidData, "an extent reaches past the end of block {}", extent.block->hex());
      }
      std::memcpy(part.data(), block->data() + extent.block_offset, part.size());
    }
    at += extent.length_bytes;
  }
  return {};
}

}  // namespace holdfast::postgres
