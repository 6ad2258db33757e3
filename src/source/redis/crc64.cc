#include "source/redis/crc64.h"

#include <array>
#include <cstring>

namespace holdfast::redis {

namespace {

constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;  // Jones', bits reversed

// tables[k][b]: the checksum of byte b with k zero bytes behind it.
using Tables = std::array<std::array<uint64_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint64_t byte = 0; byte < 256; byte++) {
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; k++) {
    for (size_t byte = 0; byte < 256; byte++) {
      const uint64_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

const Tables kTables = make_tables();

}  // namespace

uint64_t crc64(uint64_t crc, ByteView bytes) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  // Eight bytes a turn: their order in a word is that of a little-endian machine.
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc ^= word;
    uint64_t next = 0;
    for (size_t k = 0; k < 8; k++) next ^= kTables[7 - k][(crc >> (8 * k)) & 0xff];
    crc = next;
  }
  for (; left > 0; left--, at++) crc = kTables[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
  return crc;
}

}  // namespace holdfast::redis
