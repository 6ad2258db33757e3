#include "source/postgres/wal_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "repo/test_clock.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_path.h"

namespace holdfast::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Time kNoon = Time::from_unix_seconds(1'800'000'000);
constexpr uint64_t kSegment = TestWal::kSegmentBytes;

class WalArchiveTest : public ::testing::Test {
 protected:
  std::unique_ptr<WalArchive> open() {
    return WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  }
  std::vector<std::string> names() { return store_.record_names(fmt::format("db.{}", TestWal::kSystemId)); }
  static std::string problem(const Result<void>& result) { return result.ok() ? "" : result.error().text(); }

  // Three segments and the beginning of a fourth, with commits 700 to 703.
  static TestWal some_wal() {
    TestWal wal;
    for (uint32_t i = 0; i < 3; i++) {
      wal.commit(700 + i, kNoon + Duration::seconds(i));
      wal.fill_segment();
      wal.switch_segment();
    }
    wal.commit(703, kNoon + Duration::seconds(3));
    return wal;
  }

  // Tells of each pause, in which others may go on.
  class PausingClock : public repo::TestClock {
   public:
    std::function<void()> on_sleep;
    void sleep(Duration duration) override {
      advance(duration);
      if (on_sleep) on_sleep();
    }
  };

  PausingClock clock_;
  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ = open();
};

TEST_F(WalArchiveTest, GivesBackWhatWasPushed) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  const auto stored = archive_->fetch(wal.segment_name(0));
  ASSERT_TRUE(stored.ok() && stored.value());
  EXPECT_TRUE(equal(*stored.value(), wal.segment(0)));
  EXPECT_FALSE(archive_->fetch(wal.segment_name(1)).value());
  EXPECT_EQ(archive_->fetch("postgresql.conf").error().text(), "'postgresql.conf' is not the name of a WAL file");
}

// Case: a cloned or rolled-back machine pushes different WAL under the same name.
TEST_F(WalArchiveTest, RefusesOtherBytesUnderTheSameName) {
  TestWal wal, clone;
  wal.commit(700, kNoon);
  clone.commit(700, kNoon + Duration::seconds(1));
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  EXPECT_EQ(problem(archive_->push(clone.segment_name(0), clone.segment(0))),
            "000000010000000000000001 is stored already, with other content (two servers may be writing to one archive "
            "(a clone, or a machine that was rolled back): give each its own component)");
  EXPECT_TRUE(equal(*archive_->fetch(wal.segment_name(0)).value(), wal.segment(0)));
}

TEST_F(WalArchiveTest, RefusesASegmentThatDiffersFromItsStoredParts) {
  TestWal wal, clone;
  wal.commit(700, kNoon);
  clone.commit(700, kNoon + Duration::seconds(1));
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes())), "");
  const std::string refusal =
      "WAL segment 000000010000000000000001 differs from the part of it that is stored already (two servers may be "
      "writing to one archive (a clone, or a machine that was rolled back): give each its own component)";
  EXPECT_EQ(problem(archive_->push(clone.segment_name(0), clone.segment(0))), refusal);
  EXPECT_EQ(problem(open()->push(clone.segment_name(0), clone.segment(0))), refusal);  // as another process
  EXPECT_EQ(problem(open()->push(wal.segment_name(0), wal.segment(0))), "");
}

TEST_F(WalArchiveTest, RefusesWhatIsNotOfThisClusterOrNotWhatItsNameSays) {
  const TestWal wal = some_wal();
  const auto other = [&](uint64_t system_id, uint64_t segment_bytes) {
    return WalArchive::open(store_, system_clock(), {"db", system_id, segment_bytes}).value();
  };
  EXPECT_EQ(problem(other(42, kSegment)->push(wal.segment_name(0), wal.segment(0))),
            "WAL segment 000000010000000000000001 is of the cluster with system identifier 7300000000000000001, not 42 "
            "(this is another cluster (or one made anew by initdb): give it its own component)");
  EXPECT_EQ(problem(other(TestWal::kSystemId, 16 * kSegment)->push(wal.segment_name(0), wal.segment(0))),
            "WAL segment 000000010000000000000001 has 1048576 bytes, but this cluster's segments have 16777216");
  EXPECT_EQ(problem(archive_->push(wal.segment_name(1), wal.segment(0))),
            "WAL segment 000000010000000000000002 holds the log from 0/100000 on, but its name says 0/200000");
  EXPECT_EQ(problem(archive_->push("000000010000000000000001", wal.fork(2).segment(0))),
            "");  // written before the fork
  TestWal second(Lsn{kSegment}, 2);
  second.commit(1, kNoon);
  EXPECT_EQ(problem(archive_->push("000000010000000000000001", second.segment(0))),
            "WAL segment 000000010000000000000001 holds the log of timeline 2, but its name says 1");
  EXPECT_EQ(problem(archive_->push("000000010000000000000003", Bytes::zeros(kSegment))),
            "WAL segment 000000010000000000000003: the WAL page begins with 0000, which is no WAL page magic");
  EXPECT_EQ(problem(archive_->push("000000010000000000000003", wal.segment(2).view(0, 100))),
            "WAL segment 000000010000000000000003 has 100 bytes, but this cluster's segments have 1048576");
  EXPECT_EQ(problem(archive_->push("archive_status", {})),
            "'archive_status' is neither a WAL segment nor a .history, .partial or .backup file");
  EXPECT_EQ(problem(archive_->push("00000002.history", as_bytes("nonsense\n"))),
            "the history of timeline 2 can't be understood in line 1");
}

TEST_F(WalArchiveTest, AcceptsHistoryPartialAndBackupFiles) {
  const TestWal wal = some_wal();
  EXPECT_EQ(problem(archive_->push("00000002.history", as_bytes("1\t0/300100\tno recovery target specified\n"))), "");
  EXPECT_EQ(problem(archive_->push(wal.segment_name(0) + ".partial", wal.segment(0))), "");
  EXPECT_EQ(problem(archive_->push(wal.segment_name(0) + ".00000028.backup", as_bytes("START WAL LOCATION: ..."))), "");
  EXPECT_TRUE(archive_->fetch("00000002.history").value());
  EXPECT_TRUE(archive_->fetch(wal.segment_name(0) + ".partial").value());
  EXPECT_FALSE(archive_->fetch("00000003.history").value());
  EXPECT_FALSE(archive_->fetch(wal.segment_name(0)).value()) << "a .partial file is not the segment";
}

TEST_F(WalArchiveTest, FillsUpASegmentOfWhichOnlyPartsAreStored) {
  TestWal wal;
  wal.filler(30'000);
  wal.commit(700, kNoon);
  const size_t size = wal.bytes().size();
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().first(10'001))), "");
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment + 10'001}, wal.bytes().subspan(10'001, 100))), "");
  // Another process goes on where the first has ended.
  ASSERT_EQ(problem(open()->push_part(1, Lsn{kSegment + 10'101}, wal.bytes().subspan(10'101))), "");
  EXPECT_TRUE(equal(*archive_->fetch(wal.segment_name(0)).value(), wal.segment(0)));
  EXPECT_FALSE(archive_->fetch_whole(wal.segment_name(0)).value());
  const auto ranges = archive_->ranges().value();
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].to, Lsn{kSegment + size});
  EXPECT_EQ(ranges[0].last_commit, kNoon) << "its record began in an earlier part";
  EXPECT_EQ(problem(archive_->push_part(1, Lsn{kSegment + size + 8}, wal.bytes().first(100))),
            fmt::format("a part of WAL segment 000000010000000000000001 begins at byte {} but {} bytes are stored",
                        size + 8, size));
}

TEST_F(WalArchiveTest, ChoosesPartsThatOverlapAndRefusesPartsThatContradict) {
  TestWal wal, clone;
  wal.filler(20'000);
  clone.filler(21'000);
  const auto second = open();
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().first(5000))), "");
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment + 5000}, wal.bytes().subspan(5000, 5000))), "");
  ASSERT_EQ(problem(second->push_part(1, Lsn{kSegment}, wal.bytes().first(8000))), "");
  ASSERT_EQ(problem(second->push_part(1, Lsn{kSegment + 8000}, wal.bytes().subspan(8000, 9000))), "");
  const Bytes fetched = std::move(*archive_->fetch(wal.segment_name(0)).value());
  EXPECT_TRUE(equal(fetched.view(0, 17'000), wal.bytes().first(17'000)));
  EXPECT_TRUE(all_zero(fetched.view(17'000, kSegment - 17'000)));
  const auto third = open();
  ASSERT_EQ(problem(third->push_part(1, Lsn{kSegment}, clone.bytes().first(12'000))), "");
  EXPECT_EQ(archive_->fetch(wal.segment_name(0)).error().code(), ErrorCode::kMismatch);
}

// Case: recovery silently stops early because a file was "missing".
TEST_F(WalArchiveTest, CallsAHoleInTheLogTroubleNotAbsence) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(2), wal.segment(2))), "");
  EXPECT_EQ(archive_->fetch(wal.segment_name(1)).error().text(),
            "WAL segment 000000010000000000000002 is not stored whole though 000000010000000000000003 behind it is: "
            "the log has a gap (push it from the server, or restore a later point (--point ID) or another timeline "
            "(--timeline N))");
  EXPECT_FALSE(archive_->fetch(wal.segment_name(3)).value());
  EXPECT_THAT(archive_->gaps(1, Lsn{kSegment}, Lsn{4 * kSegment}).value(),
              ElementsAre("WAL from 0/200000 to 0/300000 is missing (segment 000000010000000000000002)"));
  ASSERT_EQ(problem(archive_->push(wal.segment_name(1), wal.segment(1))), "");
  EXPECT_THAT(archive_->gaps(1, Lsn{kSegment}, Lsn{4 * kSegment}).value(), IsEmpty());
  EXPECT_THAT(
      archive_->gaps(1, Lsn{kSegment + 5}, Lsn{6 * kSegment + 1}).value(),
      ElementsAre(
          "WAL from 0/400000 to 0/600001 is missing (segment 000000010000000000000004 to 000000010000000000000006)"));
}

// Whole segments are stored side by side: a later one may be seen before an earlier one.
TEST_F(WalArchiveTest, WaitsForASegmentThatIsBeingStored) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{2 * kSegment}, wal.bytes().subspan(kSegment, 5000))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(2), wal.segment(2))), "");
  int pauses = 0;
  clock_.on_sleep = [&] {
    if (++pauses != 2) return;
    ASSERT_EQ(problem(open()->push(wal.segment_name(1), wal.segment(1))), "");
  };
  const auto fetched = archive_->fetch(wal.segment_name(1));
  ASSERT_TRUE(fetched.ok()) << fetched.error().text();
  EXPECT_TRUE(equal(*fetched.value(), wal.segment(1)));
  EXPECT_EQ(pauses, 2);
}

TEST_F(WalArchiveTest, APathIsReadAgainWhenAHoleIsFilledMeanwhile) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(2), wal.segment(2))), "");
  clock_.on_sleep = [&] { ASSERT_EQ(problem(open()->push(wal.segment_name(1), wal.segment(1))), ""); };
  const auto path = WalPath::follow(*archive_, 1, Lsn{kSegment});
  ASSERT_TRUE(path.ok()) << path.error().text();
  EXPECT_FALSE(path->broken());
  EXPECT_EQ(path->end(), Lsn{4 * kSegment});
}

// Two histories of one server under one name: by the names it is a whole log, by the records it is not.
TEST_F(WalArchiveTest, APathEndsWhereAnotherHistoryBegins) {
  // Goes into the next segment by a switch, or by a record that lies across, perhaps over several.
  const auto live = [](size_t more, size_t across) {
    TestWal wal;
    wal.fill_segment();
    wal.filler(more);
    if (across > 0)
      wal.filler(across);
    else
      wal.switch_segment();
    wal.commit(700, kNoon);
    wal.switch_segment();
    wal.commit(701, kNoon);
    return wal;
  };
  for (const size_t across : {0, 9'000, 2'200'000}) {
    SCOPED_TRACE(across);
    store_.wipe();
    archive_ = open();
    const TestWal wal = live(100, across), other = live(500, across);
    const size_t last = across / kSegment + 2, mixed = last - 1;
    for (size_t i = 0; i < mixed; i++) ASSERT_EQ(problem(archive_->push(wal.segment_name(i), wal.segment(i))), "");
    // In parts: the first of them holds only the end of the record that lies across.
    const ByteView bytes = (across == 0 ? other : wal).bytes().subspan(mixed * kSegment);
    ASSERT_EQ(problem(archive_->push_part(1, Lsn{last * kSegment}, bytes.first(60))), "");
    ASSERT_EQ(problem(archive_->push_part(1, Lsn{last * kSegment + 60}, bytes.subspan(60, kSegment - 60))), "");
    const auto path = WalPath::follow(*archive_, 1, Lsn{kSegment});
    ASSERT_TRUE(path.ok());
    if (across > 0) {
      EXPECT_EQ(path->broken().value_or(""), "");
      EXPECT_EQ(path->end(), Lsn{(last + 1) * kSegment});
      EXPECT_TRUE(path->last_commit());
      continue;
    }
    EXPECT_THAT(
        path->broken().value_or(""),
        ::testing::HasSubstr("WAL segment 000000010000000000000002 does not go on from the one before: its first "
                             "record follows one at"));
    EXPECT_EQ(path->end(), Lsn{2 * kSegment});
    EXPECT_FALSE(path->last_commit());
  }
}

// Parts overlap where two receivers have run: each tells how the segment begins.
TEST_F(WalArchiveTest, APathGoesOnThroughPartsOfTwoReceivers) {
  for (const size_t across : {0, 9'000}) {
    SCOPED_TRACE(across);
    store_.wipe();
    archive_ = open();
    const auto second = open();
    TestWal wal;
    wal.fill_segment();
    if (across > 0)
      wal.filler(across);
    else
      wal.switch_segment();
    wal.filler(5'000);
    wal.filler(5'000);
    wal.filler(20'000);
    wal.commit(700, kNoon);
    ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
    const ByteView bytes = wal.bytes().subspan(kSegment);
    const auto receive = [&](WalArchive& archive, std::vector<size_t> ends) {
      size_t from = 0;
      for (const size_t to : ends) {
        ASSERT_EQ(problem(archive.push_part(1, Lsn{2 * kSegment + from}, bytes.subspan(from, to - from))), "");
        from = to;
      }
    };
    receive(*archive_, {60, bytes.size()});
    receive(*second, {25'000});
    const auto path = WalPath::follow(*archive_, 1, Lsn{kSegment});
    ASSERT_TRUE(path.ok()) << path.error().text();
    EXPECT_EQ(path->broken().value_or(""), "");
    EXPECT_EQ(path->stretches().size(), 3u) << "a part of each is chosen";
    EXPECT_EQ(path->end(), wal.position());
    EXPECT_EQ(path->last_commit(), kNoon);
  }
}

TEST_F(WalArchiveTest, NeverCallsAbsentWhatCannotBeTold) {
  const TestWal wal = some_wal();
  store_.break_down(make_error(ErrorCode::kUnavailable, "the store is away"));
  EXPECT_EQ(archive_->fetch(wal.segment_name(0)).error().text(), "reading 000000010000000000000001: the store is away");
  EXPECT_EQ(archive_->fetch("00000002.history").error().code(), ErrorCode::kUnavailable);
  store_.break_down(make_error(ErrorCode::kDamaged, "the record is damaged"));
  EXPECT_EQ(archive_->fetch(wal.segment_name(0)).error().code(), ErrorCode::kDamaged);
}

TEST_F(WalArchiveTest, FollowsTimelinesThroughTheirHistory) {
  TestWal wal = some_wal();
  const Lsn fork_at = wal.position();
  TestWal promoted = wal.fork(2);
  promoted.commit(800, kNoon + Duration::seconds(100));
  for (size_t i = 0; i < 3; i++) ASSERT_EQ(problem(archive_->push(wal.segment_name(i), wal.segment(i))), "");
  EXPECT_EQ(archive_->newest_descendant(1, Lsn{kSegment}).value(), 1u);
  const std::string history = fmt::format("1\t{}\tno recovery target specified\n", fork_at.text());
  ASSERT_EQ(problem(archive_->push("00000002.history", as_bytes(history))), "");
  EXPECT_EQ(archive_->newest_descendant(1, Lsn{kSegment}).value(), 1u) << "no WAL of timeline 2 is stored yet";
  ASSERT_EQ(problem(archive_->push_part(2, Lsn{4 * kSegment}, promoted.bytes().subspan(3 * kSegment))), "");
  EXPECT_EQ(archive_->newest_descendant(1, Lsn{kSegment}).value(), 2u);
  EXPECT_EQ(archive_->newest_descendant(1, Lsn{fork_at.value + 8}).value(), 1u) << "left before that position";
  // The switch's own segment is stored under the successor's name only.
  EXPECT_THAT(archive_->gaps(2, Lsn{kSegment}, promoted.position()).value(), IsEmpty());
  EXPECT_THAT(archive_->gaps(1, Lsn{kSegment}, fork_at).value(),
              ElementsAre(fmt::format("WAL from 0/400000 to {} is missing (segment 000000010000000000000004)",
                                      fork_at.text())));
  EXPECT_FALSE(archive_->fetch("000000010000000000000004").value()) << "never another timeline's bytes";
  EXPECT_EQ(archive_->history(3).error().code(), ErrorCode::kNotFound);
}

// A server that was set back, lived on and was promoted archives under a name of its own what is
// another history.
TEST_F(WalArchiveTest, RefusesATimelineThatBeginsInAnotherHistory) {
  const TestWal wal = some_wal();
  TestWal other;
  other.commit(600, kNoon);
  other.filler(100);
  const Lsn fork_at = other.position();
  ASSERT_LT(fork_at, Lsn{2 * kSegment});
  TestWal promoted = other.fork(2);
  promoted.commit(800, kNoon + Duration::seconds(100));
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().subspan(0, 50))), "");
  const std::string history = fmt::format("1\t{}\tno recovery target specified\n", fork_at.text());
  ASSERT_EQ(problem(archive_->push("00000002.history", as_bytes(history))), "");
  const std::string refusal = fmt::format(
      "WAL segment 000000020000000000000001 differs, before timeline 2 begins at {}, from what is stored of timeline 1",
      fork_at.text());
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment + 50}, wal.bytes().subspan(50, 3000))), "");
  const auto whole = archive_->push("000000020000000000000001", promoted.segment(0));
  ASSERT_FALSE(whole.ok());
  EXPECT_EQ(whole.error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(whole.error().message(), refusal);
  EXPECT_EQ(archive_->push_part(2, Lsn{kSegment}, promoted.bytes()).error().message(), refusal);
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
  EXPECT_EQ(open()->push("000000020000000000000001", promoted.segment(0)).error().message(), refusal);

  // Of the same history, and parted later.
  TestWal own = TestWal();
  own.commit(700, kNoon);
  const std::string true_history = fmt::format("1\t{}\tno recovery target specified\n", own.position().text());
  TestWal child = own.fork(3);
  child.commit(900, kNoon + Duration::seconds(100));
  ASSERT_EQ(problem(archive_->push("00000003.history", as_bytes(true_history))), "");
  EXPECT_EQ(problem(archive_->push("000000030000000000000001", child.segment(0))), "");
}

// What is stored of an ancestor may be unreadable. The new timeline is archived all the same: a
// server that archives nothing fills its disk.
TEST_F(WalArchiveTest, ComparesNoTimelineWithAnUnreadableAncestor) {
  TestWal wal, other;
  wal.filler(20'000);
  wal.commit(700, kNoon);
  other.filler(21'000);
  TestWal promoted = wal.fork(2);
  promoted.commit(800, kNoon + Duration::seconds(100));
  const std::string history = fmt::format("1\t{}\tno recovery target specified\n", wal.position().text());
  const auto archive_promoted = [&] {
    ASSERT_EQ(problem(archive_->push("00000002.history", as_bytes(history))), "");
    testing::internal::CaptureStderr();
    EXPECT_EQ(problem(archive_->push_part(2, Lsn{kSegment}, promoted.bytes())), "");
    EXPECT_EQ(problem(open()->push("000000020000000000000001", promoted.segment(0))), "");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.wal.not_compared"));
  };
  {
    SCOPED_TRACE("a damaged record");
    ASSERT_EQ(problem(archive_->push(wal.segment_name(0), wal.segment(0))), "");
    store_.damage(wal.segment_name(0));
    archive_promoted();
  }
  {
    SCOPED_TRACE("parts that contradict each other");
    store_.wipe();
    archive_ = open();
    ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().first(8'000))), "");
    ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment + 8'000}, wal.bytes().subspan(8'000, 9'000))), "");
    ASSERT_EQ(problem(open()->push_part(1, Lsn{kSegment}, other.bytes().first(12'000))), "");
    archive_promoted();
  }
  {
    SCOPED_TRACE("its own history");
    store_.wipe();
    archive_ = open();
    ASSERT_EQ(problem(archive_->push("00000002.history", as_bytes(history))), "");
    store_.damage("00000002.history");
    testing::internal::CaptureStderr();
    EXPECT_EQ(problem(archive_->push("000000020000000000000001", promoted.segment(0))), "");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.wal.not_compared"));
  }
}

// Case: a part of a segment is damaged in the repository before the segment is full. Refusing the
// whole would fill the server's disk, and leave the damage.
TEST_F(WalArchiveTest, ADamagedPartIsNotComparedAndTheWholeTakesItsPlace) {
  TestWal wal, clone;
  for (TestWal* each : {&wal, &clone}) each->filler(3'000);
  wal.commit(700, kNoon);
  clone.commit(700, kNoon + Duration::seconds(1));
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().first(1'000))), "");
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment + 1'000}, wal.bytes().subspan(1'000))), "");
  store_.damage(wal.segment_name(0) + ".00000000-000003E8");
  EXPECT_EQ(open()->push(clone.segment_name(0), clone.segment(0)).error().code(), ErrorCode::kMismatch)
      << "the other part tells";
  testing::internal::CaptureStderr();
  EXPECT_EQ(problem(open()->push(wal.segment_name(0), wal.segment(0))), "");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.wal.not_compared"));
  EXPECT_TRUE(equal(*archive_->fetch(wal.segment_name(0)).value(), wal.segment(0)));
}

// Case: a segment that the archiver has stored rots, and the receiver completes it; or the other
// way round. Refusing it for ever would fill the server's disk.
TEST_F(WalArchiveTest, AWholeSegmentTakesThePlaceOfADamagedOne) {
  TestWal wal, clone;
  for (TestWal* each : {&wal, &clone}) each->filler(3'000);
  wal.commit(700, kNoon);
  clone.commit(700, kNoon + Duration::seconds(1));
  const std::string name = wal.segment_name(0);
  const WalArchive::PushOptions of_receiver = {.in_haste = true, .refuse_faults = true};
  for (const WalArchive::PushOptions& options : {WalArchive::PushOptions(), of_receiver}) {
    store_.wipe();
    ASSERT_EQ(problem(open()->push_part(1, Lsn{kSegment}, wal.bytes())), "");
    ASSERT_EQ(problem(open()->push(name, wal.segment(0))), "");
    const auto stored = names();
    store_.damage(name);
    const auto archive = open();
    EXPECT_EQ(archive->push(name, clone.segment(0), options).error().code(), ErrorCode::kMismatch) << "its part tells";
    EXPECT_EQ(open()->fetch(name).error().code(), ErrorCode::kDamaged) << "nothing is overwritten";
    testing::internal::CaptureStderr();
    EXPECT_EQ(problem(archive->push(name, wal.segment(0), options)), "");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.wal.replaced"));
    EXPECT_TRUE(equal(*open()->fetch(name).value(), wal.segment(0)));
    EXPECT_EQ(names(), stored);
    EXPECT_EQ(archive->push(name, clone.segment(0), options).error().code(), ErrorCode::kMismatch) << "it is intact";
  }
}

// Of a segment the part from byte 4,000 to 9,000 is damaged, and the one behind it is not.
class DamagedPartTest : public WalArchiveTest {
 protected:
  void SetUp() override {
    wal_.filler(30'000);
    push(*archive_, 0, 4'000);
    push(*archive_, 4'000, 9'000);
    push(*archive_, 9'000, 10'000);
    store_.damage(name_ + ".00000FA0-00002328");
    archive_ = open();
  }
  void push(WalArchive& archive, size_t from, size_t to) {
    EXPECT_EQ(problem(archive.push_part(1, Lsn{kSegment + from}, wal_.bytes().subspan(from, to - from))), "");
  }
  void expect_stored(size_t bytes) {
    const auto fetched = open()->fetch(name_);
    ASSERT_TRUE(fetched.ok()) << fetched.error().text();
    EXPECT_TRUE(equal(fetched.value()->view(0, bytes), wal_.bytes().first(bytes)));
    EXPECT_TRUE(all_zero(fetched.value()->view(bytes, kSegment - bytes)));
  }

  TestWal wal_;
  const std::string name_ = wal_.segment_name(0);
};

TEST_F(DamagedPartTest, WhatIsBeforeItCanBeHad) {
  EXPECT_EQ(archive_->fetch(name_).error().code(), ErrorCode::kDamaged);
  EXPECT_TRUE(equal(archive_->intact_beginning_of(1, Lsn{kSegment}).value(), wal_.bytes().first(4'000)));
  EXPECT_TRUE(equal(archive_->stored_before(1, Lsn{kSegment + 4'000}).value(), wal_.bytes().first(4'000)));
  EXPECT_EQ(archive_->stored_before(1, Lsn{kSegment + 4'001}).error().code(), ErrorCode::kDamaged);
}

TEST_F(DamagedPartTest, OthersThatHoldTheSameAreReadInItsPlace) {
  push(*archive_, 4'000, 6'000);
  EXPECT_EQ(open()->fetch(name_).error().code(), ErrorCode::kDamaged) << "the log went further";
  push(*archive_, 6'000, 8'000);
  push(*archive_, 8'000, 9'500);
  expect_stored(10'000);
  push(*archive_, 9'500, 12'000);
  expect_stored(12'000);
}

// Case: the store refuses a part of what is received anew.
TEST_F(DamagedPartTest, ARefusedPutDoesNotEndIt) {
  const auto refused_at_first = [&](size_t from, size_t to) {
    store_.break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
    const auto refused = archive_->push_part(1, Lsn{kSegment + from}, wal_.bytes().subspan(from, to - from));
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable);
    store_.mend();
    push(*archive_, from, to);
  };
  push(*archive_, 4'000, 6'000);
  refused_at_first(6'000, 9'500);
  refused_at_first(9'500, 9'800);
  expect_stored(10'000);
  EXPECT_EQ(archive_->summary(name_ + ".0000251C-00002648").value()->from, Lsn{kSegment + 9'500});
  // What was refused is not taken as stored by what lies behind it.
  store_.break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
  EXPECT_FALSE(archive_->push_part(1, Lsn{kSegment + 9'800}, wal_.bytes().subspan(9'800, 100)).ok());
  store_.mend();
  EXPECT_EQ(archive_->push_part(1, Lsn{kSegment + 9'900}, wal_.bytes().subspan(9'900, 100)).error().code(),
            ErrorCode::kInvalidData);
}

TEST_F(WalArchiveTest, WhatIsReceivedAgainTakesThePlaceOfADamagedRecord) {
  TestWal wal;
  wal.commit(700, kNoon);
  const std::string history = "1\t0/100100\tno recovery target specified\n";
  const auto store = [&](const std::string& described_as) {
    SCOPED_TRACE(described_as);
    const auto archive = open();
    EXPECT_EQ(problem(archive->push_part(1, Lsn{kSegment}, wal.bytes())), "");
    EXPECT_EQ(problem(archive->push("00000002.history", as_bytes(history))), "");
  };
  store("for the first time");
  const auto stored = names();
  for (const std::string& name : stored) store_.damage(name);
  testing::internal::CaptureStderr();
  store("again");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.wal.replaced"));
  EXPECT_EQ(names(), stored);
  EXPECT_TRUE(equal(open()->fetch(wal.segment_name(0)).value()->view(0, wal.bytes().size()), wal.bytes()));
  EXPECT_EQ(as_text(*open()->fetch("00000002.history").value()), history);
}

TEST_F(WalArchiveTest, SaysWhatIsStoredAndHowFarItIsProven) {
  const TestWal wal = some_wal();
  for (size_t i = 0; i < 3; i++) ASSERT_EQ(problem(archive_->push(wal.segment_name(i), wal.segment(i))), "");
  ASSERT_EQ(problem(archive_->mark(1, Lsn{4 * kSegment}, kNoon + Duration::seconds(60))), "");
  ASSERT_EQ(problem(archive_->mark(1, Lsn{4 * kSegment + 8}, kNoon + Duration::seconds(90))),
            "");  // beyond what is stored
  const auto ranges = archive_->ranges().value();
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].timeline, 1u);
  EXPECT_EQ(ranges[0].from, Lsn{kSegment});
  EXPECT_EQ(ranges[0].to, Lsn{4 * kSegment});
  EXPECT_EQ(ranges[0].first_commit, kNoon);
  EXPECT_EQ(ranges[0].last_commit, kNoon + Duration::seconds(2));
  EXPECT_EQ(ranges[0].covered_until, kNoon + Duration::seconds(60));
}

TEST_F(WalArchiveTest, RemovesItsOwnPartsAWhileAfterTheWholeIsStored) {
  repo::TestClock clock;
  const TestWal wal = some_wal();
  const auto archive = WalArchive::open(store_, clock, {"db", TestWal::kSystemId, kSegment}).value();
  ASSERT_EQ(problem(archive->push_part(1, Lsn{kSegment}, wal.bytes().first(5000))), "");
  ASSERT_EQ(problem(archive->push_part(1, Lsn{kSegment + 5000}, wal.bytes().subspan(5000, 5000))), "");
  ASSERT_EQ(problem(archive->push(wal.segment_name(0), wal.segment(0))), "");
  EXPECT_EQ(names().size(), 3u) << "someone may be reading them";
  clock.advance(Duration::seconds(200));
  ASSERT_EQ(problem(archive->push(wal.segment_name(1), wal.segment(1))), "");
  EXPECT_THAT(names(), ElementsAre(wal.segment_name(0), wal.segment_name(1)));
}

TEST_F(WalArchiveTest, ExpiresWhatLiesWhollyBeforeAPosition) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{2 * kSegment}, wal.bytes().subspan(kSegment, 50'000))), "");
  for (size_t i = 0; i < 3; i++) ASSERT_EQ(problem(archive_->push(wal.segment_name(i), wal.segment(i))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0) + ".00000028.backup", as_bytes("x"))), "");
  ASSERT_EQ(problem(archive_->mark(1, Lsn{kSegment + 8}, kNoon)), "");
  ASSERT_EQ(problem(archive_->mark(1, Lsn{4 * kSegment}, kNoon)), "");
  ASSERT_EQ(problem(archive_->mark(1, Lsn{4 * kSegment}, kNoon + Duration::seconds(10))), "");
  const auto all = names();
  const WalNeed needed{Lsn{2 * kSegment + 100}, {}};
  const auto would_go = archive_->expire(needed, true).value();
  EXPECT_EQ(names(), all);
  const auto gone = archive_->expire(needed, false).value();
  EXPECT_EQ(gone, would_go);
  EXPECT_THAT(names(), ElementsAre("000000010000000000000002", "000000010000000000000003", all.back()));
}

TEST_F(WalArchiveTest, WhatMakesASnapshotWholeStaysBeforeThat) {
  const TestWal wal = some_wal();
  for (size_t i = 0; i < 3; i++) ASSERT_EQ(problem(archive_->push(wal.segment_name(i), wal.segment(i))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(0) + ".00000028.backup", as_bytes("x"))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(1) + ".00000028.backup", as_bytes("x"))), "");
  // The first segment is the cluster's second. A stop at its end needs nothing of the next.
  const WalNeed needed{Lsn{4 * kSegment}, {{Lsn{kSegment + 40}, Lsn{2 * kSegment}}}};
  EXPECT_THAT(archive_->expire(needed, false).value(),
              ElementsAre(wal.segment_name(1), wal.segment_name(2), wal.segment_name(1) + ".00000028.backup"));
  EXPECT_THAT(names(), ElementsAre(wal.segment_name(0), wal.segment_name(0) + ".00000028.backup"));
}

TEST_F(WalArchiveTest, PartsThatMakeASnapshotWholeStayBeforeThat) {
  const TestWal wal = some_wal();
  ASSERT_EQ(problem(archive_->push_part(1, Lsn{kSegment}, wal.bytes().subspan(0, 50'000))), "");
  ASSERT_EQ(problem(archive_->push(wal.segment_name(1), wal.segment(1))), "");
  const WalNeed needed{Lsn{4 * kSegment}, {{Lsn{kSegment + 40}, Lsn{kSegment + 400}}}};
  EXPECT_THAT(archive_->expire(needed, false).value(), ElementsAre(wal.segment_name(1)));
  EXPECT_EQ(names().size(), 1u);
}

}  // namespace
}  // namespace holdfast::postgres
