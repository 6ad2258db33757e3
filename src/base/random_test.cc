#include "base/random.h"

#include <gtest/gtest.h>

#include <array>

namespace holdfast {
namespace {

TEST(Random, ASeedRepeatsWhateverTheSizesAsked) {
  const auto a = seeded_random(3), b = seeded_random(3), c = seeded_random(4);
  const uint64_t first = a->u64();
  EXPECT_EQ(first, b->u64());
  EXPECT_NE(first, c->u64());
}

TEST(Random, BelowStaysBelowAndReachesAll) {
  const auto random = seeded_random(5);
  for (const uint64_t bound : {1ULL, 2ULL, 3ULL, 10ULL, (1ULL << 63) + 1}) {
    for (int i = 0; i < 1000; i++) EXPECT_LT(random->below(bound), bound);
  }
  std::array<int, 6> seen{};
  for (int i = 0; i < 6000; i++) seen[random->below(6)]++;
  for (const int count : seen) EXPECT_GT(count, 800);
}

TEST(Random, SystemFillsEveryByte) {
  Bytes bytes = Bytes::zeros(1000);
  std::array<bool, 1000> touched{};
  for (int round = 0; round < 20; round++) {
    system_random().fill(bytes.mutable_view());
    for (size_t i = 0; i < bytes.size(); i++) touched[i] = touched[i] || bytes[i] != 0;
  }
  for (const bool byte : touched) EXPECT_TRUE(byte);
}

}  // namespace
}  // namespace holdfast
