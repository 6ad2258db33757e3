#include "base/encoding.h"

namespace holdfast {

namespace {

constexpr size_t kLongestVarint = 10;

template <typename T>
Result<T> read_fixed(ByteView bytes, size_t& offset) {
  if (bytes.size() - offset < sizeof(T)) {
    return make_error(ErrorCode::kInvalidData, "wanted {} bytes at offset {}, but {} are left", sizeof(T), offset,
                      bytes.size() - offset);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); i++) value |= static_cast<uint64_t>(bytes[offset + i]) << (8 * i);
  offset += sizeof(T);
  return static_cast<T>(value);
}

}  // namespace

void ByteWriter::varint(uint64_t value) {
  uint8_t encoded[kLongestVarint];
  size_t size = 0;
  while (value >= 0x80) {
    encoded[size++] = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  encoded[size++] = static_cast<uint8_t>(value);
  out_.append(ByteView(encoded, size));
}

Result<uint8_t> ByteReader::u8() { return read_fixed<uint8_t>(bytes_, offset_); }
Result<uint16_t> ByteReader::u16() { return read_fixed<uint16_t>(bytes_, offset_); }
Result<uint32_t> ByteReader::u32() { return read_fixed<uint32_t>(bytes_, offset_); }
Result<uint64_t> ByteReader::u64() { return read_fixed<uint64_t>(bytes_, offset_); }

Result<uint64_t> ByteReader::varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kLongestVarint; i++) {
    if (i >= remaining()) {
      return make_error(ErrorCode::kInvalidData, "wanted a varint at offset {}, but it is cut off", offset_);
    }
    const uint8_t byte = bytes_[offset_ + i];
    if (i == kLongestVarint - 1 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte & 0x80) continue;
    if (byte == 0 && i > 0) {
      return make_error(ErrorCode::kInvalidData, "the varint at offset {} is longer than need be", offset_);
    }
    offset_ += i + 1;
    return value;
  }
  return make_error(ErrorCode::kInvalidData, "the varint at offset {} does not fit in 64 bits", offset_);
}

Result<int64_t> ByteReader::svarint() {
  const uint64_t raw_value = TRY(varint());
  return static_cast<int64_t>(raw_value >> 1) ^ -static_cast<int64_t>(raw_value & 1);
}

Result<uint64_t> ByteReader::varint_at_most(uint64_t limit, std::string_view what) {
  const size_t start = offset_;
  const uint64_t value = TRY(varint());
  if (value > limit) {
    offset_ = start;
    return make_error(ErrorCode::kInvalidData, "{} at offset {} is {}, above the limit of {}", what, start, value,
                      limit);
  }
  return value;
}

Result<ByteView> ByteReader::raw(size_t size) {
  if (size > remaining()) {
    return make_error(ErrorCode::kInvalidData, "wanted {} bytes at offset {}, but {} are left", size, offset_,
                      remaining());
  }
  const ByteView view = bytes_.subspan(offset_, size);
  offset_ += size;
  return view;
}

Result<std::string_view> ByteReader::string(size_t limit) { return as_text(TRY(bytes(limit))); }

Result<ByteView> ByteReader::bytes(size_t limit) {
  const size_t start = offset_;
  const uint64_t size = TRY(varint_at_most(limit, "a length"));
  auto view = raw(size);
  if (!view.ok()) offset_ = start;
  return view;
}

Result<void> ByteReader::end() {
  if (remaining() == 0) return {};
  return make_error(ErrorCode::kInvalidData, "{} bytes follow the end at offset {}", remaining(), offset_);
}

}  // namespace holdfast
