#include "base/units.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Units, SizesHaveThreeDigits) {
  const std::pair<uint64_t, const char*> cases[] = {
      {0, "0 B"},
      {812, "812 B"},
      {1023, "1023 B"},
      {1024, "1.00 KiB"},
      {4200, "4.10 KiB"},
      {10 * kKiB, "10.0 KiB"},
      {102349, "100 KiB"},
      {471 * kMiB, "471 MiB"},
      {kMiB - 1, "1.00 MiB"},
      {4510000000, "4.20 GiB"},
      {UINT64_MAX, "16.0 EiB"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(format_bytes(bytes), text) << bytes;
}

TEST(Units, ReadsSizes) {
  const std::pair<const char*, uint64_t> cases[] = {
      {"64MiB", 64 * kMiB}, {"1GB", 1'000'000'000},
      {"500K", 500 * kKiB}, {"500KB", 500'000},
      {"2t", 2048 * kGiB},  {"17", 17},
      {"17 B", 17},         {"0", 0},
      {"3 gib", 3 * kGiB},
  };
  for (const auto& [text, bytes] : cases) EXPECT_EQ(parse_bytes(text).value(), bytes) << text;
  for (const char* text : {"", "MiB", "-1K", "1.5G", "1X", "1KBB", "1 K B", "99999999999T", "18446744073709551616"}) {
    EXPECT_FALSE(parse_bytes(text).ok()) << text;
  }
  EXPECT_EQ(parse_bytes("much").error().text(),
            "'much' is not a size (write a number and a unit, such as 64MiB, 500K or 1GB)");
}

TEST(Units, CountsHaveSeparators) {
  const std::pair<uint64_t, const char*> cases[] = {
      {0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
  for (const auto& [count, text] : cases) EXPECT_EQ(format_count(count), text);
}

}  // namespace
}  // namespace holdfast
