#include "source/postgres/block_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "source/postgres/crc32c.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/wal_summary.h"

namespace holdfast::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Relation = BlockMap::Relation;

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

BlockMap map_of(const TestWal& wal, size_t step = SIZE_MAX) {
  SegmentScanner scanner(Lsn{kSegment}, kSegment);
  for (ByteView rest = wal.bytes(); !rest.empty(); rest = rest.subspan(std::min(step, rest.size())))
    scanner.scan(rest.first(std::min(step, rest.size())));
  return scanner.take_map();
}

BlockMap random_map(uint32_t seed) {
  std::mt19937 random(seed);
  BlockMap map;
  map.major = 15;
  for (uint32_t i = 0; i < 20; i++) {
    Relation relation{5 + i / 7, 1000 + i, std::nullopt, {}};
    uint32_t block = 0;
    for (uint32_t n = 0; n < random() % 300; n++)
      relation.blocks.push_back(block += static_cast<uint32_t>(1 + random() % 100'000));
    if (i % 3 == 0) relation.all_from = block + 1;
    map.relations.push_back(std::move(relation));
  }
  map.databases = {1, 16384};
  map.lead = BlockMap::Edge{Bytes::copy_of(as_bytes("the end of it")), 13, 77};
  map.tail = BlockMap::Edge{Bytes::zeros(1024), 5000, 78};
  map.tail_start = Lsn{0x2000100};
  map.first_previous = Lsn{0x1FFFF00};
  map.last_record = Lsn{0x2000080};
  return map;
}

TEST(BlockMap, NamesTheBlocksOfMainForks) {
  TestWal wal;
  wal.touch(5, 1259, 7);
  wal.touch(5, 1259, 3);
  wal.touch(5, 1259, 7);
  wal.touch(0, 1260, 0);
  wal.touch(5, 1249, 4'000'000'000);
  wal.touch(5, 1249, 9, 40, 2);  // of the visibility map
  wal.filler(9000);
  for (const size_t step : {size_t{1}, size_t{5000}, SIZE_MAX}) {
    const BlockMap map = map_of(wal, step);
    EXPECT_THAT(map.relations, ElementsAre(Relation{0, 1260, {}, {0}}, Relation{5, 1249, {}, {4'000'000'000}},
                                           Relation{5, 1259, {}, {3, 7}}));
    EXPECT_EQ(map.untold, "");
    EXPECT_FALSE(map.tail);
  }
}

TEST(BlockMap, TellsOfWhatRecordsChangeWithoutAReference) {
  TestWal wal;
  wal.touch(5, 100, 7);
  wal.touch(5, 100, 70);
  wal.truncate(5, 100, 50);
  wal.truncate(5, 100, 60);
  wal.create_storage(5, 101);
  wal.drop_database(16384);
  wal.change_parameters(1);
  const BlockMap map = map_of(wal);
  EXPECT_THAT(map.relations, ElementsAre(Relation{5, 100, 50, {7}}, Relation{5, 101, 0, {}}));
  EXPECT_THAT(map.databases, ElementsAre(16384));
  EXPECT_EQ(map.untold, "");
}

TEST(BlockMap, SaysWhenReferencesDoNotTellAll) {
  TestWal minimal, extension, damaged, short_of;
  minimal.change_parameters(0);
  EXPECT_EQ(map_of(minimal).untold, "wal_level was minimal");
  extension.of_extension(142);
  EXPECT_EQ(map_of(extension).untold, "a record of resource manager 142 refers to no block");
  damaged.touch(5, 100, 1);
  Bytes bytes = damaged.segment(0);
  bytes[70] ^= 1;
  SegmentScanner scanner(Lsn{kSegment}, kSegment);
  scanner.scan(bytes);
  EXPECT_EQ(scanner.take_map().untold, "the WAL record at 0/100028 fails its CRC");
  short_of.touch(5, 100, 1);
  SegmentScanner zeros(Lsn{kSegment}, kSegment);
  zeros.scan(short_of.segment(0));
  EXPECT_EQ(zeros.take_map().untold, "the log ends before it is full");
}

TEST(BlockMap, SurvivesItsEncoding) {
  for (uint32_t seed = 0; seed < 20; seed++) {
    const BlockMap map = random_map(seed);
    const auto decoded = decode_block_map(encode_block_map(map));
    ASSERT_TRUE(decoded.ok()) << decoded.error().text();
    EXPECT_EQ(decoded.value().relations, map.relations);
    EXPECT_EQ(decoded.value().databases, map.databases);
    EXPECT_EQ(decoded.value().last_record, map.last_record);
    EXPECT_TRUE(equal(decoded.value().tail->head, map.tail->head));
    EXPECT_TRUE(equal(encode_block_map(decoded.value()), encode_block_map(map)));
  }
}

TEST(BlockMap, RefusesWhatIsCutShort) {
  const Bytes good = encode_block_map(random_map(1));
  for (size_t size = 0; size < good.size(); size++) {
    const auto decoded = decode_block_map(good.view(0, size));
    ASSERT_FALSE(decoded.ok()) << size;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kDamaged);
  }
}

// The header is authentic when it is decoded; a flipped bit must only do no harm.
TEST(BlockMap, MeetsAnyFlippedBitWithAnErrorOrAMap) {
  const Bytes good = encode_block_map(random_map(2));
  for (size_t i = 0; i < good.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      Bytes bad = Bytes::copy_of(good);
      bad[i] ^= static_cast<uint8_t>(1 << bit);
      const auto decoded = decode_block_map(bad);
      if (decoded.ok()) {
        EXPECT_TRUE(decode_block_map(encode_block_map(decoded.value())).ok());
      }
    }
  }
}

TEST(BlockMap, IsBoundedByTakingTheLargestRelationForChangedAsAWhole) {
  BlockMap map;
  Relation large{5, 100, 4'000'000'000, {}}, small{5, 200, std::nullopt, {1, 2}};
  for (uint32_t i = 0; i < 1'000'000; i++) large.blocks.push_back(i * 3);
  map.relations = {large, small};
  const Bytes encoded = encode_block_map(map);
  EXPECT_LE(encoded.size(), kMaxBlockMapBytes);
  EXPECT_THAT(decode_block_map(encoded).value().relations, ElementsAre(Relation{5, 100, 0, {}}, small));
}

// Whatever bytes of a record the end of a segment cuts it at, its reference is found
// once its CRC is proven, and not when the two ends are not of one record.
TEST(BlockMap, JoinsARecordThatLiesAcrossTwoSegments) {
  for (size_t left = 8; left < 2500; left += left < 200 ? 8 : 200) {
    TestWal wal;
    wal.touch(5, 1, 1);
    while (wal.left_in_segment() > 4000) wal.filler(1000);
    // A record that ends exactly there: 24 bytes, and 2 or 5 that tell its data's length.
    const size_t between = wal.left_in_segment() - left;
    wal.filler(between - 24 - (between < 280 ? 2 : 5));
    ASSERT_EQ(wal.left_in_segment(), left);
    const Lsn across = wal.touch(5, 99, 1234, 3000);
    wal.touch(5, 2, 2);
    SegmentScanner first(Lsn{kSegment}, kSegment), second(Lsn{2 * kSegment}, kSegment);
    first.scan(wal.bytes().first(kSegment));
    second.scan(wal.bytes().subspan(kSegment));
    const BlockMap before = first.take_map(), after = second.take_map();
    ASSERT_TRUE(before.tail && after.lead) << left;
    EXPECT_EQ(before.tail_start, across);
    EXPECT_EQ(after.first_previous, across);
    BlockMapBuilder builder;
    ASSERT_TRUE(add_joined_record(*before.tail, *after.lead, after.major, builder)) << left;
    EXPECT_THAT(builder.take().relations, ElementsAre(Relation{5, 99, {}, {1234}})) << left;
    BlockMap::Edge other{Bytes::copy_of(after.lead->head), after.lead->bytes, after.lead->crc ^ 1};
    EXPECT_FALSE(add_joined_record(*before.tail, other, after.major, builder)) << left;
    EXPECT_THAT(builder.take().relations, IsEmpty());
  }
}

TEST(BlockMap, StandsBehindTheSummaryInARecordsHeader) {
  const BlockMap map = random_map(3);
  const WalSummary summary;
  const Bytes with = encode_summary(summary, &map), without = encode_summary(summary);
  EXPECT_TRUE(decode_summary(with).ok());
  EXPECT_EQ(decode_map_of(with).value()->relations, map.relations);
  EXPECT_FALSE(decode_map_of(without).value());
}

TEST(Crc32c, JoinsTheChecksumsOfTwoHalves) {
  const std::string text = "The chain is as strong as the link that was not looked at.";
  const ByteView bytes = as_bytes(text);
  for (size_t cut = 0; cut <= bytes.size(); cut++) {
    const uint32_t joined = crc32c_join(crc32c_update(kCrc32cStart, bytes.first(cut)),
                                        crc32c_update(0, bytes.subspan(cut)), bytes.size() - cut);
    EXPECT_EQ(joined, crc32c_update(kCrc32cStart, bytes)) << cut;
  }
}

}  // namespace
}  // namespace holdfast::postgres
