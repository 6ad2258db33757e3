#include "repo/extent_codec.h"

#include <bit>
#include <unordered_map>

#include "repo/repository.h"

namespace holdfast::repo {
namespace {

// The low two bits of an extent's first varint.
enum Op : uint64_t { kHole = 0, kNextBlock = 1, kNextBlockAt = 2, kKnownBlock = 3 };

constexpr unsigned kMaxShift = 20;

// The largest power of two that divides every length and offset: pages of 8 KiB
// then cost one byte each instead of three.
unsigned common_shift(std::span<const Extent> extents) {
  uint64_t bits = 1ull << kMaxShift;
  for (const Extent& extent : extents) bits |= extent.length_bytes | extent.block_offset;
  return static_cast<unsigned>(std::countr_zero(bits));
}

class Encoder {
 public:
  Encoder(ByteWriter& out, unsigned shift) : out_(out), shift_(shift) {}

  void add(const Extent& extent) {
    const uint64_t length = (extent.length_bytes >> shift_) << 2;
    if (!extent.block) return out_.varint(length | kHole);
    const uint64_t offset = extent.block_offset >> shift_;
    const uint64_t end = offset + (extent.length_bytes >> shift_);
    const auto [place, fresh] = index_of_.try_emplace(*extent.block, ends_.size());
    if (fresh) {
      ends_.push_back(end);
      out_.varint(length | (offset ? kNextBlockAt : kNextBlock));
      if (offset) out_.varint(offset);
      return;
    }
    out_.varint(length | kKnownBlock);
    out_.varint(ends_.size() - 1 - place->second);
    out_.svarint(static_cast<int64_t>(offset) - static_cast<int64_t>(ends_[place->second]));
    ends_[place->second] = end;
  }

 private:
  ByteWriter& out_;
  const unsigned shift_;
  std::unordered_map<BlockId, size_t> index_of_;
  std::vector<uint64_t> ends_;  // of each block's latest extent: the next one often begins there
};

class Decoder {
 public:
  Decoder(ByteReader& in, unsigned shift, std::vector<BlockId> ids) : in_(in), shift_(shift), ids_(std::move(ids)) {}

  Result<Extent> next() {
    const uint64_t head = TRY(in_.varint());
    const uint64_t length = head >> 2;
    if (length == 0 || length > kMaxFileBytes >> shift_) return bad("an extent's length");
    Extent extent;
    extent.length_bytes = length << shift_;
    if ((head & 3) == kHole) return extent;
    uint64_t offset = 0;
    size_t index = ends_.size();
    if ((head & 3) == kNextBlockAt) {
      offset = TRY(in_.varint_at_most(WriteSession::kMaxBlockBytes >> shift_, "offset in a block"));
      if (offset == 0) return bad("an offset that should have been left out");
    }
    if ((head & 3) == kKnownBlock) {
      if (ends_.empty()) return bad("a reference to an earlier block");
      index = ends_.size() - 1 - TRY(in_.varint_at_most(ends_.size() - 1, "distance to an earlier block"));
      offset = ends_[index] + static_cast<uint64_t>(TRY(in_.svarint()));
    } else {
      if (index >= ids_.size()) return bad("a reference to a block beyond the table");
      ends_.push_back(0);
    }
    const uint64_t limit = WriteSession::kMaxBlockBytes >> shift_;
    if (offset > limit || length > limit - offset) return bad("an extent that ends beyond the largest block");
    ends_[index] = offset + length;
    extent.block = ids_[index];
    extent.block_offset = static_cast<uint32_t>(offset << shift_);
    return extent;
  }

  bool all_used() const { return ends_.size() == ids_.size(); }

  Error bad(std::string_view what) const {
    return make_error(ErrorCode::kInvalidData, "extents: {} is wrong before byte {}", what, in_.offset());
  }

 private:
  ByteReader& in_;
  const unsigned shift_;
  std::vector<BlockId> ids_;
  std::vector<uint64_t> ends_;
};

}  // namespace

void encode_extents(ByteWriter& out, std::span<const Extent> extents) {
  const unsigned shift = common_shift(extents);
  std::vector<const BlockId*> ids;
  std::unordered_map<BlockId, bool> seen;
  for (const Extent& extent : extents) {
    if (extent.block && seen.try_emplace(*extent.block, true).second) ids.push_back(&*extent.block);
  }
  out.varint(extents.size());
  if (extents.empty()) return;
  out.u8(static_cast<uint8_t>(shift));
  out.varint(ids.size());
  for (const BlockId* id : ids) out.raw(id->bytes);
  Encoder encoder(out, shift);
  for (const Extent& extent : extents) encoder.add(extent);
}

Result<std::vector<Extent>> decode_extents(ByteReader& in, size_t limit) {
  std::vector<Extent> extents;
  // An extent takes a byte at least: a count beyond what is left is refused before anything is reserved.
  const size_t count = TRY(in.varint_at_most(std::min(limit, in.remaining()), "number of extents"));
  if (count == 0) return extents;
  const unsigned shift = TRY(in.u8());
  if (shift > kMaxShift) return make_error(ErrorCode::kInvalidData, "extents: shift {} is too large", shift);
  const size_t id_count = TRY(in.varint_at_most(std::min(count, in.remaining() / sizeof(BlockId)), "number of blocks"));
  std::vector<BlockId> ids(id_count);
  for (BlockId& id : ids) std::memcpy(id.bytes.data(), TRY(in.raw(id.bytes.size())).data(), id.bytes.size());
  Decoder decoder(in, shift, std::move(ids));
  extents.reserve(count);
  for (size_t i = 0; i < count; i++) extents.push_back(TRY(decoder.next()));
  if (!decoder.all_used()) return decoder.bad("a block that no extent uses");
  return extents;
}

}  // namespace holdfast::repo
