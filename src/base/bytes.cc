#include "base/bytes.h"

#include <algorithm>

namespace holdfast {

void Bytes::reserve(size_t capacity) {
  if (capacity <= capacity_) return;
  // Doubling keeps appending linear; without it each append would copy everything.
  const size_t wanted = std::max({capacity, capacity_ * 2, size_t{32}});
  std::unique_ptr<uint8_t[]> larger(new uint8_t[wanted]);
  if (size_) std::memcpy(larger.get(), data_.get(), size_);
  data_ = std::move(larger);
  capacity_ = wanted;
}

void Bytes::append(ByteView more) {
  if (more.empty()) return;
  const size_t old_size = size_;
  if (more.size() > capacity_ - old_size && data_ && more.data() >= data_.get() &&
      more.data() < data_.get() + capacity_) {
    const Bytes copy = copy_of(more);  // a view of ourselves would dangle once we have grown
    return append(copy.view());
  }
  resize(old_size + more.size());
  std::memmove(data_.get() + old_size, more.data(), more.size());
}

bool all_zero(ByteView bytes) {
  // Comparing the run with itself, shifted by one, lets memcmp do the work.
  if (bytes.empty()) return true;
  return bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex(bytes.size() * 2, '0');
  for (size_t i = 0; i < bytes.size(); i++) {
    hex[2 * i] = kDigits[bytes[i] >> 4];
    hex[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return hex;
}

namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Bytes from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return {};
  Bytes bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); i++) {
    const int high = digit_value(hex[2 * i]), low = digit_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return {};
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return bytes;
}

}  // namespace holdfast
