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

// States are polynomials over GF(2), the highest bit being that of x^0.
constexpr uint32_t kOne = 1u << 31, kToTheEighth = 1u << 23;

uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ ((b & 1) ? kPolynomialReflected : 0);
  }
  return product;
}

}  // namespace

// A state that passes over n bytes of zeros is multiplied by x^8n, and what B adds is
// added to that.
uint32_t crc32c_join(uint32_t state_after_a, uint32_t zero_state_after_b, uint64_t b_bytes) {
  uint32_t shift = kOne;
  for (uint32_t square = kToTheEighth; b_bytes != 0; b_bytes >>= 1, square = multiply(square, square))
    if (b_bytes & 1) shift = multiply(shift, square);
  return multiply(shift, state_after_a) ^ zero_state_after_b;
}

uint32_t crc32c_update(uint32_t state, ByteView data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return update_by_instruction(state, data);
#endif
  return update_by_table(state, data);
}

}  // namespace holdfast::postgres
