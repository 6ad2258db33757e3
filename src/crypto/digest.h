#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "crypto/key.h"

namespace holdfast::crypto {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest sha256(ByteView bytes);

// SHA-256 of what comes in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(ByteView bytes);
  Sha256Digest finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// HMAC-SHA-256 of `prefix` followed by `bytes`. The key's two inner states are
// computed once. Thread-safe.
class HmacSha256 {
 public:
  explicit HmacSha256(const Key& key);
  ~HmacSha256();
  HmacSha256(HmacSha256&&) noexcept;
  HmacSha256& operator=(HmacSha256&&) noexcept;
  Sha256Digest of(ByteView prefix, ByteView bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::crypto
