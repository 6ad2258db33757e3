#include "recovery/drill_window.h"

#include <gtest/gtest.h>

namespace holdfast::recovery {
namespace {

TEST(DrillWindow, EveryPartIsDrawnOverTime) {
  const auto random = seeded_random(1);
  const DrillWindow window{Time::from_unix_seconds(1000), Time::from_unix_seconds(2000)};
  std::vector<int> parts(10);
  for (int i = 0; i < 1000; i++) {
    const Time drawn = random_instant(*random, window);
    ASSERT_GE(drawn, window.from);
    ASSERT_LE(drawn, window.until);
    parts[static_cast<size_t>(std::min<int64_t>((drawn - window.from).ns / 100'000'000'000, 9))]++;
  }
  for (const int drawn : parts) EXPECT_GT(drawn, 50);
}

TEST(DrillWindow, IsInWholeMicrosecondsWithinItsEnds) {
  const auto random = seeded_random(1);
  EXPECT_EQ(random_instant(*random, {Time{1500}, Time{2500}}).ns, 2000);
  EXPECT_EQ(random_instant(*random, {Time{2000}, Time{2000}}).ns, 2000);
}

}  // namespace
}  // namespace holdfast::recovery
