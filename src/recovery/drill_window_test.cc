#include "recovery/drill_window.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace holdfast::recovery {
namespace {

Stretch seconds(int64_t from, int64_t until) { return {Time::from_unix_seconds(from), Time::from_unix_seconds(until)}; }

TEST(DrillWindow, EveryPartIsDrawnOverTime) {
  const auto random = seeded_random(1);
  const DrillWindow window{{seconds(1000, 2000)}};
  std::vector<int> parts(10);
  for (int i = 0; i < 1000; i++) {
    const Time drawn = random_instant(*random, window);
    ASSERT_GE(drawn, window.from());
    ASSERT_LE(drawn, window.until());
    parts[static_cast<size_t>(std::min<int64_t>((drawn - window.from()).ns / 100'000'000'000, 9))]++;
  }
  for (const int drawn : parts) EXPECT_GT(drawn, 50);
}

// Covers: stretches in proportion to their lengths, and never what lies between them.
TEST(DrillWindow, StretchesAreDrawnByTheirLengths) {
  const auto random = seeded_random(1);
  const DrillWindow window{{seconds(0, 10), seconds(5000, 5000), seconds(9970, 10000)}};
  int first = 0, last = 0;
  for (int i = 0; i < 1000; i++) {
    const Time drawn = random_instant(*random, window);
    if (drawn <= Time::from_unix_seconds(10)) first++;
    if (drawn >= Time::from_unix_seconds(9970)) last++;
  }
  EXPECT_EQ(first + last, 1000);
  EXPECT_GT(first, 200);
  EXPECT_LT(first, 300);
}

TEST(DrillWindow, IsInWholeMicrosecondsWithinItsEnds) {
  const auto random = seeded_random(1);
  EXPECT_EQ(random_instant(*random, {{{Time{1500}, Time{2500}}}}).ns, 2000);
  EXPECT_EQ(random_instant(*random, {{{Time{2000}, Time{2000}}}}).ns, 2000);
  EXPECT_EQ(random_instant(*random, {{{Time{2500}, Time{2700}}}}).ns, 2000);  // as a snapshot's instant is told
}

TEST(DrillWindow, ComponentsHaveInCommonWhatBothReach) {
  const auto common = [](const std::vector<Stretch>& a, const std::vector<Stretch>& b) {
    std::vector<std::pair<int64_t, int64_t>> found;
    for (const Stretch& stretch : common_stretches(a, b))
      found.emplace_back(stretch.from.ns / 1'000'000'000, stretch.until.ns / 1'000'000'000);
    return found;
  };
  using Found = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(common({seconds(0, 10), seconds(20, 30)}, {seconds(5, 25)}), (Found{{5, 10}, {20, 25}}));
  EXPECT_EQ(common({seconds(5, 25)}, {seconds(0, 10), seconds(20, 30)}), (Found{{5, 10}, {20, 25}}));
  EXPECT_EQ(common({seconds(0, 10), seconds(20, 30)}, {seconds(10, 20)}), (Found{{10, 10}, {20, 20}}));
  EXPECT_EQ(common({seconds(0, 10)}, {seconds(11, 20)}), Found{});
}

}  // namespace
}  // namespace holdfast::recovery
