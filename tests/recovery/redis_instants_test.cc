// Covers: a Redis server under load, restored to any instant of its log, has exactly what
// its writer's ledger had then: a prefix of whole steps, no transaction halved, at least
// all that was confirmed durable by then and nothing that was sent later. Restored to a
// directory (started from dump.rdb, and from the AOF) and into a running server; while
// snapshots are taken, keys expire, the receiver's connection is cut, the master is restarted
// with its data, and replicas take its place.
//
// HOLDFAST_SEED=N repeats a run, HOLDFAST_ROUNDS=N its length.
#include <gtest/gtest.h>

#include "recovery/given_number.h"
#include "recovery/redis_life.h"

namespace holdfast::servers {
namespace {

constexpr size_t kStepsOfARound = 150;

TEST(RedisInstants, ContentsEqualTheLedgerAtAnyInstant) {
  const uint64_t seed = number_from("HOLDFAST_SEED", std::random_device()());
  const uint64_t rounds = number_from("HOLDFAST_ROUNDS", 3);
  fmt::print("{} rounds; again with HOLDFAST_SEED={} HOLDFAST_ROUNDS={}\n", rounds, seed, rounds);
  auto begun = RedisLife::begin(seed);
  ASSERT_TRUE(begun.ok()) << begun.error().text();
  RedisLife& life = *begun.value();
  constexpr RedisLife::Way kWays[] = {RedisLife::Way::kDump, RedisLife::Way::kAppendOnly,
                                      RedisLife::Way::kRunningServer};
  for (uint64_t round = 0; round < rounds; round++) {
    RedisLife::Episode episode;
    episode.steps = kStepsOfARound;
    episode.snapshot = round % 4 == 1;
    episode.cut_connection = round % 5 == 3;
    episode.restart = round % 7 == 4;
    episode.failover = round % 7 == 6;
    const auto lived = life.live(episode);
    ASSERT_TRUE(lived.ok()) << "round " << round << ": " << lived.error().text();
    const auto instant = life.random_instant();
    ASSERT_TRUE(instant.ok()) << "round " << round << ": " << instant.error().text();
    const auto same = life.recover_and_compare(instant.value(), kWays[round % 3]);
    ASSERT_TRUE(same.ok()) << "round " << round << ": " << same.error().text();
    fmt::print("round {}: {}\n", round, same.value());
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace holdfast::servers
