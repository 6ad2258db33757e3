// Covers: targets of a cluster of whose histories something is missing, damaged or unclear.
#include "source/postgres/test_target.h"

namespace holdfast::postgres {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

class HolesTest : public TargetTest {
 protected:
  std::string windows() { return describe(recovery_stretches(*archive_, snapshots_).value()); }
  // Timeline 2 as stored from one of its segments on, without its history.
  void push_segments_of_2(const TestWal& wal, size_t first) {
    const size_t whole = wal.bytes().size() / kSegment;
    for (size_t i = first; i < whole; i++) {
      const auto stored = archive_->push(wal.segment_name(i), wal.segment(i));
      ASSERT_TRUE(stored.ok()) << stored.error().text();
    }
    const auto stored = archive_->push_part(2, Lsn{(whole + 1) * kSegment}, wal.bytes().subspan(whole * kSegment));
    ASSERT_TRUE(stored.ok()) << stored.error().text();
  }
  static void fill(TestWal& wal) {
    wal.fill_segment();
    wal.switch_segment();
  }
};

// Case: a standby is promoted for a test beside a primary that nobody writes to, and that is followed; or has taken
// over from one that nobody has stopped.
TEST_F(HolesTest, BesideAnIdleServerThatIsFollowedAPersonHasToChoose) {
  push_all();
  ASSERT_TRUE(archive_->mark(1, end_, at(50)).ok());
  ASSERT_TRUE(archive_->mark(1, end_, at(100)).ok());
  TestWal copy = wal_.fork(2);
  copy.commit(850, at(62));
  push_timeline_2(copy, end_);
  EXPECT_THAT(problem({}), testing::AllOf(HasSubstr("there the server of 1 still stood at 2027-01-15T08:01:40.000000Z"),
                                          HasSubstr("choose --timeline 1 if that is of a copy")));
  EXPECT_THAT(problem(target_at(at(80))), HasSubstr("it is not clear which timeline to follow"));
  EXPECT_EQ(resolve(target_at(at(60)))->timeline, 1u);
  EXPECT_EQ(resolve(on_timeline(1, target_at(at(80))))->timeline, 1u);
  EXPECT_EQ(resolve(on_timeline(2))->timeline, 2u);
  EXPECT_EQ(windows(), describe({{at(0), at(62) - Duration::microseconds(1), {}}}));
  EXPECT_EQ(describe(stretches_to_keep(*archive_, snapshots_).value()), describe({{at(0), at(100), {}}}));
  // A backup says it for good.
  const size_t before = snapshots_.size();
  snapshots_.push_back(snapshot(2, end_, copy.position(), at(110)));
  EXPECT_EQ(resolve({})->timeline, 2u);
  snapshots_.resize(before);
  commit(750, 120);
  push_rest_of_timeline_1();
  snapshots_.push_back(snapshot(1, end_, wal_.position(), at(130)));
  EXPECT_EQ(resolve({})->timeline, 1u);
}

TEST_F(HolesTest, AServerThatWasIdleBeforeItsFailoverIsTakenOver) {
  push_all();
  ASSERT_TRUE(archive_->mark(1, end_, at(55)).ok());
  TestWal promoted = wal_.fork(2);
  promoted.commit(850, at(62));
  push_timeline_2(promoted, end_);
  EXPECT_EQ(resolve({})->timeline, 2u);
  EXPECT_EQ(resolve(target_at(at(55)))->timeline, 2u);
}

// Case: behind a hole in its log the cluster lived on, and was then restored to where the readable log ends.
class RestoredToAHole : public HolesTest {
 protected:
  void SetUp() override {
    HolesTest::SetUp();
    push_all();
    TestWal restored = wal_.fork(2);
    fill();  // of this nothing is stored
    behind_ = wal_.position();
    commit(750, 60);
    stop_behind_ = wal_.position();
    commit(760, 70);
    push(4);
    const Lsn stop = restored.commit(850, at(90));
    restored.commit(860, at(100));
    push_timeline_2(restored, end_);
    snapshots_.push_back(snapshot(2, end_, stop, at(95)));
  }
  using TargetTest::fill;
  Lsn behind_, stop_behind_;
};

TEST_F(RestoredToAHole, WhatLiesBehindTheHoleIsNotTakenForWhatLiesBefore) {
  for (const int seconds : {41, 65, 80})
    EXPECT_THAT(problem(target_at(at(seconds))), HasSubstr("is missing")) << seconds;
  for (const int seconds : {30, 40, 90, 100}) EXPECT_TRUE(resolve(target_at(at(seconds))).ok()) << seconds;
  EXPECT_EQ(windows(), describe({{at(0), at(40), {}}, {at(90), at(100), {}}}));
}

TEST_F(RestoredToAHole, ASnapshotBehindItServes) {
  snapshots_.push_back(snapshot(1, behind_, stop_behind_, at(61)));
  const auto then = resolve(target_at(at(65)));
  ASSERT_TRUE(then.ok()) << then.error().text();
  EXPECT_EQ(then->timeline, 1u);
  EXPECT_EQ(then->snapshot_index, 2u);
  EXPECT_FALSE(resolve(target_at(at(50))).ok());
  // It alone leads there: who keeps the window keeps it.
  const auto stretches = stretches_to_keep(*archive_, snapshots_).value();
  EXPECT_EQ(describe(stretches), describe({{at(0), at(40), {}}, {at(61), at(70), {}}, {at(90), at(100), {}}}));
  EXPECT_EQ(stretches[1].snapshot_index, 2u);
}

TEST_F(RestoredToAHole, WhatCanNotBeReadBehindItIsOfNoMatter) {
  for (const std::string& name : store_.record_names("db." + std::to_string(TestWal::kSystemId)))
    if (name.starts_with(wal_.segment_name(4))) store_.lose(name);
  archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  EXPECT_EQ(resolve({})->timeline, 2u);
  EXPECT_TRUE(resolve(target_at(at(40))).ok());
  EXPECT_FALSE(resolve(target_at(at(65))).ok());
}

// Case: of the segment in which the two part only the new timeline's copy is stored, and the old one's next segment.
TEST_F(HolesTest, WhatBothTimelinesHaveIsRestoredThoughTheOldOnesCopyIsMissing) {
  for (size_t i = 0; i < 3; i++) push(i);
  TestWal restored = wal_.fork(2);
  TargetTest::fill();
  commit(750, 60);
  push(4);
  const Lsn stop = restored.commit(850, at(90));
  push_timeline_2(restored, end_);
  snapshots_.push_back(snapshot(2, end_, stop, at(95)));
  for (const int seconds : {25, 35, 40, 90}) EXPECT_EQ(resolve(target_at(at(seconds)))->timeline, 2u) << seconds;
  EXPECT_FALSE(resolve(target_at(at(50))).ok());
}

// Case: a commit of thousands of tables' DDL, which may be longer than a segment of WAL.
class LongCommit : public HolesTest, public testing::WithParamInterface<size_t> {};

TEST_P(LongCommit, Counts) {
  const Lsn commit = wal_.commit(750, at(50), GetParam());
  for (size_t i = 0; i * kSegment < wal_.bytes().size(); i++) push(i);
  ASSERT_TRUE(archive_->mark(1, wal_.position(), at(60)).ok());
  const auto before = resolve(target_at(at(45)));
  ASSERT_TRUE(before.ok()) << before.error().text();
  EXPECT_THAT(before->settings, Contains(Pair("recovery_target_time", testing::_)));
  EXPECT_TRUE(resolve(target_xid(750)).ok());
  EXPECT_THAT(resolve({})->description, HasSubstr(format_rfc3339(at(50))));
  // Nothing whole follows it in its last segment: it is the last record all the same.
  const auto after = resolve(target_at(at(55)));
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_THAT(after->settings, Contains(Pair("recovery_target_lsn", commit.text())));
}
INSTANTIATE_TEST_SUITE_P(Bytes, LongCommit, testing::Values(9 << 10, 1 << 20, 3 << 20, 18 << 20));

// Case: a server that archives only since some time after it was restored to the past.
TEST_F(HolesTest, WalWhoseHistoryIsNotStoredIsNotForgotten) {
  push_all();
  TestWal restored = wal_.fork(2);
  commit(750, 60);
  push_rest_of_timeline_1();
  fill(restored);
  restored.commit(850, at(90));
  push_segments_of_2(restored, 4);
  EXPECT_THAT(problem({}),
              HasSubstr("WAL of timeline 2 is stored, whose last commit (2027-01-15T08:01:30.000000Z) is later "
                        "than all that is known of 1, but its history is not stored (push 00000002.history"));
  EXPECT_THAT(problem(target_at(at(95))), HasSubstr("its history is not stored"));
  EXPECT_EQ(resolve(target_at(at(60)))->timeline, 1u);
  EXPECT_EQ(resolve(on_timeline(1))->timeline, 1u);
  commit(770, 110);
  ASSERT_TRUE(archive_->push_part(1, commits_[770], wal_.bytes().subspan(commits_[770].value - start_.value)).ok());
  EXPECT_THAT(resolve({})->notes, ElementsAre(HasSubstr("timeline 2, of which WAL is stored, is left aside")));
}

// The same with its history, and without its first WAL.
TEST_F(HolesTest, ATimelineWhoseBeginningIsMissingIsNotForgotten) {
  push_all();
  TestWal restored = wal_.fork(2);
  const std::string history = fmt::format("1\t{}\tx\n", end_.text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
  fill(restored);
  restored.commit(850, at(90));
  push_segments_of_2(restored, 4);
  EXPECT_THAT(problem({}), HasSubstr("is missing"));
  EXPECT_EQ(resolve(on_timeline(1))->timeline, 1u);
}

// Case: the server would ask for the new timeline's copy of the segment in which the two part.
TEST_F(HolesTest, AnInstantBeforeTheyPartNeedsNothingOfTheNewTimeline) {
  push_all();
  TestWal restored = wal_.fork(2);
  const std::string history = fmt::format("1\t{}\tx\n", end_.text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
  fill(restored);
  const Lsn start = restored.position(), stop = restored.commit(850, at(90));
  restored.commit(860, at(100));
  push_segments_of_2(restored, 4);
  snapshots_.push_back(snapshot(2, start, stop, at(95)));
  const auto before = resolve(target_at(at(35)));
  ASSERT_TRUE(before.ok()) << before.error().text();
  EXPECT_EQ(before->timeline, 1u);
  EXPECT_THAT(before->settings, Contains(Pair("recovery_target_timeline", "1")));
  EXPECT_EQ(resolve(target_at(at(97)))->timeline, 2u);
}

// Case: the old primary went on beside, and its WAL goes on where the new one has a hole.
TEST_F(HolesTest, TheOldTimelineDoesNotFillAHoleOfTheNewOne) {
  push_all();
  TestWal restored = wal_.fork(2);
  TargetTest::fill();
  TargetTest::fill();
  TargetTest::fill();
  for (size_t i = 4; i < 6; i++) push(i);
  const std::string history = fmt::format("1\t{}\tx\n", end_.text());
  ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
  for (int i = 0; i < 2; i++) fill(restored);
  restored.commit(850, at(90));
  push_segments_of_2(restored, 5);
  EXPECT_THAT(archive_->gaps(2, start_, restored.position()).value(), Not(IsEmpty()));
  EXPECT_THAT(archive_->gaps(1, start_, end_).value(), IsEmpty());
}

// Case: restored to begin with one point, of a cluster that others tell more of.
TEST_F(HolesTest, OfOnePointAloneTheOthersTellWhatTheClusterWentThrough) {
  push_all();
  TestWal promoted = wal_.fork(2);
  commit(750, 50);
  commit(760, 70);
  push_rest_of_timeline_1();
  promoted.commit(850, at(60));
  const Lsn stop = promoted.position();
  promoted.commit(860, at(100));
  push_timeline_2(promoted, end_);
  snapshots_.push_back(snapshot(2, end_, stop, at(62)));
  const auto newest = resolve_target(*archive_, snapshots_, {}, 0);
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->timeline, 2u);
  EXPECT_EQ(newest->snapshot_index, 0u);
  EXPECT_EQ(resolve_target(*archive_, snapshots_, target_immediate(), 0)->timeline, 1u);
  // One that lies behind the place where the two part leads to its own timeline alone.
  const Lsn astray = wal_.position();
  commit(770, 72);
  ASSERT_TRUE(archive_->push_part(1, astray, wal_.bytes().subspan(astray.value - start_.value)).ok());
  snapshots_.push_back(snapshot(1, end_, astray, at(71)));
  const auto own = resolve_target(*archive_, snapshots_, on_timeline(1), 2);
  ASSERT_TRUE(own.ok()) << own.error().text();
  EXPECT_EQ(own->snapshot_index, 2u);
}

TEST_F(HolesTest, AHeaderThatCanNotBeReadEndsTheLogThere) {
  push_all();
  store_.lose(wal_.segment_name(2));
  EXPECT_EQ(resolve(target_at(at(15)))->timeline, 1u);
  EXPECT_THAT(problem(target_at(at(35))), HasSubstr("record " + wal_.segment_name(2) + " is damaged"));
  EXPECT_THAT(problem({}), HasSubstr("can't be read"));
}

TEST_F(HolesTest, WhereAnotherTimelineIsDamagedAPersonHasToChoose) {
  push_all();
  TestWal stray = wal_.fork(2);
  stray.commit(850, at(42));
  push_timeline_2(stray, end_);
  commit(750, 60);
  push_rest_of_timeline_1();
  EXPECT_EQ(resolve({})->timeline, 1u);
  for (const std::string& name : store_.record_names("db." + std::to_string(TestWal::kSystemId)))
    if (name.starts_with("00000002") && !name.ends_with("history")) store_.lose(name);
  archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  for (const Target& target : {Target(), target_at(at(50))}) {
    // Whether it has taken over nobody can tell.
    const auto unclear = resolve(target);
    ASSERT_FALSE(unclear.ok());
    EXPECT_EQ(unclear.error().code(), ErrorCode::kDamaged);
    EXPECT_EQ(unclear.error().hint(),
              "--timeline 1, that of the newest point, goes along it without a look at the others");
    EXPECT_EQ(resolve(on_timeline(1, target))->timeline, 1u);
  }
  // At its end of recovery the server would ask for it.
  store_.lose("00000002.history");
  archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  const auto refused = resolve(on_timeline(1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kDamaged);
  EXPECT_THAT(refused.error().hint(), HasSubstr("push 00000002.history again"));
}

TEST_F(HolesTest, AnEventIsFoundFromAnOlderSnapshotWhereANewerOneIsNotWhole) {
  push_all();
  snapshots_.push_back(snapshot(1, end_, Lsn{end_.value + kSegment}, at(41)));
  EXPECT_EQ(resolve(target_name("release"))->snapshot_index, 0u);
  EXPECT_EQ(resolve(target_xid(730))->snapshot_index, 0u);
  EXPECT_THAT(problem(target_xid(999)),
              testing::AllOf(HasSubstr("transaction 999 has not committed"), HasSubstr("the snapshot of")));
}

TEST_F(HolesTest, APositionOrTransactionThatTwoTimelinesHaveIsSaidToBe) {
  push_all();
  TestWal restored = wal_.fork(2);
  commit(750, 60);
  push_rest_of_timeline_1();
  restored.commit(750, at(90));
  const Lsn stop = restored.position();
  push_timeline_2(restored, end_);
  // Both went on, and nobody has said which counts.
  TestWal late = wal_;
  late.commit(760, at(89));
  ASSERT_TRUE(archive_->push_part(1, wal_.position(), late.bytes().subspan(wal_.position().value - start_.value)).ok());
  if (!resolve({}).ok()) {
    EXPECT_THAT(problem(target_xid(750)), HasSubstr("choose with --timeline 1 or --timeline 2"));
    EXPECT_THAT(problem(target_lsn(stop.text())), HasSubstr("choose with --timeline 1 or --timeline 2"));
  }
  EXPECT_EQ(resolve(target_xid(730))->timeline, resolve(target_at(at(35)))->timeline);
  snapshots_.push_back(snapshot(2, end_, stop, at(95)));
  const auto found = resolve(target_xid(740));
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_THAT(found->notes, IsEmpty()) << "that is before they part";
  EXPECT_THAT(problem(target_xid(760)), HasSubstr("timeline 1 was at work until"));
}

}  // namespace
}  // namespace holdfast::postgres
