#include "source/postgres/region_reader.h"

#include <algorithm>
#include <cstring>
#include <map>

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
  at = 0;
  for (const repo::Extent& extent : extents) {
    const MutableByteView part = out.subspan(at, extent.length_bytes);
    if (!extent.block) {
      if (!part.empty()) std::memset(part.data(), 0, part.size());
    } else if (extent.block_offset > at || !direct.contains({*extent.block, at - extent.block_offset})) {
      const auto block = TRY(repository_.read_block(*extent.block));
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
