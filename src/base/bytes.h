#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace holdfast {

using ByteView = std::span<const uint8_t>;
using MutableByteView = std::span<uint8_t>;

inline ByteView as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// An owned run of bytes. Unlike std::vector it does not clear what it allocates:
// buffers here are as large as packs and are always overwritten. Being a range, it
// converts to a ByteView by itself.
class Bytes {
 public:
  Bytes() = default;
  // `size` bytes of unspecified content.
  explicit Bytes(size_t size) : data_(size ? new uint8_t[size] : nullptr), size_(size), capacity_(size) {}
  static Bytes copy_of(ByteView view) {
    Bytes result(view.size());
    if (!view.empty()) std::memcpy(result.data(), view.data(), view.size());
    return result;
  }
  static Bytes zeros(size_t size) {
    Bytes result(size);
    if (size) std::memset(result.data(), 0, size);
    return result;
  }

  Bytes(Bytes&& other) noexcept
      : data_(std::move(other.data_)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Bytes& operator=(Bytes&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  Bytes(const Bytes&) = delete;  // copy_of() says that it copies
  Bytes& operator=(const Bytes&) = delete;

  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  uint8_t& operator[](size_t index) { return data_[index]; }
  uint8_t operator[](size_t index) const { return data_[index]; }
  uint8_t* begin() { return data(); }
  uint8_t* end() { return data() + size_; }
  const uint8_t* begin() const { return data(); }
  const uint8_t* end() const { return data() + size_; }

  ByteView view() const { return {data(), size_}; }
  ByteView view(size_t offset, size_t length) const {
    CHECK(offset <= size_ && length <= size_ - offset);
    return {data() + offset, length};
  }
  MutableByteView mutable_view() { return {data(), size_}; }

  // Room for at least `capacity` bytes; keeps the content.
  void reserve(size_t capacity);
  // New bytes are unspecified.
  void resize(size_t size) {
    if (size > capacity_) reserve(size);
    size_ = size;
  }
  void clear() { size_ = 0; }
  void append(ByteView more);
  void append(std::string_view more) { append(as_bytes(more)); }

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}
bool all_zero(ByteView bytes);

std::string to_hex(ByteView bytes);
// Empty when `hex` is not an even number of hexadecimal digits.
Bytes from_hex(std::string_view hex);

}  // namespace holdfast
