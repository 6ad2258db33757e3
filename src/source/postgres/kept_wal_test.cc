#include "source/postgres/kept_wal.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

TEST(KeptWal, OnlyWhatIsNotStoredAndTheSlotKeepsIsStillToCome) {
  const std::vector<WalRange> with_hole = {{1, Lsn{100}, Lsn{200}, {}, {}, {}}, {1, Lsn{300}, Lsn{400}, {}, {}, {}}};
  EXPECT_TRUE(is_kept_by_server(1, Lsn{200}, with_hole, Lsn{200}));
  EXPECT_TRUE(is_kept_by_server(1, Lsn{200}, with_hole, Lsn{150}));
  EXPECT_FALSE(is_kept_by_server(1, Lsn{200}, with_hole, Lsn{250}));
  EXPECT_FALSE(is_kept_by_server(1, Lsn{200}, with_hole, std::nullopt));
  // What another timeline has there does not fill the hole.
  EXPECT_TRUE(
      is_kept_by_server(1, Lsn{200}, {with_hole[0], with_hole[1], {2, Lsn{150}, Lsn{400}, {}, {}, {}}}, Lsn{150}));
  // Stored and not readable: nobody sends it again.
  EXPECT_FALSE(is_kept_by_server(1, Lsn{150}, with_hole, Lsn{100}));
}

// Segments of 100 bytes; snapshots of [120, 180), [520, 560) and [820, 850).
TEST(KeptWal, WhatExpiryLeftOutIsNotSought) {
  const std::vector<WalSpan> bases = {{Lsn{120}, Lsn{180}}, {Lsn{520}, Lsn{560}}, {Lsn{820}, Lsn{850}}};
  const auto range = [](uint64_t from, uint64_t to, uint32_t timeline = 1) {
    return WalRange{timeline, Lsn{from}, Lsn{to}, {}, {}, {}};
  };
  EXPECT_EQ(expired_until({range(100, 200), range(500, 900)}, bases, 100), Lsn{500});
  EXPECT_EQ(expired_until({range(100, 200), range(500, 600), range(800, 900)}, bases, 100), Lsn{800});
  // The log went on behind the snapshot, and stopped later: a receiver that was away.
  EXPECT_EQ(expired_until({range(100, 300), range(500, 900)}, bases, 100), Lsn{});
  // Behind the newest snapshot everything is sought, and on another timeline nothing is filled.
  EXPECT_EQ(expired_until({range(800, 900), range(1000, 1100)}, bases, 100), Lsn{});
  EXPECT_EQ(expired_until({range(100, 200), range(500, 900), range(200, 500, 2)}, bases, 100), Lsn{500});
  EXPECT_EQ(expired_until({}, bases, 100), Lsn{});
}

}  // namespace
}  // namespace holdfast::postgres
