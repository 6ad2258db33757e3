#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace holdfast::crypto {

// AES-256-GCM. Contexts are kept per thread, so that a call allocates nothing.
// A (key, nonce) pair must never seal two messages: docs/format.md, "Nonces",
// says for each use why it does not.

constexpr size_t kTagBytes = 16;
constexpr size_t kNonceBytes = 12;

using Nonce = std::array<uint8_t, kNonceBytes>;

// The 32-bit counter, little-endian, then eight zero bytes.
Nonce counter_nonce(uint32_t counter);

// Associated data may come in two pieces, which are taken as one.
struct AssociatedData {
  ByteView first = {};
  ByteView second = {};
};

// Writes plain.size() + kTagBytes bytes at `out` (ciphertext, then tag), which
// may be `plain` itself but must not overlap it otherwise. CHECKs the size of `out`.
void seal(const Key& key, const Nonce& nonce, const AssociatedData& aad, ByteView plain, MutableByteView out);

// Opens what seal() made: sealed.size() - kTagBytes bytes at `out` (may be
// `sealed` itself). False, and `out` wiped, when the tag is wrong or `sealed` is
// too short; the caller knows the object's name and makes the error.
[[nodiscard]] bool open(const Key& key, const Nonce& nonce, const AssociatedData& aad, ByteView sealed,
                        MutableByteView out);

}  // namespace holdfast::crypto
