// Covers: PostgreSQL, Redis and files under one writer that takes a sequence through them in
// this order, all restored to one instant of the past: PostgreSQL and Redis have what the
// writer's ledger had then, Redis is never ahead of PostgreSQL nor the file of Redis, and the
// file is as old as the stated spread says. While points are taken.
//
// HOLDFAST_SEED=N repeats a run, HOLDFAST_ROUNDS=N its length.
#include <gtest/gtest.h>

#include "recovery/given_number.h"
#include "recovery/stack_life.h"

namespace holdfast::servers {
namespace {

constexpr size_t kNumbersOfARound = 60;

TEST(StackInstants, NothingIsAheadOfWhatItFollows) {
  const uint64_t seed = number_from("HOLDFAST_SEED", std::random_device()());
  const uint64_t rounds = number_from("HOLDFAST_ROUNDS", 3);
  fmt::print("{} rounds; again with HOLDFAST_SEED={} HOLDFAST_ROUNDS={}\n", rounds, seed, rounds);
  if (!find_postgres(15)) GTEST_SKIP() << "there is no PostgreSQL 15 here: scripts/servers fetches it";
  if (!redis_test::has_redis()) GTEST_SKIP() << "there is no redis-server here";
  auto begun = StackLife::begin(seed);
  ASSERT_TRUE(begun.ok()) << begun.error().text();
  StackLife& life = *begun.value();
  for (uint64_t round = 0; round < rounds; round++) {
    const auto lived = life.live(kNumbersOfARound, round % 2 == 0);
    ASSERT_TRUE(lived.ok()) << "round " << round << ": " << lived.error().text();
    const auto same = life.recover_and_compare(life.random_instant());
    ASSERT_TRUE(same.ok()) << "round " << round << ": " << same.error().text();
    fmt::print("round {}: {}\n", round, same.value());
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace holdfast::servers
