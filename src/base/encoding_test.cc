#include "base/encoding.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast {
namespace {

Bytes varint_bytes(uint64_t value) {
  ByteWriter writer;
  writer.varint(value);
  return writer.take();
}

Bytes sample() {
  ByteWriter writer;
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0f0e0d0c0b0a0908);
  writer.varint(300);
  writer.svarint(-3);
  writer.string("name");
  writer.bytes(as_bytes("content"));
  writer.raw(as_bytes("xy"));
  return writer.take();
}

// Reads what sample() wrote; the first failure ends it.
Result<void> read_sample(ByteView bytes) {
  ByteReader reader(bytes);
  EXPECT_EQ(TRY(reader.u8()), 0x01);
  EXPECT_EQ(TRY(reader.u16()), 0x0302);
  EXPECT_EQ(TRY(reader.u32()), 0x07060504u);
  EXPECT_EQ(TRY(reader.u64()), 0x0f0e0d0c0b0a0908u);
  EXPECT_EQ(TRY(reader.varint()), 300u);
  EXPECT_EQ(TRY(reader.svarint()), -3);
  EXPECT_EQ(TRY(reader.string()), "name");
  EXPECT_EQ(as_text(TRY(reader.bytes())), "content");
  EXPECT_EQ(as_text(TRY(reader.raw(2))), "xy");
  return reader.end();
}

TEST(Encoding, BytesAreAsTheFormatSays) {
  EXPECT_EQ(to_hex(sample()),
            "01"
            "0203"
            "04050607"
            "08090a0b0c0d0e0f"
            "ac02"
            "05"
            "046e616d65"
            "07636f6e74656e74"
            "7879");
}

TEST(Encoding, ReadsBackAndFailsWhenCutAnywhere) {
  const Bytes whole = sample();
  EXPECT_TRUE(read_sample(whole).ok());
  for (size_t size = 0; size < whole.size(); size++) {
    // A copy of the exact size, so that a sanitizer sees any read past the end.
    const auto cut = read_sample(Bytes::copy_of(whole.view(0, size)));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ(cut.error().code(), ErrorCode::kInvalidData) << size;
  }
}

TEST(Encoding, FailuresSayWhatWasWantedAndWhere) {
  const Bytes bytes = from_hex("010203");
  ByteReader reader(bytes);
  EXPECT_TRUE(reader.u8().ok());
  EXPECT_EQ(reader.u32().error().text(), "wanted 4 bytes at offset 1, but 2 are left");
  EXPECT_EQ(reader.raw(9).error().text(), "wanted 9 bytes at offset 1, but 2 are left");
  EXPECT_EQ(reader.end().error().text(), "2 bytes follow the end at offset 1");
  EXPECT_EQ(reader.offset(), 1u);
  EXPECT_EQ(reader.varint_at_most(1, "the count").error().text(), "the count at offset 1 is 2, above the limit of 1");
  EXPECT_EQ(reader.offset(), 1u);
}

TEST(Encoding, VarintsAtTheEdges) {
  for (int bit = 0; bit < 64; bit++) {
    for (const uint64_t value : {(1ULL << bit) - 1, 1ULL << bit, (1ULL << bit) + 1, ~0ULL << bit}) {
      const Bytes bytes = varint_bytes(value);
      ByteReader reader(bytes);
      EXPECT_EQ(reader.varint().value(), value);
      EXPECT_TRUE(reader.end().ok());
    }
  }
  for (const int64_t value : {INT64_MIN, INT64_MIN + 1, int64_t{-1}, int64_t{0}, int64_t{1}, INT64_MAX}) {
    ByteWriter writer;
    writer.svarint(value);
    EXPECT_EQ(ByteReader(writer.view()).svarint().value(), value);
  }
}

TEST(Encoding, RefusesVarintsThatAreNotCanonicalOrTooLarge) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "wanted a varint at offset 0, but it is cut off"},
      {"80", "wanted a varint at offset 0, but it is cut off"},
      {"8000", "the varint at offset 0 is longer than need be"},
      {"ff00", "the varint at offset 0 is longer than need be"},
      {"ffffffffffffffffff02", "the varint at offset 0 does not fit in 64 bits"},
      {"ffffffffffffffffff81", "the varint at offset 0 does not fit in 64 bits"},
      {"ffffffffffffffffffff01", "the varint at offset 0 does not fit in 64 bits"},
      {"80808080808080808000", "the varint at offset 0 is longer than need be"},
  };
  for (const auto& [hex, message] : cases) {
    const Bytes bytes = from_hex(hex);
    ByteReader reader(bytes);
    const auto value = reader.varint();
    ASSERT_FALSE(value.ok()) << hex;
    EXPECT_EQ(value.error().text(), message) << hex;
    EXPECT_EQ(reader.offset(), 0u) << hex;
  }
}

TEST(Encoding, AnyBytesEitherFailOrEncodeToThemselves) {
  const uint64_t seed = 7;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const auto random = seeded_random(seed);
  for (int round = 0; round < 20000; round++) {
    Bytes bytes(random->below(12));
    random->fill(bytes.mutable_view());
    ByteReader reader(bytes);
    const auto value = reader.varint();
    if (value.ok()) {
      EXPECT_TRUE(equal(varint_bytes(*value), bytes.view(0, reader.offset())));
    }
  }
}

TEST(Encoding, LengthsAreCheckedAgainstTheLimitAndTheEnd) {
  ByteWriter writer;
  writer.varint(UINT64_MAX);
  writer.raw(as_bytes("abc"));
  ByteReader reader(writer.view());
  EXPECT_FALSE(reader.bytes().ok());
  EXPECT_EQ(reader.string(100).error().text(), "a length at offset 0 is 18446744073709551615, above the limit of 100");
  EXPECT_EQ(reader.offset(), 0u);
}

}  // namespace
}  // namespace holdfast
