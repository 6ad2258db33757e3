// Covers: any recovery point and any instant after it restores exactly, whatever
// happened to the cluster meanwhile, by every kind of target.
//
// HOLDFAST_SEED=N repeats a run, HOLDFAST_ROUNDS=N its length, HOLDFAST_MAJOR=N
// its server; HOLDFAST_KEEP=1 keeps the files for a look.
#include <gtest/gtest.h>

#include <random>

#include "recovery/cluster_life.h"
#include "recovery/given_number.h"

namespace holdfast::servers {
namespace {

constexpr int kRoundsOfALife = 7;

std::string account_of(const ClusterLife& life, const std::string& what) {
  std::string text = what + "\nwhat happened to the cluster:\n";
  for (const std::string& line : life.history()) text += "  " + line + "\n";
  return text;
}

TEST(RandomRecovery, ContentsEqualTheLedgerAtAnyInstant) {
  const auto major = static_cast<int>(number_from("HOLDFAST_MAJOR", 15));
  const uint64_t seed = number_from("HOLDFAST_SEED", std::random_device()());
  const auto rounds = static_cast<int>(number_from("HOLDFAST_ROUNDS", 3));
  fmt::print("PostgreSQL {}, {} rounds; again with HOLDFAST_MAJOR={} HOLDFAST_SEED={} HOLDFAST_ROUNDS={}\n", major,
             rounds, major, seed, rounds);
  if (!find_postgres(major)) GTEST_SKIP() << "there is no PostgreSQL " << major << " here: scripts/servers fetches it";

  int captures_by_log = 0;
  std::unique_ptr<ClusterLife> life;
  for (int round = 0; round < rounds; round++) {
    if (round % kRoundsOfALife == 0) {
      life.reset();
      auto begun = ClusterLife::begin(major, seed * 1000 + static_cast<uint64_t>(round));
      ASSERT_TRUE(begun.ok()) << begun.error().text();
      life = std::move(begun).value();
    }
    auto lived = life->live_a_while();
    ASSERT_TRUE(lived.ok()) << "round " << round << ": " << account_of(*life, lived.error().text());
    auto same = life->recover_and_compare();
    ASSERT_TRUE(same.ok()) << "round " << round << ": " << account_of(*life, same.error().text());
    fmt::print("round {}: {}\n", round, life->history().back());
    std::fflush(stdout);
    if (round + 1 == rounds || (round + 1) % kRoundsOfALife == 0) captures_by_log += life->captures_by_log();
  }
  fmt::print("{} incrementals read what the log named\n", captures_by_log);
  if (rounds > kRoundsOfALife) {
    EXPECT_GT(captures_by_log, 0);
  }
}

}  // namespace
}  // namespace holdfast::servers
