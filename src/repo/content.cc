#include <algorithm>

#include "repo/extent_codec.h"
#include "repo/repository.h"
#include "repo/tree.h"

namespace holdfast::repo {
namespace {

constexpr uint8_t kRegionVersion = 1;

// Whether `next` goes on where `last` ends, so that both can be one extent.
bool continues(const Extent& last, const Extent& next) {
  if (last.block != next.block) return false;
  if (!last.block) return true;
  return last.block_offset + last.length_bytes == next.block_offset;
}

// Cuts the first `length_bytes` off `extents`.
std::vector<Extent> split_front(std::vector<Extent>& extents, uint64_t length_bytes) {
  std::vector<Extent> front;
  size_t taken = 0;
  while (length_bytes > 0) {
    Extent& extent = extents[taken];
    const uint64_t part = std::min(length_bytes, extent.length_bytes);
    front.push_back({part, extent.block, extent.block_offset});
    length_bytes -= part;
    if (part == extent.length_bytes) {
      taken++;
    } else {
      extent.length_bytes -= part;
      if (extent.block) extent.block_offset += static_cast<uint32_t>(part);
    }
  }
  extents.erase(extents.begin(), extents.begin() + static_cast<ptrdiff_t>(taken));
  return front;
}

Result<bool> reuse_extents(WriteSession& session, const std::vector<Extent>& extents) {
  for (const Extent& extent : extents) {
    if (extent.block && !TRY(session.reuse(*extent.block))) return false;
  }
  return true;
}

}  // namespace

ContentBuilder::ContentBuilder(WriteSession& session, uint64_t region_bytes)
    : session_(session), region_bytes_(region_bytes) {
  CHECK(region_bytes > 0);
}

Result<void> ContentBuilder::add(const Extent& extent) {
  if (extent.length_bytes == 0) return {};
  if (!pending_.empty() && continues(pending_.back(), extent)) {
    pending_.back().length_bytes += extent.length_bytes;
  } else {
    pending_.push_back(extent);
  }
  pending_bytes_ += extent.length_bytes;
  // As long as a file may still turn out small its extents wait uncut.
  if (content_.regions.empty() && pending_.size() <= kInlineExtents) return {};
  while (pending_bytes_ >= region_bytes_) TRY(store_region(region_bytes_));
  return {};
}

Result<void> ContentBuilder::add_region(const RegionRef& region) {
  CHECK_MSG(region.length_bytes > 0, "an empty region");
  CHECK_MSG(pending_bytes_ % region_bytes_ == 0, "a region taken over inside another");
  while (pending_bytes_ > 0) TRY(store_region(region_bytes_));
  content_.regions.push_back(region);
  return {};
}

Result<Content> ContentBuilder::finish() {
  if (content_.regions.empty() && pending_.size() <= kInlineExtents) {
    content_.extents = std::move(pending_);
  } else {
    while (pending_bytes_ > 0) TRY(store_region(std::min(pending_bytes_, region_bytes_)));
  }
  pending_.clear();
  pending_bytes_ = 0;
  return std::exchange(content_, {});
}

Result<void> ContentBuilder::store_region(uint64_t length_bytes) {
  const std::vector<Extent> extents = split_front(pending_, length_bytes);
  pending_bytes_ -= length_bytes;
  if (extents.size() > kMaxRegionExtents) {
    return make_error(ErrorCode::kUnsupported, "a region of {} bytes has {} extents, more than {}", length_bytes,
                      extents.size(), kMaxRegionExtents);
  }
  const BlockId id = TRY(session_.put(BlockKind::kRegion, encode_region(extents)));
  content_.regions.push_back({length_bytes, id});
  return {};
}

Bytes encode_region(const std::vector<Extent>& extents) {
  ByteWriter out;
  out.u8(kRegionVersion);
  encode_extents(out, extents);
  return out.take();
}

Result<std::vector<Extent>> decode_region(ByteView bytes) {
  ByteReader in(bytes);
  const uint8_t version = TRY(in.u8());
  if (version != kRegionVersion) {
    return make_error(ErrorCode::kNewerFormat, "region: version {} is not known", version);
  }
  std::vector<Extent> extents = TRY(decode_extents(in, kMaxRegionExtents));
  TRY(in.end());
  return extents;
}

Result<std::vector<Extent>> read_region(Repository& repository, const RegionRef& region) {
  const auto bytes = TRY_CONTEXT(repository.read_block(region.id), "region {}", region.id.hex());
  std::vector<Extent> extents = TRY_CONTEXT(decode_region(*bytes), "region {}", region.id.hex());
  uint64_t total = 0;
  for (const Extent& extent : extents) {
    if (extent.length_bytes > kMaxFileBytes - total) {
      return make_error(ErrorCode::kInvalidData, "region {}: too long", region.id.hex());
    }
    total += extent.length_bytes;
  }
  if (total != region.length_bytes) {
    return make_error(ErrorCode::kInvalidData, "region {}: holds {} bytes of a file instead of {}", region.id.hex(),
                      total, region.length_bytes);
  }
  return extents;
}

Result<bool> reuse_region(WriteSession& session, const RegionRef& region) {
  if (!TRY(session.reuse(region.id))) return false;
  return reuse_extents(session, TRY(read_region(session.repository(), region)));
}

Result<bool> reuse_content(WriteSession& session, const Content& content) {
  for (const RegionRef& region : content.regions) {
    if (!TRY(reuse_region(session, region))) return false;
  }
  return reuse_extents(session, content.extents);
}

Result<void> for_each_extent(Repository& repository, const Content& content,
                             const std::function<Result<void>(uint64_t, const Extent&)>& visit) {
  uint64_t offset = 0;
  for (const Extent& extent : content.extents) {
    TRY(visit(offset, extent));
    offset += extent.length_bytes;
  }
  for (const RegionRef& region : content.regions) {
    for (const Extent& extent : TRY(read_region(repository, region))) {
      TRY(visit(offset, extent));
      offset += extent.length_bytes;
    }
  }
  return {};
}

}  // namespace holdfast::repo
