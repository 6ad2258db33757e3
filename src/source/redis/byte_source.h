#pragma once

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::redis {

// Bytes that come one after the other, from wherever: a stored file, a local one.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out` from the front and says how much; 0 only at the end. `out` isn't empty.
  virtual Result<size_t> read(MutableByteView out) = 0;
};

// What lies in memory; the view must outlive it.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : left_(bytes) {}
  Result<size_t> read(MutableByteView out) override {
    const size_t length = std::min(out.size(), left_.size());
    if (length > 0) std::memcpy(out.data(), left_.data(), length);
    left_ = left_.subspan(length);
    return length;
  }

 private:
  ByteView left_;
};

}  // namespace holdfast::redis
