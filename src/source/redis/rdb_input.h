#pragma once

#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "source/redis/byte_source.h"

namespace holdfast::redis {

// The bytes of an RDB file as its primitives: lengths, strings, fixed numbers; counts
// them, sums them up for the trailer, and hands on what it passes while somebody wants
// it. Every call fails with kInvalidData that names the offset when the file ends early
// or says what can't be.
class RdbInput {
 public:
  explicit RdbInput(ByteSource& source);

  uint64_t offset() const { return base_ + at_; }
  // Of all bytes so far.
  uint64_t checksum();
  Result<bool> at_end();

  Result<uint8_t> u8();
  Result<uint64_t> little_endian(size_t bytes);
  Result<void> skip(uint64_t bytes);

  // A length, or the encoding of a special string.
  struct Length {
    bool encoded = false;
    uint64_t value = 0;
  };
  Result<Length> length_or_encoding();
  Result<uint64_t> length();
  // A string, decoded (numbers become their digits, LZF is unpacked).
  Result<std::string> string(uint64_t limit_bytes);
  Result<void> skip_string();
  // The same, and it must have this many bytes.
  Result<void> skip_raw_string(uint64_t wanted_bytes);

  // From now on every byte that is passed goes to `tap`, until end_tap().
  using Tap = std::function<Result<void>(ByteView)>;
  void begin_tap(Tap tap);
  Result<void> end_tap();

 private:
  Result<bool> refill();  // false at the end
  void sum_up();
  Result<void> flush_tap();
  Result<void> append(std::string& out, uint64_t bytes);
  Error ends_early() const;

  ByteSource& source_;
  Bytes buffer_;
  size_t at_ = 0, end_ = 0;
  size_t summed_ = 0, tapped_ = 0;  // positions in buffer_
  uint64_t base_ = 0;               // offset of buffer_[0]
  uint64_t checksum_ = 0;
  Tap tap_;
};

}  // namespace holdfast::redis
