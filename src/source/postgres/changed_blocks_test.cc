#include "source/postgres/changed_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/filesystem.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

class ChangedBlocksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/hfXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    data_ = pattern;
    ASSERT_TRUE(real_file_system().make_directory(data_ + "/pg_wal", 0700).ok());
  }
  void TearDown() override { ignore(remove_tree(real_file_system(), data_), "a test's leftovers"); }

  // Four segments; a record lies across the end of each, and names a block of relation 9.
  static TestWal some_wal() {
    TestWal wal;
    for (uint32_t i = 0; i < 3; i++) {
      wal.touch(5, 1 + i, 10 * i);
      wal.commit(700 + i, Time::from_unix_seconds(1'700'000'000 + i));
      while (wal.left_in_segment() > 1500) wal.filler(1000);
      wal.touch(5, 9, 1000 * i, 3000);
    }
    wal.touch(5, 4, 4);
    return wal;
  }
  void archive(const TestWal& wal, size_t number) {
    ASSERT_TRUE(archive_->push(wal.segment_name(number), wal.segment(number)).ok());
  }
  void leave_at_server(const TestWal& wal, size_t number) {
    const auto written = write_file_durably(real_file_system(), data_ + "/pg_wal/" + wal.segment_name(number),
                                            wal.segment(number), 0600);
    ASSERT_TRUE(written.ok());
  }
  Result<ChangedBlocks> read(const TestWal& wal, Lsn from = Lsn{kSegment + 40}) {
    return read_changes(world_, *archive_, {1, from, wal.position(), data_});
  }
  static std::string reason(const Result<ChangedBlocks>& changes) { return changes.ok() ? "" : changes.error().text(); }
  static void expect_all(const Result<ChangedBlocks>& changes) {
    ASSERT_TRUE(changes.ok()) << changes.error().text();
    for (uint32_t i = 0; i < 3; i++) {
      const uint32_t region = 1000 * i / 512 * 512;
      EXPECT_TRUE(changes.value().region(5, 9, region)[1000 * i - region]) << i;
      EXPECT_EQ(changes.value().region(5, 9, region).count(), 1u) << i;
      EXPECT_TRUE(changes.value().region(5, 1 + i, 0)[10 * i]) << i;
    }
    EXPECT_TRUE(changes.value().region(5, 4, 0)[4]);
    EXPECT_TRUE(changes.value().region(6, 4, 0).none());
  }

  std::string data_;
  TestLogStore store_;
  Progress progress_;
  source::World world_{real_file_system(), system_clock(), progress_};
  std::unique_ptr<WalArchive> archive_ =
      WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
};

TEST_F(ChangedBlocksTest, ComeFromTheArchiveAndTheServersLastSegment) {
  const TestWal wal = some_wal();
  for (size_t i = 0; i < 3; i++) archive(wal, i);
  for (size_t i = 2; i < 4; i++) leave_at_server(wal, i);
  expect_all(read(wal));
}

TEST_F(ChangedBlocksTest, ComeFromTheServerWhereTheArchiveHasNothing) {
  const TestWal wal = some_wal();
  archive(wal, 0);
  for (size_t i = 0; i < 4; i++) leave_at_server(wal, i);
  expect_all(read(wal));
}

TEST_F(ChangedBlocksTest, ComeFromPartsToo) {
  const TestWal wal = some_wal();
  for (size_t at = 0; at < 3 * kSegment;) {
    const size_t count = std::min<size_t>(333'333, kSegment - at % kSegment);
    ASSERT_TRUE(archive_->push_part(1, Lsn{kSegment + at}, wal.bytes().subspan(at, count)).ok());
    at += count;
    // A receiver that was started again in the middle of a segment.
    if (at % kSegment == 333'333)
      archive_ = WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
  }
  for (size_t i = 2; i < 4; i++) leave_at_server(wal, i);
  expect_all(read(wal));
}

TEST_F(ChangedBlocksTest, ComeFromTheLogItselfWhereItWasStoredWithoutMaps) {
  const TestWal wal = some_wal();
  for (size_t i = 0; i < 3; i++) {
    SegmentScanner scanner(Lsn{(i + 1) * kSegment}, kSegment);
    const Bytes content = wal.segment(i);
    repo::LogRecord record{wal.segment_name(i), encode_summary(scanner.scan(content)), Bytes::copy_of(content)};
    ASSERT_TRUE(store_.put(fmt::format("db.{}", TestWal::kSystemId), record).ok());
  }
  for (size_t i = 2; i < 4; i++) leave_at_server(wal, i);
  expect_all(read(wal));
}

TEST_F(ChangedBlocksTest, AreNotKnownAcrossAGap) {
  const TestWal wal = some_wal();
  archive(wal, 0);
  archive(wal, 2);
  leave_at_server(wal, 3);
  EXPECT_THAT(reason(read(wal)), ::testing::HasSubstr("000000010000000000000002"));
}

// The archive holds another history of the same cluster: a machine was set back.
TEST_F(ChangedBlocksTest, AreNotKnownWhenTheServersLogIsAnother) {
  const TestWal wal = some_wal();
  for (size_t i = 0; i < 3; i++) archive(wal, i);
  TestWal other;
  other.filler(3);
  for (uint32_t i = 0; i < 3; i++) {
    while (other.left_in_segment() > 1500) other.filler(1000);
    other.touch(5, 9, 1, 3000);
  }
  leave_at_server(other, 3);
  const auto changes = read_changes(world_, *archive_, {1, Lsn{kSegment + 40}, other.position(), data_});
  EXPECT_EQ(
      reason(changes),
      "the log does not go on in 000000010000000000000004 as it should: its first record does not fit the segment "
      "before");
}

TEST_F(ChangedBlocksTest, AreNotKnownWhenASegmentIsLinkedToAnother) {
  TestWal wal, other;
  wal.commit(700, Time::from_unix_seconds(1'700'000'000));
  wal.touch(5, 1, 1);
  wal.switch_segment();
  wal.touch(5, 2, 2);
  other.touch(5, 1, 1);
  other.touch(5, 1, 2);
  other.switch_segment();
  other.touch(5, 2, 2);
  archive(wal, 0);
  for (size_t i = 0; i < 2; i++) leave_at_server(wal, i);
  EXPECT_EQ(reason(read(wal)), "");
  // No record of the last segment lies before the end: the one behind it shows the link.
  EXPECT_EQ(reason(read_changes(world_, *archive_, {1, Lsn{kSegment + 40}, Lsn{2 * kSegment + 40}, data_})), "");
  leave_at_server(other, 1);
  EXPECT_EQ(reason(read(wal)),
            "the log does not go on in 000000010000000000000002 as it should: its first record has another link");
}

// Two histories of which each segment ends at the same place fit together by their links.
TEST_F(ChangedBlocksTest, AreNotKnownWhenAnotherHistoryOnlyLooksLikeTheArchives) {
  const auto live = [](uint32_t block, Time time) {
    TestWal wal;
    wal.commit(700, time);
    wal.touch(5, 1, block);
    wal.switch_segment();
    wal.touch(5, 2, 2);
    wal.switch_segment();
    wal.touch(5, 3, 3);
    return wal;
  };
  const Time noon = Time::from_unix_seconds(1'700'000'000);
  const TestWal wal = live(10, noon), other = live(20, noon + Duration::seconds(60));
  archive(wal, 0);
  archive(wal, 1);
  for (size_t i = 0; i < 3; i++) leave_at_server(other, i);
  EXPECT_EQ(reason(read(other)), "000000010000000000000001 is stored with other content: the server was set back");
  for (size_t i = 0; i < 3; i++) leave_at_server(wal, i);
  EXPECT_EQ(reason(read(wal)), "");
  // What both have in common has no time: it may be of either.
  ASSERT_TRUE(real_file_system().remove_file(data_ + "/pg_wal/" + wal.segment_name(0)).ok());
  EXPECT_EQ(reason(read(wal)), "nothing that the server still has of its log shows that the stored one is its own");
}

TEST_F(ChangedBlocksTest, AreNotKnownUnderMinimalLogging) {
  TestWal wal;
  wal.change_parameters(0);
  wal.switch_segment();
  wal.touch(5, 2, 2);
  archive(wal, 0);
  leave_at_server(wal, 1);
  EXPECT_EQ(reason(read(wal)), "000000010000000000000001: wal_level was minimal");
}

TEST_F(ChangedBlocksTest, AreAllBehindATruncationAndOfADatabaseMadeAnew) {
  TestWal wal;
  wal.commit(700, Time::from_unix_seconds(1'700'000'000));
  wal.touch(5, 1, 3);
  wal.truncate(5, 1, 600);
  wal.drop_database(7);
  wal.switch_segment();
  wal.touch(5, 2, 2);
  archive(wal, 0);
  for (size_t i = 0; i < 2; i++) leave_at_server(wal, i);
  const auto changes = read(wal);
  ASSERT_TRUE(changes.ok()) << changes.error().text();
  EXPECT_EQ(changes.value().region(5, 1, 0).count(), 1u);
  EXPECT_EQ(changes.value().region(5, 1, 512).count(), 512u - 88u);
  EXPECT_TRUE(changes.value().region(5, 1, 1024).all());
  EXPECT_TRUE(changes.value().region(7, 12345, 512).all());
}

TEST_F(ChangedBlocksTest, AreNoneWhereNothingLiesBetween) {
  EXPECT_TRUE(read_changes(world_, *archive_, {1, Lsn{100}, Lsn{100}, data_}).ok());
  EXPECT_EQ(reason(read_changes(world_, *archive_, {1, Lsn{101}, Lsn{100}, data_})),
            "the previous snapshot begins behind this one");
}

}  // namespace
}  // namespace holdfast::postgres
