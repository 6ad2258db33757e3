#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

// Reads the parts of a record one after another; any reading past the end makes
// it fail for good.
class WalCursor {
 public:
  explicit WalCursor(ByteView bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  size_t remaining() const { return ok_ ? bytes_.size() : 0; }
  template <typename T>
  T take() {
    if (!has(sizeof(T))) return T{};
    const T value = load_little_endian<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  void skip(uint64_t count) {
    if (has(count)) bytes_ = bytes_.subspan(count);
  }

 private:
  bool has(uint64_t count) {
    if (ok_ && count <= bytes_.size()) return true;
    ok_ = false;
    return false;
  }
  ByteView bytes_;
  bool ok_ = true;
};

// The block of a relation's fork that a record refers to.
struct WalBlockReference {
  uint32_t tablespace = 0, database = 0, relation = 0;  // database 0: shared
  uint8_t fork = 0;                                     // 0: the main fork
  uint32_t block = 0;
};

// A record, taken apart.
struct WalRecordParts {
  static constexpr size_t kMostReferences = 33;
  std::array<WalBlockReference, kMostReferences> references;
  size_t reference_count = 0;
  uint64_t main_bytes = 0;  // the last of the record: what its resource manager adds
};

// All that stands before the bytes of blocks lies in this many bytes of a record.
constexpr size_t kWalRecordPrefixBytes = 1024;

// Takes a record apart, of which `prefix` is the beginning (at least
// min(total_bytes, kWalRecordPrefixBytes)). Empty when it makes no sense.
std::optional<WalRecordParts> take_apart(ByteView prefix, uint64_t total_bytes, int major);

}  // namespace holdfast::postgres
