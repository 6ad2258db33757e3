#include "source/postgres/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace holdfast::postgres {

namespace {

constexpr uint32_t kPolynomialReflected = 0x82F63B78;

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) ? kPolynomialReflected : 0);
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = make_table();

uint32_t update_by_table(uint32_t state, ByteView data) {
  for (const uint8_t byte : data) state = kTable[(state ^ byte) & 0xFF] ^ (state >> 8);
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t update_by_instruction(uint32_t state, ByteView data) {
  const uint8_t* at = data.data();
  size_t left = data.size();
  uint64_t wide = state;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<uint32_t>(wide);
  for (; left > 0; at++, left--) narrow = _mm_crc32_u8(narrow, *at);
  return narrow;
}
#endif

}  // namespace

uint32_t crc32c_update(uint32_t state, ByteView data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return update_by_instruction(state, data);
#endif
  return update_by_table(state, data);
}

}  // namespace holdfast::postgres
