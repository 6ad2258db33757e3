#include "source/postgres/timeline.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

TEST(Lsn, IsWrittenAndReadAsPostgreSqlDoes) {
  EXPECT_EQ((Lsn{0x1234567890ABCDEF}.text()), "12345678/90ABCDEF");
  EXPECT_EQ(parse_lsn("0/3000148").value(), Lsn{0x3000148});
  EXPECT_EQ(parse_lsn("16/B374D848").value(), Lsn{0x16B374D848});
  for (const char* bad : {"", "/", "0/", "0/123456789", "x/1", "0/1 ", "01"})
    EXPECT_EQ(parse_lsn(bad).error().text(), fmt::format("'{}' is not a WAL position (write it like 0/3000148)", bad));
}

TEST(SegmentName, DependsOnTheSegmentSize) {
  for (const uint64_t mib : {1, 2, 16, 64, 1024}) {
    const uint64_t bytes = mib << 20;
    for (const uint64_t number :
         {uint64_t{0}, uint64_t{1}, 0x100000000 / bytes - 1, 0x100000000 / bytes, uint64_t{123'456}}) {
      const std::string name = segment_name(7, Lsn{number * bytes + 12'345}, bytes);
      ASSERT_TRUE(is_segment_name(name));
      EXPECT_EQ(parse_segment_name(name, bytes).value().start, Lsn{number * bytes}) << name;
      EXPECT_EQ(parse_segment_name(name, bytes).value().timeline, 7u);
    }
  }
  EXPECT_EQ(segment_name(1, Lsn{0x3000148}, 16 << 20), "000000010000000000000003");
  EXPECT_EQ(parse_segment_name("000000010000000000000100", 16 << 20).error().text(),
            "'000000010000000000000100' can't be a WAL segment of 16777216 bytes: its last part is above 000000FF");
  EXPECT_FALSE(is_segment_name("00000001000000000000000g"));
  EXPECT_FALSE(is_segment_name("0000000100000000000000ab"));
}

TEST(Timeline, ReadsHistories) {
  const auto switches = parse_history(as_bytes("1\t0/3000148\tno recovery target specified\n\n# a comment\n"
                                               "2\t0/5000000\tbefore 2026-01-01\r\n3 0/5000000"),
                                      5)
                            .value();
  ASSERT_EQ(switches.size(), 3u);
  EXPECT_EQ(switches[1].timeline, 2u);
  EXPECT_EQ(switches[1].left_at, Lsn{0x5000000});
  const auto path = path_to(5, switches);
  ASSERT_EQ(path.size(), 4u);
  EXPECT_EQ(path[0].to, Lsn{0x3000148});
  EXPECT_EQ(path[3].timeline, 5u);
  EXPECT_EQ(path[3].from, Lsn{0x5000000});
}

// What PostgreSQL writes when a recovery along timeline 4 stops at 0/2500000, before
// timeline 3 was left for it.
TEST(Timeline, ReadsAnAncestorThatWasNeverReached) {
  const auto switches = parse_history(as_bytes("1\t0/1000000\n3\t0/2600000\n4\t0/2500000\n"), 5).value();
  const auto path = path_to(5, switches);
  ASSERT_EQ(path.size(), 4u);
  EXPECT_EQ(path[1].to, Lsn{0x2500000});
  EXPECT_EQ(path[2].from, path[2].to);
  EXPECT_EQ(path[3].from, Lsn{0x2500000});
}

TEST(Timeline, RefusesHistoriesThatMakeNoSense) {
  const auto problem = [](const char* text) { return parse_history(as_bytes(text), 3).error().text(); };
  EXPECT_EQ(problem("one\t0/1\n"), "the history of timeline 3 can't be understood in line 1");
  EXPECT_EQ(problem("1\t0-1\n"), "the history of timeline 3 can't be understood in line 1");
  EXPECT_EQ(problem("2\t0/1\n1\t0/2\n"), "the history of timeline 3 is out of order in line 2");
  EXPECT_EQ(problem("3\t0/1\n"), "the history of timeline 3 is out of order in line 1");
}

}  // namespace
}  // namespace holdfast::postgres
