// Covers: targets and windows of a cluster that has been on several timelines.
#include "source/postgres/test_target.h"

namespace holdfast::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A server that is to follow the latest timeline takes the last whose history it finds.
TEST_F(TargetTest, AStandbyIsToldItsTimelineWhereAnotherWouldBeTheLatest) {
  push_all();
  EXPECT_FALSE(resolve({})->names_timeline);
  EXPECT_TRUE(resolve(on_timeline(1))->names_timeline) << "asked for";
  // A failover of which no WAL is stored yet goes on where this log ends.
  const std::string onward = fmt::format("1\t{}\tno recovery target specified\n", end_.text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(onward)).ok());
  EXPECT_FALSE(resolve({})->names_timeline);
  commit(750, 60);
  push_rest_of_timeline_1();
  EXPECT_EQ(resolve({})->timeline, 1u);
  EXPECT_TRUE(resolve({})->names_timeline);
}

TEST_F(TargetTest, AStandbyFollowsWhatHasTakenOver) {
  push_all();
  TestWal promoted = wal_.fork(2);
  promoted.commit(850, at(55));
  push_timeline_2(promoted, end_);
  EXPECT_EQ(resolve({})->timeline, 2u);
  EXPECT_FALSE(resolve({})->names_timeline);
}

// Case: a standby is promoted for a test, and its first segment is stored before what the server
// that counts did meanwhile. Nothing tells it from a failover.
TEST_F(TargetTest, SaysThatATimelineIsFollowedOnWhichNoPointIs) {
  push_all();
  TestWal promoted = wal_.fork(2);
  promoted.commit(850, at(55));
  push_timeline_2(promoted, end_);
  EXPECT_THAT(resolve({})->notes,
              ElementsAre(fmt::format(
                  "timeline 2 is followed, though the newest point is of timeline 1: they part at {}, and all that is "
                  "known of 2 came after all that is stored of 1 (--timeline 1 stays on that)",
                  end_.text())));
  EXPECT_THAT(resolve(target_at(at(35)))->notes, IsEmpty()) << "that is before they part";
  EXPECT_THAT(resolve(on_timeline(1))->notes, IsEmpty());
  snapshots_.push_back(snapshot(2, end_, promoted.position(), at(56)));
  EXPECT_THAT(resolve({})->notes, IsEmpty());
}

TEST_F(TargetTest, FollowsNoTimelineWhileTwoGoOn) {
  push_all();
  TestWal other = wal_.fork(2);
  other.commit(850, at(42));
  other.commit(860, at(80));
  push_timeline_2(other, end_);
  commit(750, 60);
  push_rest_of_timeline_1();
  EXPECT_EQ(
      problem({}),
      fmt::format("it is not clear which timeline to follow: 1, which the newest snapshot leads to, and 2 part at "
                  "{}, both went on, and the last that is known of 2 (2027-01-15T08:01:20.000000Z) is the newest "
                  "(choose with --timeline 1 or --timeline 2)",
                  end_.text()));
  EXPECT_THAT(problem(target_at(at(50))), HasSubstr("choose with --timeline 1 or --timeline 2"));
  EXPECT_EQ(recovery_stretches(*archive_, snapshots_).value().back().until, at(42) - Duration::microseconds(1))
      << "when 2 began";
  EXPECT_EQ(stretches_to_keep(*archive_, snapshots_).value().back().until, at(60));
  EXPECT_EQ(resolve(target_at(at(35))).value().timeline, 1u) << "that is before they part";
  EXPECT_EQ(resolve(on_timeline(1)).value().instant, at(60));
  EXPECT_EQ(resolve(on_timeline(2)).value().instant, at(80));
}

// Case: a restore to the past was the wrong one, and the cluster has been backed up since.
TEST_F(TargetTest, AnInstantBeforeARestoreToThePastIsRestoredAsItWasThen) {
  push_all();
  TestWal restored = wal_.fork(2);
  commit(750, 50);
  commit(760, 60);
  push_rest_of_timeline_1();
  restored.commit(850, at(90));
  const Lsn stop = restored.position();
  restored.commit(860, at(100));
  push_timeline_2(restored, end_);
  snapshots_.push_back(snapshot(2, end_, stop, at(95)));
  EXPECT_EQ(resolve({})->timeline, 2u);
  for (const int seconds : {50, 55, 60}) {
    const auto then = resolve(target_at(at(seconds)));
    ASSERT_TRUE(then.ok()) << then.error().text();
    EXPECT_EQ(then->timeline, 1u);
    EXPECT_EQ(then->replay_to, wal_.position());
    EXPECT_THAT(then->notes, ElementsAre(fmt::format(
                                 "at that instant timeline 1 was at work, until 2027-01-15T08:01:30.000000Z: timeline "
                                 "2 goes on without what was committed on 1 behind {} (--timeline 2 goes along that)",
                                 end_.text())));
    EXPECT_EQ(resolve(on_timeline(2, target_at(at(seconds))))->timeline, 2u);
  }
  EXPECT_THAT(problem(target_at(at(75))), HasSubstr("at that instant timeline 1 was at work"))
      << "it may have gone on until then";
  const auto stretches = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].until, at(60));
  EXPECT_EQ(stretches[1].from, at(90));
  EXPECT_EQ(stretches[1].until, at(100));
  EXPECT_EQ(stretches[0].snapshot_index, 0u);
  EXPECT_EQ(stretches[1].snapshot_index, std::nullopt) << "the log leads to it";
  for (const int seconds : {35, 45, 92}) {
    EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, 2u);
    EXPECT_THAT(resolve(target_at(at(seconds)))->notes, IsEmpty());
  }
}

// Case: an old primary that went on committing for a while beside the one that had taken over.
TEST_F(TargetTest, AFailoverThatOverlapsLeavesNoHole) {
  push_all();
  TestWal promoted = wal_.fork(2);
  commit(750, 50);
  commit(760, 65);
  push_rest_of_timeline_1();
  promoted.commit(850, at(60));
  const Lsn stop = promoted.position();
  promoted.commit(860, at(100));
  push_timeline_2(promoted, end_);
  snapshots_.push_back(snapshot(2, end_, stop, at(62)));
  const auto stretches = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(stretches.size(), 1u);
  EXPECT_EQ(stretches[0].from, at(0));
  EXPECT_EQ(stretches[0].until, at(100));
  for (const auto& [seconds, timeline] : std::map<int, uint32_t>{{55, 1}, {60, 2}, {63, 2}, {90, 2}})
    EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, timeline) << seconds;
}

// The copy that has taken over was itself a restore of a restore.
TEST_F(TargetTest, EachInstantIsOfTheTimelineThatWasAtWork) {
  push_all();
  TestWal second = wal_.fork(2);
  commit(750, 50);
  push_rest_of_timeline_1();
  second.commit(850, at(60));
  const Lsn left_at = second.position();
  TestWal third = second.fork(3);
  second.commit(860, at(70));
  third.commit(950, at(80));
  push_timeline_2(second, end_);
  const std::string history = fmt::format("1\t{}\tx\n2\t{}\tx\n", end_.text(), left_at.text());
  ASSERT_TRUE(archive_->push("00000003.history", as_bytes(history)).ok());
  ASSERT_TRUE(archive_->push_part(3, Lsn{4 * kSegment}, third.bytes().subspan(3 * kSegment)).ok());
  for (const auto& [seconds, timeline] : std::map<int, uint32_t>{{40, 3}, {50, 1}, {60, 3}, {65, 3}, {70, 2}, {80, 3}})
    EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, timeline) << seconds;
}

// Case: the restored server was started while the one that it replaced went on for a moment.
TEST_F(TargetTest, ATimelineHasBegunWhenTheSecondOfItsCheckpointIsOver) {
  push_all();
  TestWal restored = wal_.fork(2);
  commit(750, 50);
  wal_.commit(760, at(70) + Duration::milliseconds(250));
  push_rest_of_timeline_1();
  restored.checkpoint(at(70));
  const Lsn stop = restored.commit(850, at(75));
  push_timeline_2(restored, end_);
  snapshots_.push_back(snapshot(2, end_, stop, at(76)));
  EXPECT_EQ(resolve(target_at(at(70) + Duration::milliseconds(200)))->timeline, 1u);
  EXPECT_FALSE(resolve(target_at(at(70) + Duration::milliseconds(600))).ok());
  EXPECT_EQ(resolve(target_at(at(71)))->timeline, 2u);
  const auto stretches = recovery_stretches(*archive_, snapshots_).value();
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].until, at(70) + Duration::milliseconds(250));
  EXPECT_EQ(stretches[1].from, at(71));
}

// A restore to the past, and a second one to an instant before the first began: what it lived in
// between is on a timeline that neither came of the other.
class TwoRestores : public TargetTest {
 protected:
  // Forks of timeline 1 before and behind its commit at 50; 2 is the one that lived first.
  void live(uint32_t early, uint32_t late, bool backed_up = true, int old_server_until = 55) {
    push_all();
    std::map<uint32_t, TestWal> forks;
    forks.emplace(early, wal_.fork(early));
    commit(750, 50);
    const std::map<uint32_t, Lsn> left_at = {{early, end_}, {late, wal_.position()}};
    forks.emplace(late, wal_.fork(late));
    commit(760, old_server_until);
    push_rest_of_timeline_1();
    const Lsn start_2 = forks.at(2).position(), stop_2 = forks.at(2).commit(850, at(60));
    forks.at(2).commit(860, at(70));
    if (old_server_until > 60) snapshots_.push_back(snapshot(2, start_2, stop_2, at(68)));
    const Lsn start = forks.at(3).position(), stop = forks.at(3).commit(950, at(90));
    forks.at(3).commit(960, at(95));
    push_timeline_2(forks.at(2), left_at.at(2));
    const std::string history = fmt::format("1\t{}\tx\n", left_at.at(3).text());
    ASSERT_TRUE(archive_->push("00000003.history", as_bytes(history)).ok());
    ASSERT_TRUE(archive_->push_part(3, Lsn{4 * kSegment}, forks.at(3).bytes().subspan(3 * kSegment)).ok());
    if (backed_up) snapshots_.push_back(snapshot(3, start, stop, at(92)));
  }
  void expect(const std::map<int, uint32_t>& timelines) {
    for (const auto& [seconds, timeline] : timelines) {
      const auto resolved = resolve(target_at(at(seconds)));
      ASSERT_TRUE(resolved.ok()) << seconds << ": " << resolved.error().text();
      EXPECT_EQ(resolved->timeline, timeline) << seconds;
    }
    for (const int seconds : {57, 80}) EXPECT_FALSE(resolve(target_at(at(seconds))).ok()) << seconds;
    EXPECT_EQ(describe(recovery_stretches(*archive_, snapshots_).value()),
              describe({{at(0), at(55), {}}, {at(60), at(70), {}}, {at(90), at(95), {}}}));
  }
};

TEST_F(TwoRestores, TheSecondWentLessFarBack) {
  live(2, 3);
  expect({{45, 3}, {50, 3}, {55, 1}, {60, 2}, {65, 2}, {70, 2}, {90, 3}, {93, 3}});
}

TEST_F(TwoRestores, TheSecondWentFurtherBack) {
  live(3, 2);
  expect({{45, 3}, {50, 1}, {55, 1}, {60, 2}, {65, 2}, {70, 2}, {90, 3}, {93, 3}});
}

TEST_F(TwoRestores, TheSecondCountsAtOnce) {
  live(2, 3, false);
  expect({{50, 3}, {55, 1}, {65, 2}, {90, 3}});
  EXPECT_EQ(resolve({})->timeline, 3u);
}

TEST_F(TwoRestores, WhatWasBackedUpCountsThoughTheOldServerEndedLate) {
  live(2, 3, true, 65);
  for (const auto& [seconds, timeline] : std::map<int, uint32_t>{{50, 3}, {60, 2}, {65, 2}, {70, 2}, {90, 3}})
    EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, timeline) << seconds;
}

// Case: a copy lived for a moment beside a cluster that nobody wrote to, which was restored later.
TEST_F(TargetTest, ACopyBesideAnIdleServerWasNotAtWork) {
  push_all();
  TestWal copy = wal_.fork(2);
  copy.commit(850, at(50));
  commit(750, 45);
  TestWal restored = wal_.fork(3);
  wal_.checkpoint(at(60));
  push_rest_of_timeline_1();
  push_timeline_2(copy, end_);
  const Lsn start = restored.position(), stop = restored.commit(950, at(90));
  const std::string history = fmt::format("1\t{}\tx\n", start.text());
  ASSERT_TRUE(archive_->push("00000003.history", as_bytes(history)).ok());
  ASSERT_TRUE(archive_->push_part(3, Lsn{4 * kSegment}, restored.bytes().subspan(3 * kSegment)).ok());
  snapshots_.push_back(snapshot(3, start, stop, at(92)));
  for (const int seconds : {45, 50, 52, 90}) EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, 3u) << seconds;
}

// Case: a copy was restored and archived for a moment, while the cluster lived on.
TEST_F(TargetTest, ACopyThatLivedBesideWasNotAtWork) {
  push_all();
  TestWal copy = wal_.fork(2);
  copy.commit(850, at(50));
  commit(750, 45);
  commit(760, 80);
  push_rest_of_timeline_1();
  push_timeline_2(copy, end_);
  for (const int seconds : {45, 50, 55, 80}) EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, 1u) << seconds;
  EXPECT_EQ(describe(recovery_stretches(*archive_, snapshots_).value()), describe({{at(0), at(80), {}}}));
}

}  // namespace
}  // namespace holdfast::postgres
