#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "source/redis/crc64.h"

namespace holdfast::redis {

// What DUMP gives and RESTORE takes: the type byte and serialisation of a value as they
// stand in an RDB file, then the RDB's version (u16) and the CRC64 of all before it
// (u64), little-endian (createDumpPayload() of Redis's cluster.c).
inline constexpr uint64_t kDumpFooterBytes = 10;

class DumpFooter {
 public:
  explicit DumpFooter(int rdb_version) : version_(rdb_version) {}
  void add(ByteView bytes) { crc_ = crc64(crc_, bytes); }
  // Of what was added.
  Bytes finish() {
    Bytes footer(kDumpFooterBytes);
    footer[0] = static_cast<uint8_t>(version_);
    footer[1] = static_cast<uint8_t>(version_ >> 8);
    add(footer.view(0, 2));
    for (size_t i = 0; i < 8; i++) footer[2 + i] = static_cast<uint8_t>(crc_ >> (8 * i));
    return footer;
  }

 private:
  int version_;
  uint64_t crc_ = 0;
};

}  // namespace holdfast::redis
