#include "source/postgres/replication_session.h"

#include <gtest/gtest.h>

#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/timeline.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

class PlanStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 5; i++) {
      wal_.fill_segment();
      wal_.switch_segment();
    }
    wal_.filler(100);
  }
  void push(size_t number) { ASSERT_TRUE(archive_->push(wal_.segment_name(number), wal_.segment(number)).ok()); }
  void push_history(uint32_t timeline, const std::string& content) {
    ASSERT_TRUE(archive_->push(history_name(timeline), as_bytes(content)).ok());
  }
  std::string plan(uint32_t timeline, std::optional<Lsn> slot_restart, Lsn gone_before = {}) {
    const auto start = plan_stream(*archive_, timeline, slot_restart, Lsn{9 * kSegment + 5}, gone_before);
    return start.ok() ? fmt::format("{} {}", start.value().timeline, start.value().position.text())
                      : start.error().text();
  }

  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ =
      WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
  TestWal wal_;
};

TEST_F(PlanStreamTest, BeginsAtTheSegmentThatTheSlotKeeps) {
  EXPECT_EQ(plan(1, Lsn{2 * kSegment + 77}), "1 0/200000");
  EXPECT_EQ(plan(1, std::nullopt), "1 0/900000");
}

TEST_F(PlanStreamTest, GoesOnWhereTheArchiveEnds) {
  push(0);
  push(1);
  EXPECT_EQ(plan(1, Lsn{kSegment}), "1 0/300000");
  ASSERT_TRUE(archive_->push_part(1, Lsn{3 * kSegment}, wal_.bytes().subspan(2 * kSegment, 1000)).ok());
  EXPECT_EQ(plan(1, Lsn{kSegment}), "1 0/3003E8");
}

TEST_F(PlanStreamTest, FillsAGapWhateverTheSlotKeeps) {
  push(0);
  push(2);
  push(3);
  for (const std::optional<Lsn> slot :
       {std::optional<Lsn>(2 * kSegment), std::optional<Lsn>(7 * kSegment), std::optional<Lsn>()}) {
    EXPECT_EQ(plan(1, slot), "1 0/200000");
    EXPECT_EQ(plan(1, slot, Lsn{2 * kSegment}), "1 0/200000");
  }
  EXPECT_EQ(plan(1, Lsn{7 * kSegment}, Lsn{3 * kSegment}), "1 0/500000") << "what is missing is gone";
  EXPECT_EQ(plan(1, std::nullopt, Lsn{3 * kSegment}), "1 0/500000");
  EXPECT_EQ(plan(1, Lsn{2 * kSegment + 5}, Lsn{3 * kSegment}), "1 0/200000") << "what a slot keeps is not gone";
}

// A backup stored WAL while no receiver was there, and the slot is a new one.
TEST_F(PlanStreamTest, OfSeveralGapsTheFirstThatIsNotGone) {
  push(0);
  push(2);
  push(4);
  const Lsn fresh{8 * kSegment};
  EXPECT_EQ(plan(1, fresh), "1 0/200000");
  EXPECT_EQ(plan(1, fresh, Lsn{3 * kSegment}), "1 0/400000");
  EXPECT_EQ(plan(1, fresh, Lsn{5 * kSegment}), "1 0/600000") << "behind all that is stored";
  EXPECT_EQ(plan(1, fresh, Lsn{7 * kSegment}), "1 0/800000") << "that is gone, too: what the slot keeps";
  EXPECT_EQ(plan(1, std::nullopt, Lsn{7 * kSegment}), "1 0/900000");
}

TEST_F(PlanStreamTest, FindsAGapOnATimelineThatWasLeftLongAgo) {
  push(0);
  push(2);
  push_history(2, "1\t0/400000\tx\n");
  push_history(3, "1\t0/400000\tx\n2\t0/500000\tx\n");
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{4 * kSegment}, kSegment), wal_.segment(3)).ok());
  ASSERT_TRUE(archive_->push(segment_name(3, Lsn{5 * kSegment}, kSegment), wal_.segment(4)).ok());
  EXPECT_EQ(plan(3, std::nullopt), "1 0/200000");
  EXPECT_EQ(plan(3, std::nullopt, Lsn{3 * kSegment}), "3 0/600000") << "what is missing is gone";
}

// Protected only since: what was before the first backup is nobody's loss.
TEST_F(PlanStreamTest, DoesNotAskForWhatWasBeforeAllThatIsStored) {
  push_history(2, "1\t0/300100\tx\n");
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{5 * kSegment}, kSegment), wal_.segment(4)).ok());
  EXPECT_EQ(plan(2, std::nullopt), "2 0/600000");
  EXPECT_EQ(plan(2, Lsn{5 * kSegment}), "2 0/600000");
  EXPECT_EQ(plan(2, Lsn{2 * kSegment}), "2 0/300000") << "unless the slot was made to keep it";
}

TEST_F(PlanStreamTest, ReceivesASegmentAnewOfWhichOnlyAPartIsStoredBeforeOthers) {
  push(0);
  ASSERT_TRUE(archive_->push_part(1, Lsn{2 * kSegment}, wal_.bytes().subspan(kSegment, 1000)).ok());
  push(2);
  EXPECT_EQ(plan(1, Lsn{kSegment}), "1 0/200000");
  EXPECT_EQ(plan(1, Lsn{2 * kSegment + 500}), "1 0/200000") << "the server keeps whole segments";
}

TEST_F(PlanStreamTest, GoesOverToTheNextTimelineWhereTheOldOneWasLeft) {
  push(0);
  push(1);
  push_history(2, "1\t0/300000\tx\n");
  EXPECT_EQ(plan(2, Lsn{kSegment}), "2 0/300000");
  push(2);  // the old server went on
  EXPECT_EQ(plan(2, Lsn{kSegment}), "2 0/300000");
  push_history(3, "1\t0/450000\tx\n");
  EXPECT_EQ(plan(3, Lsn{kSegment}), "1 0/400000") << "of timeline 1 something is still missing";
  push(3);
  EXPECT_EQ(plan(3, Lsn{kSegment}), "3 0/400000") << "the segment in which it was left, anew";
  EXPECT_EQ(plan(4, Lsn{kSegment}),
            "the history of timeline 4 is not stored (push 00000004.history from the server's pg_wal directory)");
}

// A backup that was faster than the receiver has stored WAL of the new timeline from
// somewhere in its middle on: what is before comes first, while the server has it.
TEST_F(PlanStreamTest, BeginsWhereTheNewTimelineBeganThoughItsMiddleIsStored) {
  push(0);
  push(1);
  push_history(2, "1\t0/300100\tx\n");
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{5 * kSegment}, kSegment), wal_.segment(4)).ok());
  EXPECT_EQ(plan(2, Lsn{kSegment}), "1 0/300000") << "the rest of timeline 1 is missing, too";
  ASSERT_TRUE(archive_->push_part(1, Lsn{3 * kSegment}, wal_.bytes().subspan(2 * kSegment, 0x100)).ok());
  EXPECT_EQ(plan(2, Lsn{kSegment}), "2 0/300000");
  EXPECT_EQ(plan(2, Lsn{4 * kSegment}), "2 0/300000");
  EXPECT_EQ(plan(2, Lsn{4 * kSegment}, Lsn{4 * kSegment}), "2 0/600000") << "what is missing is gone";
}

TEST_F(PlanStreamTest, FetchesTheEndOfAnAncestorBehindWhichAllIsStored) {
  push(0);
  push_history(2, "1\t0/300100\tx\n");
  for (uint64_t i = 3; i < 6; i++)
    ASSERT_TRUE(archive_->push(segment_name(2, Lsn{i * kSegment}, kSegment), wal_.segment(i - 1)).ok());
  EXPECT_EQ(plan(2, Lsn{kSegment}), "1 0/200000");
  EXPECT_EQ(plan(2, Lsn{3 * kSegment}), "1 0/200000");
  EXPECT_EQ(plan(2, Lsn{3 * kSegment}, Lsn{3 * kSegment}), "2 0/600000") << "what is missing is gone";
}

TEST(ReplicationMessages, AreReadAndWritten) {
  std::string bytes = "w";
  bytes.append("\0\0\0\0\1\0\0\0", 8).append("\0\0\0\0\2\0\0\0", 8).append("\0\0\0\0\0\0\0\1", 8).append("data");
  const auto wal = parse_server_message(as_bytes(bytes));
  ASSERT_TRUE(wal.ok());
  EXPECT_EQ(std::get<WalData>(wal.value()).start, Lsn{0x1000000});
  EXPECT_EQ(std::get<WalData>(wal.value()).server_end, Lsn{0x2000000});
  EXPECT_EQ(format_rfc3339(std::get<WalData>(wal.value()).server_time), "2000-01-01T00:00:00.000001Z");
  EXPECT_EQ(as_text(std::get<WalData>(wal.value()).data), "data");
  bytes = "k";
  bytes.append("\0\0\0\0\1\0\0\0", 8).append(8, '\0').append("\1");
  const auto keepalive = parse_server_message(as_bytes(bytes));
  ASSERT_TRUE(keepalive.ok());
  EXPECT_TRUE(std::get<Keepalive>(keepalive.value()).reply_now);
  EXPECT_EQ(parse_server_message(as_bytes("k")).error().text(),
            "the server sent a replication message of kind 107 with 1 bytes");
  EXPECT_EQ(parse_server_message({}).error().code(), ErrorCode::kInvalidData);
  const Bytes status = encode_standby_status({Lsn{1}, Lsn{2}, Lsn{3}, Time::from_unix_seconds(946'684'800), true});
  EXPECT_EQ(to_hex(status),
            "72"
            "0000000000000001"
            "0000000000000002"
            "0000000000000003"
            "0000000000000000"
            "01");
}

}  // namespace
}  // namespace holdfast::postgres
