#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast::postgres {

// CRC-32C (Castagnoli) in steps, by the processor's instruction where it has one:
// start with kCrc32cStart, chain crc32c_update(), end with crc32c_finish().
constexpr uint32_t kCrc32cStart = 0xFFFFFFFF;
uint32_t crc32c_update(uint32_t state, ByteView data);
inline uint32_t crc32c_finish(uint32_t state) { return ~state; }

// The state after A and B, from crc32c_update(state, A) and crc32c_update(0, B):
// so that a checksum can be proven over bytes that were never together.
uint32_t crc32c_join(uint32_t state_after_a, uint32_t zero_state_after_b, uint64_t b_bytes);

}  // namespace holdfast::postgres
