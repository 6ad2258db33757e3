#pragma once

#include <span>
#include <vector>

#include "base/encoding.h"
#include "repo/tree.h"

namespace holdfast::repo {

// The bytes of a list of extents: docs/format.md, "Extents". They stand in regions
// and, for small files, in the entries themselves.

constexpr uint64_t kMaxFileBytes = 1ull << 60;
constexpr size_t kMaxRegionExtents = 1u << 20;

void encode_extents(ByteWriter& out, std::span<const Extent> extents);

// kInvalidData for anything that encode_extents() would not write: empty extents,
// ids that no extent uses, runs beyond a block's largest size, too many extents.
Result<std::vector<Extent>> decode_extents(ByteReader& in, size_t limit);

}  // namespace holdfast::repo
