#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/key.h"

namespace holdfast::repo {

// What an object is. In its header, hence in its associated data and its key.
enum class ObjectType : uint8_t {
  kConfig = 1,
  kKeySlot = 2,
  kEpoch = 3,
  kDataPack = 4,
  kMetadataPack = 5,
  kIndex = 6,
  kPoint = 7,
  kLogRecord = 8,
};

constexpr uint16_t kFormatVersion = 1;

// The 48 bytes with which every object begins (docs/format.md, "Object header"):
//   0  8  magic "HOLDFAST"
//   8  2  version of the format (1)
//  10  1  type
//  11  1  flags (bit 0: the sealed content is zstd)
//  12  4  epoch whose key it is sealed under (0: none)
//  16 32  salt, random, of this object's own key
struct ObjectHeader {
  static constexpr size_t kBytes = 48;
  static constexpr uint8_t kCompressed = 1;
  uint16_t version = kFormatVersion;
  ObjectType type = ObjectType::kConfig;
  uint8_t flags = 0;
  uint32_t epoch = 0;
  std::array<uint8_t, 32> salt{};

  std::array<uint8_t, kBytes> encode() const;
};

// kNewerFormat for a later version, kDamaged for anything else that is wrong;
// `name` is the object's, for the message.
Result<ObjectHeader> parse_object_header(ByteView bytes, ObjectType expected, std::string_view name);

// The same, of whatever type.
Result<ObjectHeader> parse_any_object_header(ByteView bytes, std::string_view name);
// A header with a fresh salt.
ObjectHeader new_object_header(ObjectType type, uint32_t epoch, Random& random);
// What the HKDF of an object's key is told that the key is for.
std::string object_purpose(ObjectType type);

// The bytes of an object: header, then `plain` (compressed when that helps) sealed
// under HKDF(key, salt) with the header and `context` as associated data.
Bytes seal_object(const crypto::Key& key, uint32_t epoch, ObjectType type, ByteView plain, ByteView context,
                  Random& random);

// The most that a sealed object may hold, before it is compressed: a reader refuses more.
constexpr size_t kMaxSealedBytes = 256u << 20;

// The content. `key` must be that of the header's epoch. `limit_bytes` bounds what
// is allocated. kDamaged names the object.
Result<Bytes> open_object(const crypto::Key& key, const ObjectHeader& header, ByteView bytes, ByteView context,
                          std::string_view name, size_t limit_bytes = kMaxSealedBytes);

}  // namespace holdfast::repo
