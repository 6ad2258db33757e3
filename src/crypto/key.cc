#include "crypto/key.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast::crypto {

Key::Key(ByteView bytes) {
  CHECK(bytes.size() == kKeyBytes);
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

Key Key::generate(Random& random) {
  Key key;
  random.fill(key.bytes_);
  return key;
}

Key::Key(Key&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }

Key& Key::operator=(Key&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    wipe(other.bytes_);
  }
  return *this;
}

Key::~Key() { wipe(bytes_); }

void wipe(MutableByteView bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace holdfast::crypto
