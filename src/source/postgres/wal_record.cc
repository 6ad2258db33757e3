#include "source/postgres/wal_record.h"

namespace holdfast::postgres {
namespace {

// One block reference's header. `previous` names the relation when this one does not.
// Adds the bytes of its data and image to `payload`.
std::optional<WalBlockReference> take_reference(WalCursor& cursor, int major, const WalBlockReference* previous,
                                                uint64_t& payload) {
  constexpr uint8_t kForkMask = 0x0F, kHasImage = 0x10, kHasData = 0x20, kSameRelation = 0x80;
  constexpr uint8_t kImageHasHole = 0x01;
  const uint8_t compressed_mask = major >= 15 ? 0x04 | 0x08 | 0x10 : 0x02;
  const auto fork_flags = cursor.take<uint8_t>();
  const auto data_bytes = cursor.take<uint16_t>();
  if (fork_flags & kHasData) payload += data_bytes;
  if (fork_flags & kHasImage) {
    payload += cursor.take<uint16_t>();
    cursor.skip(2);  // hole offset
    const auto image_info = cursor.take<uint8_t>();
    if ((image_info & compressed_mask) && (image_info & kImageHasHole)) cursor.skip(2);
  }
  WalBlockReference reference;
  if (!(fork_flags & kSameRelation)) {
    reference.tablespace = cursor.take<uint32_t>();
    reference.database = cursor.take<uint32_t>();
    reference.relation = cursor.take<uint32_t>();
  } else if (previous) {
    reference = *previous;
  } else {
    return std::nullopt;
  }
  reference.fork = fork_flags & kForkMask;
  reference.block = cursor.take<uint32_t>();
  if (!cursor.ok()) return std::nullopt;
  return reference;
}

}  // namespace

std::optional<WalRecordParts> take_apart(ByteView prefix, uint64_t total_bytes, int major) {
  constexpr uint8_t kShort = 255, kLong = 254, kOrigin = 253, kTopLevelXid = 252, kMaxBlock = 32;
  if (prefix.size() < kWalRecordHeaderBytes || total_bytes < prefix.size()) return std::nullopt;
  const uint64_t behind = total_bytes - prefix.size();
  WalCursor cursor(prefix.subspan(kWalRecordHeaderBytes));
  WalRecordParts parts;
  uint64_t payload = 0;
  while (cursor.ok() && cursor.remaining() + behind > payload) {
    const auto id = cursor.take<uint8_t>();
    if (id == kShort || id == kLong) {
      parts.main_bytes = id == kShort ? cursor.take<uint8_t>() : cursor.take<uint32_t>();
      if (!cursor.ok() || payload + parts.main_bytes != cursor.remaining() + behind) return std::nullopt;
      return parts;
    }
    if (id == kOrigin) {
      cursor.skip(2);
    } else if (id == kTopLevelXid) {
      cursor.skip(4);
    } else if (id <= kMaxBlock && parts.reference_count < WalRecordParts::kMostReferences) {
      const WalBlockReference* previous =
          parts.reference_count > 0 ? &parts.references[parts.reference_count - 1] : nullptr;
      const auto reference = take_reference(cursor, major, previous, payload);
      if (!reference) return std::nullopt;
      parts.references[parts.reference_count++] = *reference;
    } else {
      return std::nullopt;
    }
  }
  if (!cursor.ok() || cursor.remaining() + behind != payload) return std::nullopt;
  return parts;
}

}  // namespace holdfast::postgres
