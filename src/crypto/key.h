#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/random.h"

namespace holdfast::crypto {

constexpr size_t kKeyBytes = 32;

// A symmetric key of 256 bits. Moves, does not copy by mistake, is wiped when it
// goes. Not thread-safe to change; safe to read from many threads.
class Key {
 public:
  Key() = default;
  // CHECKs that `bytes` has kKeyBytes.
  explicit Key(ByteView bytes);
  static Key generate(Random& random);
  Key(Key&& other) noexcept;
  Key& operator=(Key&& other) noexcept;
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key();

  Key clone() const { return Key(reveal()); }
  ByteView reveal() const { return bytes_; }
  MutableByteView mutable_bytes() { return bytes_; }

 private:
  std::array<uint8_t, kKeyBytes> bytes_{};
};

// Overwrites memory in a way that the compiler keeps.
void wipe(MutableByteView bytes);

}  // namespace holdfast::crypto
