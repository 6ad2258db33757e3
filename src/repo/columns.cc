#include "repo/columns.h"

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace holdfast::repo {

namespace {

constexpr size_t kWidth = 16;
constexpr size_t kRows = kColumnsPageBytes / kWidth;

#if defined(__SSE2__)

// Loops over rows are unrolled, or -O2 would keep the rows in memory: 2.4 GB/s
// instead of 15.
//
// Transposes 16 rows of 16 bytes: four rounds, each of which interleaves row i with
// row i + 8.
void transpose(__m128i (&rows)[16]) {
#pragma GCC unroll 4
  for (int round = 0; round < 4; round++) {
    __m128i next[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) rows[i] = next[i];
  }
}

__m128i load(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store(uint8_t* to, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value); }

void page_to_columns(const uint8_t* page, uint8_t* out) {
  __m128i before = _mm_setzero_si128();
  for (size_t first = 0; first < kRows; first += 16) {
    __m128i rows[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
      const __m128i row = load(page + (first + i) * kWidth);
      rows[i] = _mm_sub_epi8(row, before);
      before = row;
    }
    transpose(rows);
#pragma GCC unroll 16
    for (size_t column = 0; column < kWidth; column++) store(out + column * kRows + first, rows[column]);
  }
}

void page_from_columns(const uint8_t* columns, uint8_t* page) {
  __m128i before = _mm_setzero_si128();
  for (size_t first = 0; first < kRows; first += 16) {
    __m128i rows[16];
#pragma GCC unroll 16
    for (size_t column = 0; column < kWidth; column++) rows[column] = load(columns + column * kRows + first);
    transpose(rows);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
      before = _mm_add_epi8(before, rows[i]);
      store(page + (first + i) * kWidth, before);
    }
  }
}

#else

void page_to_columns(const uint8_t* page, uint8_t* out) {
  for (size_t row = 0; row < kRows; row++) {
    for (size_t column = 0; column < kWidth; column++) {
      const uint8_t before = row == 0 ? 0 : page[(row - 1) * kWidth + column];
      out[column * kRows + row] = static_cast<uint8_t>(page[row * kWidth + column] - before);
    }
  }
}

void page_from_columns(const uint8_t* columns, uint8_t* page) {
  for (size_t row = 0; row < kRows; row++) {
    for (size_t column = 0; column < kWidth; column++) {
      const uint8_t before = row == 0 ? 0 : page[(row - 1) * kWidth + column];
      page[row * kWidth + column] = static_cast<uint8_t>(columns[column * kRows + row] + before);
    }
  }
}

#endif

void for_each_page(ByteView in, MutableByteView out, void (*convert)(const uint8_t*, uint8_t*)) {
  CHECK(in.size() == out.size());
  size_t at = 0;
  for (; at + kColumnsPageBytes <= in.size(); at += kColumnsPageBytes) convert(in.data() + at, out.data() + at);
  if (at < in.size()) std::memcpy(out.data() + at, in.data() + at, in.size() - at);
}

}  // namespace

void to_columns(ByteView plain, MutableByteView out) { for_each_page(plain, out, page_to_columns); }
void from_columns(ByteView columns, MutableByteView out) { for_each_page(columns, out, page_from_columns); }

}  // namespace holdfast::repo
