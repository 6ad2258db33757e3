// Covers: any recovery point and any instant after it restores exactly, whatever
// happened to the cluster meanwhile, by every kind of target: quiet instants, and
// moments between the commits of several writers. A run has clusters whose WAL is
// streamed and such whose WAL is archived, with page checksums and without.
//
// HOLDFAST_SEED=N repeats a run, HOLDFAST_ROUNDS=N its length, HOLDFAST_MAJOR=N
// its server; HOLDFAST_KEEP=1 keeps the files for a look.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "recovery/cluster_life.h"
#include "recovery/given_number.h"

namespace holdfast::servers {
namespace {

constexpr int kRoundsOfALife = 7;

// The same number for every round of a life. Even a short run has two lives.
int life_of(int round, int rounds) { return round / std::min(kRoundsOfALife, (rounds + 1) / 2); }

// The two lives of a run differ in their WAL's way and in their checksums; four runs whose seeds
// follow each other have every combination.
Kind kind_of(int life, uint64_t seed) {
  const bool odd = life % 2 != 0;
  return {!odd, (seed % 2 == 0) != odd, seed / 2 % 2 == 0 ? 16 : 1};
}

struct Tally {
  int captures_by_log = 0;
  int streaming = 0, archiving = 0, with_checksums = 0, without_checksums = 0;  // lives

  void count(const Kind& kind) {
    (kind.streaming ? streaming : archiving)++;
    (kind.checksums ? with_checksums : without_checksums)++;
  }
};

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

  Tally tally;
  std::unique_ptr<ClusterLife> life;
  for (int round = 0; round < rounds; round++) {
    const int number = life_of(round, rounds);
    if (round == 0 || number != life_of(round - 1, rounds)) {
      life.reset();
      const Kind kind = kind_of(number, seed);
      auto begun = ClusterLife::begin(major, kind, seed * 1000 + static_cast<uint64_t>(round));
      ASSERT_TRUE(begun.ok()) << begun.error().text();
      life = std::move(begun).value();
      tally.count(kind);
    }
    auto lived = life->live_a_while();
    ASSERT_TRUE(lived.ok()) << "round " << round << ": " << account_of(*life, lived.error().text());
    auto same = round % 2 == 0 ? life->recover_and_compare() : life->recover_under_load_and_compare();
    ASSERT_TRUE(same.ok()) << "round " << round << ": " << account_of(*life, same.error().text());
    fmt::print("round {}: {}\n", round, life->history().back());
    std::fflush(stdout);
    if (round + 1 == rounds || number != life_of(round + 1, rounds)) tally.captures_by_log += life->captures_by_log();
  }
  fmt::print("{} incrementals read what the log named\n", tally.captures_by_log);
  if (rounds > kRoundsOfALife) {
    EXPECT_GT(tally.captures_by_log, 0);
  }
  if (rounds > 1) {
    EXPECT_GT(tally.streaming, 0);
    EXPECT_GT(tally.archiving, 0);
    EXPECT_GT(tally.with_checksums, 0);
    EXPECT_GT(tally.without_checksums, 0);
  }
}

}  // namespace
}  // namespace holdfast::servers
