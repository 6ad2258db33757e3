#include "source/redis/rdb_input.h"

#include <algorithm>

#include "source/redis/crc64.h"
#include "source/redis/lzf.h"

namespace holdfast::redis {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
// What Redis itself takes for a string (proto-max-bulk-len can raise it, not above this).
constexpr uint64_t kLongestString = uint64_t{1} << 40;

constexpr uint8_t kLength32 = 0x80;
constexpr uint8_t kLength64 = 0x81;
enum Encoding : uint64_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };

}  // namespace

RdbInput::RdbInput(ByteSource& source) : source_(source), buffer_(kBufferBytes) {}

Error RdbInput::ends_early() const {
  return make_error(ErrorCode::kInvalidData, "byte {}: the file ends in the middle of a record", offset());
}

void RdbInput::sum_up() {
  checksum_ = crc64(checksum_, buffer_.view(summed_, at_ - summed_));
  summed_ = at_;
}

uint64_t RdbInput::checksum() {
  sum_up();
  return checksum_;
}

Result<void> RdbInput::flush_tap() {
  if (tap_ && at_ > tapped_) TRY(tap_(buffer_.view(tapped_, at_ - tapped_)));
  tapped_ = at_;
  return {};
}

void RdbInput::begin_tap(Tap tap) {
  tap_ = std::move(tap);
  tapped_ = at_;
}

Result<void> RdbInput::end_tap() {
  TRY(flush_tap());
  tap_ = nullptr;
  return {};
}

Result<bool> RdbInput::refill() {
  CHECK(at_ == end_);
  TRY(flush_tap());
  sum_up();
  base_ += at_;
  at_ = end_ = summed_ = tapped_ = 0;
  end_ = TRY(source_.read(buffer_.mutable_view()));
  return end_ > 0;
}

Result<bool> RdbInput::at_end() { return at_ == end_ && !TRY(refill()); }

Result<uint8_t> RdbInput::u8() {
  if (at_ == end_ && !TRY(refill())) return ends_early();
  return buffer_[at_++];
}

Result<uint64_t> RdbInput::little_endian(size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value |= static_cast<uint64_t>(TRY(u8())) << (8 * i);
  return value;
}

Result<void> RdbInput::skip(uint64_t bytes) {
  while (bytes > 0) {
    if (at_ == end_ && !TRY(refill())) return ends_early();
    const size_t step = std::min<uint64_t>(bytes, end_ - at_);
    at_ += step;
    bytes -= step;
  }
  return {};
}

// In pieces, so that a length that lies costs no more memory than the file has bytes.
Result<void> RdbInput::append(std::string& out, uint64_t bytes) {
  while (bytes > 0) {
    if (at_ == end_ && !TRY(refill())) return ends_early();
    const size_t step = std::min<uint64_t>(bytes, end_ - at_);
    out.append(as_text(buffer_.view(at_, step)));
    at_ += step;
    bytes -= step;
  }
  return {};
}

Result<RdbInput::Length> RdbInput::length_or_encoding() {
  const uint64_t begin = offset();
  const uint8_t first = TRY(u8());
  if (first >> 6 == 0) return Length{false, first & 0x3fu};
  if (first >> 6 == 1) return Length{false, (first & 0x3fu) << 8 | TRY(u8())};
  if (first >> 6 == 3) return Length{true, first & 0x3fu};
  if (first != kLength32 && first != kLength64)
    return make_error(ErrorCode::kInvalidData, "byte {}: 0x{:02x} begins no length", begin, first);
  Length length;
  for (int i = 0; i < (first == kLength32 ? 4 : 8); i++) length.value = length.value << 8 | TRY(u8());
  return length;
}

Result<uint64_t> RdbInput::length() {
  const uint64_t begin = offset();
  const Length length = TRY(length_or_encoding());
  if (length.encoded)
    return make_error(ErrorCode::kInvalidData, "byte {}: a string stands where a length should", begin);
  return length.value;
}

Result<std::string> RdbInput::string(uint64_t limit_bytes) {
  const uint64_t begin = offset();
  const auto too_long = [begin](uint64_t bytes) {
    return make_error(ErrorCode::kInvalidData, "byte {}: a string of {} bytes is too long here", begin, bytes);
  };
  const Length length = TRY(length_or_encoding());
  std::string out;
  if (!length.encoded) {
    if (length.value > limit_bytes) return too_long(length.value);
    TRY(append(out, length.value));
    return out;
  }
  switch (length.value) {
    case kInt8: return std::to_string(static_cast<int8_t>(TRY(u8())));
    case kInt16: return std::to_string(static_cast<int16_t>(TRY(little_endian(2))));
    case kInt32: return std::to_string(static_cast<int32_t>(TRY(little_endian(4))));
    case kLzf: {
      const uint64_t packed_bytes = TRY(this->length());
      const uint64_t bytes = TRY(this->length());
      if (std::max(bytes, packed_bytes) > limit_bytes) return too_long(std::max(bytes, packed_bytes));
      TRY(append(out, packed_bytes));
      return unpack_lzf(out, bytes).context(fmt::format("byte {}", begin));
    }
    default: return make_error(ErrorCode::kInvalidData, "byte {}: {} is no encoding of a string", begin, length.value);
  }
}

Result<void> RdbInput::skip_string() {
  const uint64_t begin = offset();
  const Length length = TRY(length_or_encoding());
  uint64_t bytes = length.value;
  if (length.encoded) {
    switch (length.value) {
      case kInt8: return skip(1);
      case kInt16: return skip(2);
      case kInt32: return skip(4);
      case kLzf:
        bytes = TRY(this->length());
        TRY(this->length());
        break;
      default:
        return make_error(ErrorCode::kInvalidData, "byte {}: {} is no encoding of a string", begin, length.value);
    }
  }
  if (bytes > kLongestString)
    return make_error(ErrorCode::kInvalidData, "byte {}: no string has {} bytes", begin, bytes);
  return skip(bytes);
}

Result<void> RdbInput::skip_raw_string(uint64_t wanted_bytes) {
  const uint64_t begin = offset();
  const uint64_t bytes = TRY(length());
  if (bytes != wanted_bytes)
    return make_error(ErrorCode::kInvalidData, "byte {}: a string of {} bytes where one of {} should be", begin, bytes,
                      wanted_bytes);
  return skip(bytes);
}

}  // namespace holdfast::redis
