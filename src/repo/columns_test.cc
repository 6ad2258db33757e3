#include "repo/columns.h"

#include <gtest/gtest.h>

#include <random>

#include "repo/block_codec.h"

namespace holdfast::repo {
namespace {

Bytes random_bytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

TEST(Columns, AreTheBytesOfTheFormatAndGoBack) {
  for (const size_t size :
       {size_t{0}, size_t{1}, kColumnsPageBytes - 1, kColumnsPageBytes, 3 * kColumnsPageBytes + 100}) {
    const Bytes plain = random_bytes(size, 7);
    Bytes columns(size), back(size);
    to_columns(plain, columns.mutable_view());
    for (size_t i = 0; i < size / kColumnsPageBytes * kColumnsPageBytes; i++) {
      const size_t page = i / kColumnsPageBytes * kColumnsPageBytes, row = i % 512,
                   column = i % kColumnsPageBytes / 512;
      const uint8_t before = row == 0 ? 0 : plain[page + (row - 1) * 16 + column];
      ASSERT_EQ(columns[i], static_cast<uint8_t>(plain[page + row * 16 + column] - before)) << i;
    }
    from_columns(columns, back.mutable_view());
    EXPECT_TRUE(equal(plain, back)) << size;
  }
}

// Records of 16 bytes with two counters, as an index has them.
Bytes records(size_t size) {
  Bytes bytes = Bytes::zeros(size);
  for (uint32_t i = 0; i < size / 16; i++) {
    const uint32_t values[] = {i / 61, i % 61, i * 3 + 1'000'000, 0};
    std::memcpy(bytes.data() + i * 16, values, 16);
  }
  return bytes;
}

TEST(Columns, AreUsedWhereTheyHelpAndExpandToTheSame) {
  for (const Bytes& plain : {records(256 << 10), records((512 << 10) + 77), random_bytes(128 << 10, 3)}) {
    Bytes out(compress_bound(plain.size()));
    const auto size = compress(plain, 3, out.mutable_view());
    if (!size) continue;
    EXPECT_LT(*size * 40, plain.size());
    Bytes back(plain.size());
    auto expanded = expand(out.view(0, *size), back.mutable_view());
    ASSERT_TRUE(expanded.ok()) << expanded.error().text();
    EXPECT_TRUE(equal(plain, back));
    for (size_t length = 0; length < *size; length += *size / 50 + 1) {
      EXPECT_FALSE(expand(out.view(0, length), back.mutable_view()).ok()) << length;
    }
  }
}

TEST(Columns, AreNotUsedForText) {
  std::string text;
  std::mt19937 random(5);
  while (text.size() < 300'000)
    text += "the quick brown fox " + std::to_string(random() % 100'000) + " jumps over the lazy dog\n";
  Bytes out(compress_bound(text.size()));
  const auto size = compress(as_bytes(text), 3, out.mutable_view());
  ASSERT_TRUE(size);
  EXPECT_EQ(out[0], 0x28) << "a plain zstd frame";
}

}  // namespace
}  // namespace holdfast::repo
