#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::repo {

// Name of a block: HMAC-SHA-256 under the repository's id key, of one domain byte
// (the block's kind) and the plaintext, cut to 128 bits.
struct BlockId {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const BlockId&) const = default;
  std::string hex() const { return to_hex(bytes); }
};

// SHA-256 of an object's bytes, which is its name in the store.
struct ObjectDigest {
  std::array<uint8_t, 32> bytes{};
  auto operator<=>(const ObjectDigest&) const = default;
  std::string hex() const { return to_hex(bytes); }
  static Result<ObjectDigest> from_hex(std::string_view hex);
};

// A recovery point's id is the digest of its object; people see 8 digits or more.
using PointId = ObjectDigest;

}  // namespace holdfast::repo

template <>
struct std::hash<holdfast::repo::BlockId> {
  size_t operator()(const holdfast::repo::BlockId& id) const noexcept {
    size_t value;  // digests are uniform already
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};
