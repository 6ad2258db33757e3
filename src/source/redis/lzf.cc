#include "source/redis/lzf.h"

namespace holdfast::redis {
namespace {

constexpr unsigned kLiterals = 32;   // below: that many + 1 bytes follow as they are
constexpr unsigned kLongLength = 7;  // a length that one more byte adds to
constexpr size_t kShortest = 2;      // what a reference's length counts from

Error damaged() { return make_error(ErrorCode::kInvalidData, "its packed bytes (LZF) are damaged"); }

}  // namespace

Result<std::string> unpack_lzf(std::string_view packed, size_t unpacked_bytes) {
  std::string out;
  size_t at = 0;
  while (at < packed.size()) {
    const auto control = static_cast<uint8_t>(packed[at++]);
    if (control < kLiterals) {
      const size_t length = control + 1u;
      if (length > packed.size() - at || length > unpacked_bytes - out.size()) return damaged();
      out.append(packed.substr(at, length));
      at += length;
      continue;
    }
    size_t length = control >> 5;
    if (length == kLongLength) {
      if (at == packed.size()) return damaged();
      length += static_cast<uint8_t>(packed[at++]);
    }
    length += kShortest;
    if (at == packed.size()) return damaged();
    const size_t distance = ((control & 0x1fu) << 8 | static_cast<uint8_t>(packed[at++])) + 1u;
    if (distance > out.size() || length > unpacked_bytes - out.size()) return damaged();
    // Byte by byte: a reference may reach into what it is just writing.
    for (size_t i = 0; i < length; i++) out.push_back(out[out.size() - distance]);
  }
  if (out.size() != unpacked_bytes) return damaged();
  return out;
}

}  // namespace holdfast::redis
