#include "source/postgres/replication_session.h"

#include <gtest/gtest.h>

#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

// Segment 1 in part, as the receiver left it when its server was killed, and segment 2
// whole, from a capture that was taken before the receiver came back.
class PlanStream : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint32_t i = 0; i < 2; i++) {
      wal_.commit(700 + i, Time::from_unix_seconds(1'800'000'000 + i));
      wal_.fill_segment();
      wal_.switch_segment();
    }
    ASSERT_TRUE(archive_->push_part(1, Lsn{kSegment}, wal_.segment(0).view().first(10'001)).ok());
    ASSERT_TRUE(archive_->push(wal_.segment_name(1), wal_.segment(1)).ok());
  }
  uint64_t start(std::optional<Lsn> slot_restart) {
    return plan_stream(*archive_, 1, slot_restart, Lsn{9 * kSegment}).value().position.value;
  }

  TestWal wal_;
  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ =
      WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
};

TEST_F(PlanStream, FillsAGapThatTheSlotStillCovers) {
  EXPECT_EQ(start(Lsn{kSegment + 10'001}), kSegment);
  EXPECT_EQ(start(Lsn{kSegment}), kSegment);
}

TEST_F(PlanStream, GoesOnBehindAGapThatTheServerCanNotFill) {
  EXPECT_EQ(start(Lsn{2 * kSegment}), 3 * kSegment);
  EXPECT_EQ(start(std::nullopt), 3 * kSegment);
}

}  // namespace
}  // namespace holdfast::postgres
