#include "source/postgres/wal_gather.h"

#include <gtest/gtest.h>

#include "repo/test_clock.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/timeline.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

// A server that was restored, promoted in its segment 2, and is in its segment 4.
class GatherBeginningTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 2; i++) {
      wal_.fill_segment();
      wal_.switch_segment();
    }
    wal_.filler(1000);
    ancestor_.fill_segment();
    ancestor_.switch_segment();
    options_.data_directory = testing::TempDir() + "gather-" + std::to_string(::getpid());
    options_.timeline = 2;
    options_.to = Lsn{4 * kSegment + 900};
    options_.in_recovery = true;
    ASSERT_TRUE(make_directories(fs_, options_.data_directory + "/pg_wal").ok());
    write("00000002.history", as_bytes("1\t0/200100\tx\n"));
    for (size_t i = 0; i < 3; i++) {
      Bytes segment(kSegment);
      const ByteView there = wal_.bytes().subspan(i * kSegment);
      std::copy_n(there.begin(), std::min<size_t>(there.size(), kSegment), segment.begin());
      write(segment_name(2, Lsn{(2 + i) * kSegment}, kSegment), segment);
    }
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(fs_, options_.data_directory).ok()); }

  void write(const std::string& name, ByteView content) {
    ASSERT_TRUE(write_file_durably(fs_, options_.data_directory + "/pg_wal/" + name, content).ok());
  }
  void follow_ancestor() {
    ASSERT_TRUE(archive_->push(segment_name(1, Lsn{kSegment}, kSegment), ancestor_.segment(0)).ok());
  }
  // What is stored of timeline 2.
  std::string stored() {
    std::string text;
    for (const WalRange& range : archive_->ranges().value())
      if (range.timeline == 2) text += fmt::format("{} to {};", range.from.text(), range.to.text());
    return text;
  }
  void gather() {
    const auto outcome = gather_beginning(world_, *archive_, options_);
    EXPECT_TRUE(outcome.ok()) << outcome.error().text();
  }

  FileSystem& fs_ = real_file_system();
  repo::TestClock clock_;
  Progress progress_;
  source::World world_{fs_, clock_, progress_};
  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  TestWal ancestor_;
  TestWal wal_{Lsn{2 * kSegment}, 2};
  GatherOptions options_;
};

// Case: a backup of a server that was set back, whose old WAL is stored under the same names.
TEST_F(GatherBeginningTest, RefusesWalOfAnotherHistoryThatIsStoredAlready) {
  TestWal other(Lsn{2 * kSegment}, 2);
  other.filler(2000);
  other.fill_segment();
  other.switch_segment();
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{2 * kSegment}, kSegment), other.segment(0)).ok());
  options_.from = Lsn{2 * kSegment};
  options_.to = Lsn{2 * kSegment + 50'000};
  const auto outcome = gather_wal(world_, *archive_, options_);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(
      outcome.error().message(),
      "component db: the WAL of this copy is stored already, as another: the server was set back, or two write to "
      "one archive (segment 000000020000000000000002)");
}

TEST_F(GatherBeginningTest, AcceptsItsOwnWalThatIsStoredAlready) {
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{2 * kSegment}, kSegment), wal_.segment(0)).ok());
  options_.from = Lsn{2 * kSegment};
  options_.to = Lsn{2 * kSegment + 50'000};
  EXPECT_TRUE(gather_wal(world_, *archive_, options_).ok());
}

TEST_F(GatherBeginningTest, ListsTheLogNoMoreOftenForManySegments) {
  wal_.fill_segment();
  wal_.switch_segment();
  write(segment_name(2, Lsn{4 * kSegment}, kSegment), wal_.segment(2));
  options_.from = Lsn{2 * kSegment + 100};
  options_.to = Lsn{4 * kSegment + 50'000};
  options_.in_recovery = false;
  const auto outcome = gather_wal(world_, *archive_, options_);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  // For the gaps before and after, and for the ancestor's part of the first segment.
  EXPECT_EQ(store_.lists(), 3u);
  EXPECT_EQ(stored(), "0/200000 to 0/500000;");
}

TEST_F(GatherBeginningTest, SeesWhatAnotherHasStoredAtTheSameTime) {
  const std::string name = segment_name(2, Lsn{2 * kSegment}, kSegment);
  ASSERT_TRUE(archive_->push(name, wal_.segment(0)).ok());
  store_.stored_after_listing(name);
  options_.from = Lsn{2 * kSegment};
  options_.to = Lsn{2 * kSegment + 50'000};
  options_.in_recovery = false;
  const auto outcome = gather_wal(world_, *archive_, options_);
  EXPECT_TRUE(outcome.ok()) << outcome.error().text();
}

TEST_F(GatherBeginningTest, StoresATimelineFromWhereItBegan) {
  follow_ancestor();
  gather();
  EXPECT_EQ(stored(), "0/200000 to 0/400384;");
}

// Case: a backup of a promoted standby switches to a new segment; the one before is never filled.
TEST_F(GatherBeginningTest, StoresWhatWasFilledUntilTheBackupBegan) {
  follow_ancestor();
  gather();
  ASSERT_EQ(stored(), "0/200000 to 0/400384;");
  wal_.fill_segment();
  wal_.switch_segment();
  write(segment_name(2, Lsn{4 * kSegment}, kSegment), wal_.segment(2));
  options_.from = options_.to;
  options_.to = Lsn{5 * kSegment + 40};
  options_.in_recovery = false;
  const auto outcome = gather_between(world_, *archive_, options_);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(stored(), "0/200000 to 0/500000;");
}

TEST_F(GatherBeginningTest, StoresItWhereTheServerStandsAtASegmentsEnd) {
  follow_ancestor();
  options_.to = Lsn{5 * kSegment};
  gather();
  EXPECT_EQ(stored(), "0/200000 to 0/500000;");
}

TEST_F(GatherBeginningTest, LeavesATimelineToWhoeverFollowsIt) {
  follow_ancestor();
  ASSERT_TRUE(archive_->push(segment_name(2, Lsn{3 * kSegment}, kSegment), wal_.segment(1)).ok());
  gather();
  EXPECT_EQ(stored(), "0/300000 to 0/400000;");
}

TEST_F(GatherBeginningTest, DoesNothingWhereTheBeginningIsGoneOrNothingWasFollowed) {
  gather();
  EXPECT_EQ(stored(), "");
  follow_ancestor();
  ASSERT_TRUE(
      fs_.remove_file(options_.data_directory + "/pg_wal/" + segment_name(2, Lsn{2 * kSegment}, kSegment)).ok());
  gather();
  EXPECT_EQ(stored(), "");
}

}  // namespace
}  // namespace holdfast::postgres
