#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// Writes the repository's binary encoding (docs/format.md, "Encoding"):
// little-endian fixed integers, LEB128 varints, length-prefixed strings.
class ByteWriter {
 public:
  void u8(uint8_t value) { fixed(value); }
  void u16(uint16_t value) { fixed(value); }
  void u32(uint32_t value) { fixed(value); }
  void u64(uint64_t value) { fixed(value); }
  void varint(uint64_t value);
  void svarint(int64_t value) { varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63)); }
  void raw(ByteView bytes) { out_.append(bytes); }
  void string(std::string_view text) {
    varint(text.size());
    out_.append(text);
  }
  void bytes(ByteView content) {
    varint(content.size());
    out_.append(content);
  }

  size_t size() const { return out_.size(); }
  ByteView view() const { return out_.view(); }
  Bytes take() { return std::move(out_); }
  void clear() { out_.clear(); }

 private:
  template <typename T>
  void fixed(T value) {
    uint8_t raw_bytes[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); i++) raw_bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    out_.append(ByteView(raw_bytes, sizeof(T)));
  }
  Bytes out_;
};

// Reads it back. Never reads past the end: each call fails with kInvalidData
// that says what was wanted and at which offset. The view must outlive the
// reader and every view that it returns.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  Result<uint8_t> u8();
  Result<uint16_t> u16();
  Result<uint32_t> u32();
  Result<uint64_t> u64();
  // Refuses non-canonical (over-long) and over-large encodings.
  Result<uint64_t> varint();
  Result<int64_t> svarint();
  // A varint no larger than `limit`: for counts and lengths of what follows.
  Result<uint64_t> varint_at_most(uint64_t limit, std::string_view what);
  Result<ByteView> raw(size_t size);
  Result<std::string_view> string(size_t limit = SIZE_MAX);
  Result<ByteView> bytes(size_t limit = SIZE_MAX);
  // Fails unless everything was read.
  Result<void> end();

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

 private:
  ByteView bytes_;
  size_t offset_ = 0;
};

}  // namespace holdfast
