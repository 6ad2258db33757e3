#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast::postgres {

// CRC-32C (Castagnoli) in steps, by the processor's instruction where it has one:
// start with kCrc32cStart, chain crc32c_update(), end with crc32c_finish().
constexpr uint32_t kCrc32cStart = 0xFFFFFFFF;
uint32_t crc32c_update(uint32_t state, ByteView data);
inline uint32_t crc32c_finish(uint32_t state) { return ~state; }

}  // namespace holdfast::postgres
