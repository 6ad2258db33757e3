#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast::postgres {

// CRC-32C (Castagnoli), as PostgreSQL uses it for WAL records and pg_control:
// crc32c(data) is the finished value; crc32c_update() chains unfinished ones
// between kCrc32cStart and the final complement.
constexpr uint32_t kCrc32cStart = 0xFFFFFFFF;
uint32_t crc32c_update(uint32_t state, ByteView data);
inline uint32_t crc32c_finish(uint32_t state) { return ~state; }
inline uint32_t crc32c(ByteView data) { return crc32c_finish(crc32c_update(kCrc32cStart, data)); }

}  // namespace holdfast::postgres
