#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast::redis {

// The checksum of RDB files: CRC-64 with Jones' polynomial, reflected, no inversion
// (Redis's crc64.c; crc64 of "123456789" is e9c6d914c4b8d9ca). Begin with 0.
uint64_t crc64(uint64_t crc, ByteView bytes);

}  // namespace holdfast::redis
