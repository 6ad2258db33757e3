#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/key.h"

namespace holdfast::crypto {

// HKDF-SHA-256 (RFC 5869), one output block: a key that only holders of `key` can
// compute, another one for each salt and each purpose.
Key hkdf(const Key& key, ByteView salt, std::string_view purpose);

constexpr size_t kArgonSaltBytes = 16;

struct ArgonCost {
  uint64_t memory_bytes = 64ull << 20;
  uint32_t passes = 2;
};

// What a stored object may ask of us at most: a forged slot must not make open()
// take all memory or for ever.
constexpr ArgonCost kArgonLimit{1ull << 30, 64};
constexpr ArgonCost kArgonMinimum{8192, 1};

// Argon2id (version 1.3, one lane) of a passphrase. kInvalidData when the cost is
// outside the limits, kNoSpace when the memory can't be had.
Result<Key> argon2id(const Secret& passphrase, ByteView salt, const ArgonCost& cost);

}  // namespace holdfast::crypto
