#include "source/postgres/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source/postgres/test_target.h"
#include "source/postgres/wal_path.h"

namespace holdfast::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const std::string kWindow = "; the recovery window is 2027-01-15T08:00:00.000000Z to 2027-01-15T08:00:40.000000Z";

TEST_F(TargetTest, LatestReplaysAllThatIsStored) {
  push_all();
  const auto resolved = resolve({}).value();
  EXPECT_THAT(resolved.settings, ElementsAre(Pair("recovery_target_timeline", "1")));
  EXPECT_EQ(resolved.replay_from, start_);
  EXPECT_EQ(resolved.replay_to, end_);
  EXPECT_EQ(resolved.last_record, commits_[740]);
  EXPECT_EQ(resolved.instant, at(40));
  EXPECT_EQ(resolved.description,
            "latest: last commit 2027-01-15T08:00:40.000000Z, from the snapshot of 2027-01-15T08:00:00.000000Z, 4 "
            "segments to "
            "replay on timeline 1");
}

TEST_F(TargetTest, ATimeNeedsALaterCommit) {
  push_all();
  auto resolved = resolve(target_at(at(20))).value();
  EXPECT_THAT(resolved.settings, ElementsAre(Pair("recovery_target_timeline", "1"),
                                             Pair("recovery_target_time", "2027-01-15 08:00:20.000000+00"),
                                             Pair("recovery_target_inclusive", "on")));
  EXPECT_GT(resolved.replay_to, point_) << "recovery stops at the roll-back at 26";
  EXPECT_FALSE(resolved.last_record) << "it is told where to stop";
  EXPECT_LT(resolved.replay_to, commits_[730]);
  EXPECT_EQ(resolved.instant, at(20));
  resolved = resolve(target_at(at(20), false)).value();
  EXPECT_THAT(resolved.settings[2], Pair("recovery_target_inclusive", "off"));
  EXPECT_GT(resolved.replay_to, commits_[720]);
  EXPECT_LE(resolved.replay_to, point_) << "it stops at the commit itself";
  EXPECT_EQ(resolve(target_at(Time{at(20).ns + 300}, false)).value().settings[2].second, "on")
      << "PostgreSQL counts microseconds; the commit is before the instant";
}

// A commit's time is taken before its record is put into the log: among concurrent ones an earlier
// time may come behind a later one, and PostgreSQL has stopped by then.
TEST_F(TargetTest, ATimeStopsBeforeTheFirstLaterCommitWhereTimesFallAlongTheLog) {
  const Lsn later = wal_.commit(750, at(60));
  const Lsn earlier = wal_.commit(751, at(50));
  wal_.filler(10);
  push_all();
  for (const bool inclusive : {true, false}) {
    const auto resolved = resolve(target_at(at(inclusive ? 59 : 60), inclusive)).value();
    EXPECT_EQ(resolved.settings[1].first, "recovery_target_time");
    EXPECT_GT(resolved.replay_to, later);
    EXPECT_LE(resolved.replay_to, earlier);
  }
}

TEST_F(TargetTest, ATimeBehindTheLastCommitNeedsAMark) {
  push_all();
  EXPECT_EQ(
      problem(target_at(at(41))),
      fmt::format(
          "2027-01-15T08:00:41.000000Z is not covered: the stored WAL ends at {} (segment 000000010000000000000004)",
          end_.text()) +
          kWindow);
  ASSERT_TRUE(archive_->mark(1, end_, at(45)).ok());
  const auto resolved = resolve(target_at(at(41))).value();
  EXPECT_THAT(resolved.settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_lsn", commits_[740].text()),
                          Pair("recovery_target_inclusive", "on")));
  EXPECT_EQ(resolved.instant, at(41));
  EXPECT_THAT(problem(target_at(at(46))), HasSubstr("to 2027-01-15T08:00:45.000000Z"));
  EXPECT_THAT(problem(target_at(at(-1))),
              HasSubstr("2027-01-15T07:59:59.000000Z is before the end of the oldest snapshot"));
}

// Nothing was committed between the last commit and the end of a later backup, which is on the way.
TEST_F(TargetTest, ABackupOfAQuietServerTellsOfTheTimeBeforeIt) {
  push_all();
  snapshots_.push_back(snapshot(1, commits_[740], end_, at(60)));
  for (const int seconds : {41, 59}) {
    const auto resolved = resolve(target_at(at(seconds)));
    ASSERT_TRUE(resolved.ok()) << resolved.error().text();
    EXPECT_EQ(resolved->snapshot_index, 0u);
  }
  EXPECT_FALSE(resolve(target_at(at(61))).ok());
  EXPECT_EQ(recovery_stretches(*archive_, snapshots_).value().back().until, at(60));
}

TEST_F(TargetTest, TakesTheNewestSnapshotThatTheTargetAllows) {
  const Lsn second_start = wal_.position();
  wal_.filler(10);
  const Lsn second_stop = wal_.position();
  commit(750, 50);
  push_all();
  snapshots_.push_back(snapshot(1, second_start, second_stop, at(45)));
  EXPECT_EQ(resolve({}).value().snapshot_index, 1u);
  EXPECT_EQ(resolve(target_at(at(44))).value().snapshot_index, 0u);
  EXPECT_EQ(resolve(target_at(at(45))).value().snapshot_index, 1u);
  EXPECT_EQ(resolve(target_lsn(commits_[740].text())).value().snapshot_index, 0u);
  EXPECT_EQ(resolve(target_lsn(commits_[750].text())).value().snapshot_index, 1u);
  EXPECT_EQ(resolve(target_xid(730)).value().snapshot_index, 0u);
  EXPECT_EQ(resolve(target_xid(750)).value().snapshot_index, 1u);
  EXPECT_EQ(resolve(target_name("release")).value().snapshot_index, 0u);
  const auto immediate = resolve(target_immediate()).value();
  EXPECT_EQ(immediate.snapshot_index, 1u);
  EXPECT_THAT(immediate.settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target", "immediate")));
  EXPECT_EQ(immediate.replay_to, second_stop);
}

// PostgreSQL would end with "recovery ended before configured recovery target was
// reached": nothing follows at which it could stop.
TEST_F(TargetTest, ImmediateNeedsNoRecordBehindTheSnapshot) {
  snapshots_ = {snapshot(1, commits_[730], end_, at(45))};
  push_all();
  const auto stops_at_the_last = resolve(target_immediate()).value();
  EXPECT_THAT(stops_at_the_last.settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_lsn", commits_[740].text()),
                          Pair("recovery_target_inclusive", "on")));
  EXPECT_TRUE(stops_at_the_last.as_captured);

  snapshots_ = {snapshot(1, commits_[740], end_, at(45))};  // of a standby that had nothing to replay
  for (const Target& target : {target_immediate(), target_at(at(45)), target_lsn(end_.text())}) {
    const auto resolved = resolve(target);
    ASSERT_TRUE(resolved.ok()) << resolved.error().text();
    EXPECT_THAT(resolved.value().settings, ElementsAre(Pair("recovery_target_timeline", "1")));
  }
}

// Replay makes them where the original had them, whatever the directory restored to.
TEST_F(TargetTest, TellsTheTablespacesThatReplayWillMake) {
  const Lsn made = wal_.tablespace(16400, "/srv/space");
  wal_.filler(10);
  commit(750, 50);
  push_all();
  const auto latest = resolve({}).value();
  ASSERT_EQ(latest.tablespaces.size(), 1u);
  EXPECT_EQ(latest.tablespaces[0].oid, 16400u);
  EXPECT_EQ(latest.tablespaces[0].location, "/srv/space");
  EXPECT_EQ(latest.tablespaces[0].start, made);
  EXPECT_THAT(resolve(target_at(at(30))).value().tablespaces, IsEmpty()) << "it was made later";
}

TEST_F(TargetTest, APositionMustBeStored) {
  push_all();
  EXPECT_THAT(resolve(target_lsn(commits_[730].text())).value().settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_lsn", commits_[730].text()),
                          Pair("recovery_target_inclusive", "on")));
  EXPECT_EQ(resolve(target_lsn(commits_[730].text())).value().instant, at(30));
  Target before = target_lsn(commits_[730].text());
  before.inclusive = false;
  EXPECT_EQ(resolve(before).value().instant, at(20));
  // In the segment of the commit, behind it.
  EXPECT_EQ(resolve(target_lsn(Lsn{commits_[730].value + 8}.text())).value().instant, at(30));
  EXPECT_EQ(resolve(target_lsn(point_.text())).value().instant, at(20));
  // The position behind the last record: PostgreSQL would wait for a record there.
  EXPECT_THAT(resolve(target_lsn(end_.text())).value().settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_lsn", commits_[740].text()),
                          Pair("recovery_target_inclusive", "on")));
  EXPECT_EQ(problem(target_lsn(Lsn{end_.value + 8}.text())),
            fmt::format("{} is not stored: the stored WAL ends at {} (segment 000000010000000000000004)",
                        Lsn{end_.value + 8}.text(), end_.text()) +
                kWindow);
  EXPECT_EQ(
      problem(target_lsn("0/100000")),
      fmt::format("0/100000 is before the end of the oldest snapshot that leads to timeline 1 ({})", stop_.text()) +
          kWindow);
  EXPECT_EQ(resolve(target_lsn(stop_.text())).value().settings[1].second, stop_.text());
}

TEST_F(TargetTest, ATransactionMustHaveCommittedInTheWindow) {
  push_all();
  EXPECT_THAT(resolve(target_xid(720)).value().settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_xid", "720"),
                          Pair("recovery_target_inclusive", "on")));
  EXPECT_EQ(resolve(target_xid(720)).value().instant, at(20));
  EXPECT_EQ(resolve(target_xid((uint64_t{5} << 32) + 720)).value().settings[1].second, "21474837200");
  EXPECT_EQ(problem(target_xid(725)), "transaction 725 was rolled back, at 2027-01-15T08:00:26.000000Z" + kWindow);
  EXPECT_EQ(
      problem(target_xid(735)),
      fmt::format(
          "transaction 735 has not committed in the stored WAL of timeline 1 after a snapshot; the stored WAL ends "
          "at {} (segment 000000010000000000000004)",
          end_.text()) +
          kWindow);
}

TEST_F(TargetTest, ARestorePointIsFoundByName) {
  push_all();
  const auto resolved = resolve(target_name("release")).value();
  EXPECT_THAT(resolved.settings,
              ElementsAre(Pair("recovery_target_timeline", "1"), Pair("recovery_target_name", "release")));
  EXPECT_EQ(resolved.instant, at(25));
  EXPECT_GT(resolved.replay_to, point_);
  EXPECT_THAT(problem(target_name("releasf")),
              HasSubstr("restore point \"releasf\" is not found in the stored WAL of timeline 1"));
}

// Case: recovery silently stops early because a file was "missing".
TEST_F(TargetTest, RefusesAGapAndNamesTheSegment) {
  push(0);
  push(2);
  push(3);
  EXPECT_EQ(problem({}),
            "WAL from 0/200000 on is missing (segment 000000010000000000000002) though later WAL is stored (from "
            "0/300000 on); "
            "the recovery window is 2027-01-15T08:00:00.000000Z to 2027-01-15T08:00:10.000000Z (restore to --lsn "
            "0/200000, where "
            "the readable log ends, or push what is missing)");
  EXPECT_THAT(problem(target_at(at(20))), HasSubstr("segment 000000010000000000000002"));
  EXPECT_THAT(problem(target_name("release")), HasSubstr("segment 000000010000000000000002"));
  EXPECT_THAT(resolve(target_at(at(5))).value().settings, testing::Contains(Pair("recovery_prefetch", "off")));
  EXPECT_TRUE(resolve(target_lsn("0/200000")).ok());
  const auto window = recovery_window(*archive_, snapshots_).value();
  EXPECT_EQ(window.from, at(0));
  EXPECT_EQ(window.until, at(10));
  EXPECT_THAT(window.gaps, ElementsAre(HasSubstr("segment 000000010000000000000002")));
  EXPECT_EQ(window.broken, window.gaps.front());
}

TEST_F(TargetTest, AGapDividesTheWindow) {
  // A second snapshot behind the segment that is missing.
  snapshots_.push_back(snapshot(1, commits_[730], commits_[740], at(35)));
  push(0);
  push(2);
  push(3);
  const auto stretches = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].from, at(0));
  EXPECT_EQ(stretches[0].until, at(10));
  EXPECT_EQ(stretches[0].snapshot_index, 0u);
  EXPECT_EQ(stretches[1].from, at(35));
  EXPECT_EQ(stretches[1].until, at(40));
  EXPECT_EQ(stretches[1].snapshot_index, 1u);
  const std::string windows =
      "; the recovery windows are 2027-01-15T08:00:00.000000Z to 2027-01-15T08:00:10.000000Z and "
      "2027-01-15T08:00:35.000000Z to 2027-01-15T08:00:40.000000Z";
  EXPECT_THAT(problem(target_at(at(20))), HasSubstr(windows));
  EXPECT_THAT(problem(target_at(at(41))), HasSubstr(windows));
  // When the segment comes after all, there is one.
  push(1);
  const auto whole = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].from, at(0));
  EXPECT_EQ(whole[0].until, at(40));
}

// Case: the first backup into a new repository leaves a WAL hole.
TEST_F(TargetTest, RefusesASnapshotWhoseOwnWalIsMissing) {
  snapshots_[0] = snapshot(1, start_, Lsn{3 * kSegment + 100}, at(0));
  push(0);
  push(3);
  EXPECT_THAT(problem({}),
              HasSubstr("the snapshot of 2027-01-15T08:00:00.000000Z needs the WAL from 0/100000 to 0/300064, but WAL "
                        "from 0/200000 on is missing (segment 000000010000000000000002)"));
  EXPECT_THAT(problem(target_immediate()), HasSubstr("segment 000000010000000000000002"));
}

TEST_F(TargetTest, ASnapshotWithoutItsOwnWalBeginsNoWindow) {
  snapshots_[0] = snapshot(1, start_, Lsn{2 * kSegment + 100}, at(0));
  push(0);
  push(2);
  push(3);
  EXPECT_TRUE(recovery_stretches(*archive_, snapshots_)->empty());
  snapshots_.push_back(snapshot(1, commits_[730], commits_[740], at(35)));
  const auto stretches = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(stretches.size(), 1u);
  EXPECT_EQ(stretches[0].from, at(35));
  EXPECT_EQ(stretches[0].until, at(40));
  EXPECT_EQ(stretches[0].snapshot_index, 1u);
  EXPECT_THAT(problem(target_at(at(5))), EndsWith("; the recovery window is 2027-01-15T08:00:35.000000Z to "
                                                  "2027-01-15T08:00:40.000000Z"));
}

TEST_F(TargetTest, NoWindowThatIsToldHoldsWhatIsRefused) {
  snapshots_.push_back(snapshot(1, commits_[730], commits_[740], at(35)));
  Bytes bad = wal_.segment(1);
  bad[300'000] ^= 1;
  push(0);
  ASSERT_TRUE(archive_->push(wal_.segment_name(1), bad).ok());
  push(2);
  push(3);
  EXPECT_EQ(recovery_stretches(*archive_, snapshots_)->size(), 1u) << "by their names all are there";
  EXPECT_THAT(problem(target_at(at(30))),
              EndsWith("; the recovery windows are 2027-01-15T08:00:00.000000Z to 2027-01-15T08:00:26.000000Z and "
                       "2027-01-15T08:00:35.000000Z to 2027-01-15T08:00:40.000000Z"));
}

TEST_F(TargetTest, RefusesToReplayPastDamage) {
  Bytes bad = wal_.segment(1);
  bad[300'000] ^= 1;
  push(0);
  ASSERT_TRUE(archive_->push(wal_.segment_name(1), bad).ok());
  push(2);
  push(3);
  EXPECT_THAT(problem({}), HasSubstr("WAL segment 000000010000000000000002 can't be read from 0/2"));
  EXPECT_THAT(problem(target_at(at(30))), HasSubstr("fails its CRC"));
  EXPECT_TRUE(resolve(target_at(at(20))).ok()) << "the roll-back behind it lies before the damage";
}

TEST_F(TargetTest, FollowsAPromotionAndCanStayBehind) {
  push_all();
  TestWal promoted = wal_.fork(2);
  commit(750, 50);  // the old server went on for a moment
  const Lsn old_end = wal_.position();
  ASSERT_TRUE(archive_->push_part(1, end_, wal_.bytes().subspan(end_.value - start_.value)).ok());
  promoted.commit(850, at(55));
  const Lsn new_end = promoted.position();
  const std::string history = fmt::format("1\t{}\tno recovery target specified\n", end_.text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
  EXPECT_EQ(resolve({}).value().timeline, 1u) << "of timeline 2 no WAL is stored";
  ASSERT_TRUE(archive_->push_part(2, Lsn{4 * kSegment}, promoted.bytes().subspan(3 * kSegment)).ok());

  const auto latest = resolve({}).value();
  EXPECT_EQ(latest.timeline, 2u);
  EXPECT_EQ(latest.replay_to, new_end);
  EXPECT_EQ(latest.instant, at(55));
  const auto old = resolve(on_timeline(1)).value();
  EXPECT_EQ(old.timeline, 1u);
  EXPECT_EQ(old.replay_to, old_end);
  EXPECT_EQ(resolve(target_at(at(35))).value().timeline, 2u) << "the common part is on the way";
  EXPECT_THAT(problem(target_xid(750)), HasSubstr("transaction 750 has not committed in the stored WAL of timeline 2"));
  EXPECT_EQ(resolve(on_timeline(1, target_xid(750))).value().instant, at(50));
  EXPECT_EQ(resolve(target_xid(850)).value().timeline, 2u);
  EXPECT_THAT(problem(on_timeline(3)), HasSubstr("timeline 3 is not known here: its history is not stored"));
  snapshots_.push_back(snapshot(1, end_, old_end, at(51)));
  snapshots_.push_back(snapshot(2, end_, new_end, at(56)));
  EXPECT_THAT(snapshots_astray(*archive_, snapshots_).value(), ElementsAre(1u));
}

// Case: a standby is promoted for a test, or a restored copy archives for a moment, and the
// server that counts goes on along its timeline.
TEST_F(TargetTest, DoesNotFollowAStrayPromotion) {
  push_all();
  TestWal stray = wal_.fork(2);
  stray.commit(850, at(42));
  push_timeline_2(stray, end_);
  commit(750, 60);
  const Lsn late_start = wal_.position();
  wal_.filler(10);
  const Lsn late_stop = wal_.position();
  commit(760, 70);
  push_rest_of_timeline_1();
  const std::string note = fmt::format(
      "timeline 2, which parts from 1 at {}, is left aside: the last that is known of it is of "
      "2027-01-15T08:00:42.000000Z (--timeline 2 follows it)",
      end_.text());
  EXPECT_EQ(resolve({}).value().timeline, 1u) << "its commits are newer";
  EXPECT_THAT(resolve({}).value().notes, ElementsAre(note));
  snapshots_.push_back(snapshot(1, late_start, late_stop, at(61)));
  const auto latest = resolve({}).value();
  EXPECT_EQ(latest.timeline, 1u);
  EXPECT_EQ(latest.snapshot_index, 1u);
  EXPECT_EQ(latest.instant, at(70));
  EXPECT_THAT(latest.notes, ElementsAre(note));
  EXPECT_EQ(resolve(target_at(at(65))).value().timeline, 1u);
  EXPECT_THAT(problem(target_at(at(80))), HasSubstr(note)) << "it may be there that it is covered";
  EXPECT_THAT(snapshots_astray(*archive_, snapshots_).value(), IsEmpty());
  const auto window = recovery_window(*archive_, snapshots_).value();
  EXPECT_EQ(window.timeline, 1u);
  EXPECT_EQ(window.until, at(70));
  EXPECT_THAT(window.notes, ElementsAre(note));
  EXPECT_EQ(timelines_left_aside(*archive_, snapshots_).value(), window.notes);
  EXPECT_EQ(resolve(on_timeline(2)).value().instant, at(42));
}

// Case: the only backup of a promoted standby, with nobody who received its log.
TEST_F(TargetTest, AGapOnAStrayTimelineKeepsNobodyFromTheOther) {
  push_all();
  TestWal stray = wal_.fork(2);
  stray.commit(850, at(42));
  push_timeline_2(stray, end_);
  stray.fill_segment();
  stray.switch_segment();
  stray.commit(851, at(43));
  stray.fill_segment();
  stray.switch_segment();
  ASSERT_TRUE(archive_->push(stray.segment_name(4), stray.segment(4)).ok());
  commit(750, 60);
  push_rest_of_timeline_1();
  const auto latest = resolve({});
  ASSERT_TRUE(latest.ok()) << latest.error().text();
  EXPECT_EQ(latest->timeline, 1u);
  EXPECT_THAT(latest->notes, ElementsAre(HasSubstr("of it WAL from ")));
  EXPECT_TRUE(resolve(target_at(at(50))).ok());
  EXPECT_TRUE(recovery_window(*archive_, snapshots_).ok());
  EXPECT_THAT(problem(on_timeline(2)), HasSubstr("segment 000000020000000000000004"));
}

TEST_F(TargetTest, RefusesASnapshotThatIsNotOnTheTimeline) {
  commit(750, 50);
  const Lsn late_start = wal_.position();
  wal_.filler(10);
  const Lsn late_stop = wal_.position();
  push_all();
  const std::string history = fmt::format("1\t{}\tbefore 2027-01-15 08:00:30+00\n", commits_[730].text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
  snapshots_ = {snapshot(1, late_start, late_stop, at(50))};
  EXPECT_THAT(problem(on_timeline(2)),
              HasSubstr(fmt::format(
                  "no snapshot leads to timeline 2: the newest was taken on timeline 1 and ends at {}, which is "
                  "not on the way to it",
                  late_stop.text())));
  EXPECT_EQ(resolve({}).value().timeline, 1u);
}

TEST_F(TargetTest, PassesErrorsOfTheStoreThrough) {
  push_all();
  store_.break_down(make_error(ErrorCode::kUnavailable, "the store is away"));
  EXPECT_EQ(resolve({}).error().code(), ErrorCode::kUnavailable);
}

TEST_F(TargetTest, IgnoresSnapshotsOfAnotherCluster) {
  push_all();
  snapshots_[0].source["system_id"] = "42";
  EXPECT_EQ(problem({}), "there is no snapshot of this cluster");
  const auto window = recovery_window(*archive_, snapshots_).value();
  EXPECT_FALSE(window.from);
}

}  // namespace
}  // namespace holdfast::postgres
