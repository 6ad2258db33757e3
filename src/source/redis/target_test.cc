// Covers: which snapshot a target is reached from when one of a history that was left
// behind, or may have been, is the newest, or one that may hold what was done later; how far
// the window goes then. Replays are in materialise_test.cc.
#include "source/redis/target.h"

#include <gtest/gtest.h>

#include "repo/log_store.h"
#include "repo/scratch_repository.h"
#include "source/redis/connection.h"
#include "source/redis/frame_codec.h"

namespace holdfast::redis {
namespace {

const std::string kLiving(40, 'a'), kLeft(40, 'b');
Time at(int64_t seconds) { return Time::from_unix_seconds(1'800'000'000 + seconds); }

class RedisTarget : public testing::Test {
 protected:
  RedisTarget() : repository_(scratch_.init()), store_(repo::open_log_store(*repository_)) { reopen(); }
  void reopen() { log_ = CommandLog::open(*store_, "cache").value(); }

  void take(const std::string& replid, uint64_t offset, Time instant, std::optional<Time> latest = std::nullopt) {
    repo::Snapshot snapshot;
    snapshot.component = "cache";
    snapshot.kind = "redis";
    snapshot.instant = instant;
    SnapshotSource source;
    source.position = {replid, offset};
    source.latest = latest;
    snapshot.source = to_json(source);
    snapshots_.push_back(std::move(snapshot));
  }
  // One command a second, from its instant on.
  void receive(const std::string& replid, uint64_t offset, Time from, int commands) {
    FrameWriter writer;
    writer.begin(offset);
    for (int i = 0; i < commands; i++)
      writer.add(from + Duration::seconds(i), encode_command({"SET", "key", std::to_string(10 + i)}));
    ASSERT_TRUE(log_->put_record(writer.take(replid)).ok());
    reopen();
  }
  void leave(uint64_t offset, uint64_t on_with) {
    ASSERT_TRUE(log_->put_gap({{kLeft, offset}, at(15), {kLiving, on_with}, at(16), "back again"}).ok());
    reopen();
  }
  static uint64_t after(uint64_t offset, uint64_t commands) {
    return offset + commands * encode_command({"SET", "key", "10"}).size();
  }
  Result<ResolvedTarget> resolve(std::optional<Time> time = std::nullopt) {
    source::RestoreTarget target;
    target.time = time;
    return resolve_target(*log_, snapshots_, target);
  }

  repo::ScratchRepository scratch_;
  std::unique_ptr<repo::Repository> repository_;
  std::unique_ptr<repo::LogStore> store_;
  std::unique_ptr<CommandLog> log_;
  std::vector<repo::Snapshot> snapshots_;
};

TEST_F(RedisTarget, AHistoryThatWasLeftGivesWayToTheOneThatGoesOn) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLeft, 500, at(10));
  receive(kLeft, 500, at(11), 5);
  leave(after(500, 5), after(100, 16));
  EXPECT_EQ(resolve(at(12))->snapshot_index, 1u) << "it is as near as it gets";
  const auto later = resolve(at(30));
  ASSERT_TRUE(later.ok()) << later.error().text();
  EXPECT_EQ(later->snapshot_index, 0u);
  EXPECT_EQ(later->instant, at(30));
  ASSERT_EQ(later->notes.size(), 1u);
  EXPECT_NE(later->notes[0].find(fmt::format("a newer snapshot, of {}, is of another history, which ends at {}",
                                             format_local(at(10)), format_local(at(15)))),
            std::string::npos)
      << later->notes[0];
  const auto newest = resolve();
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->snapshot_index, 0u);
  EXPECT_EQ(newest->instant, at(40));
  EXPECT_EQ(recovery_window(*log_, snapshots_)->until, at(40));
}

// What is received may be a server that was left, while a backup reached the one that took over.
TEST_F(RedisTarget, AHistoryThatNothingProvesLeftIsNotPassedOver) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLeft, 500, at(10));
  const auto newest = resolve();
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->snapshot_index, 1u);
  EXPECT_EQ(newest->instant, at(10));
  ASSERT_EQ(newest->notes.size(), 1u);
  EXPECT_NE(newest->notes[0].find(fmt::format("commands were received until {}", format_local(at(40)))),
            std::string::npos)
      << newest->notes[0];
  EXPECT_EQ(recovery_window(*log_, snapshots_)->until, at(10));
  EXPECT_EQ(resolve(at(9))->snapshot_index, 0u);
  const auto later = resolve(at(30));
  ASSERT_FALSE(later.ok());
  EXPECT_EQ(later.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_NE(later.error().text().find("nothing proves"), std::string::npos) << later.error().text();

  // A younger snapshot of the line that goes on does.
  take(kLiving, after(100, 35), at(35));
  EXPECT_EQ(resolve(at(30))->snapshot_index, 0u);
  EXPECT_EQ(resolve()->snapshot_index, 2u);
  EXPECT_EQ(resolve()->instant, at(40));
  EXPECT_TRUE(resolve()->notes.empty());
}

TEST_F(RedisTarget, ASnapshotThatMayHoldWhatWasDoneLaterIsTakenOnlyForWantOfAnOlderOne) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLiving, after(100, 11), at(10), at(12));
  EXPECT_EQ(resolve(at(9))->snapshot_index, 0u);
  EXPECT_EQ(resolve(at(11))->snapshot_index, 0u);
  EXPECT_EQ(resolve(at(11))->to, after(100, 11));
  EXPECT_TRUE(resolve(at(11))->notes.empty());
  EXPECT_EQ(resolve(at(12))->snapshot_index, 1u);
  snapshots_.erase(snapshots_.begin());
  const auto alone = resolve(at(11));
  ASSERT_TRUE(alone.ok()) << alone.error().text();
  EXPECT_EQ(alone->to, after(100, 11));
  ASSERT_EQ(alone->notes.size(), 1u);
  EXPECT_NE(alone->notes[0].find("may be in this state"), std::string::npos) << alone->notes[0];
}

TEST_F(RedisTarget, TheNewestOfSeveralOnOneLineIsTaken) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLiving, after(100, 10), at(10));
  EXPECT_EQ(resolve()->snapshot_index, 1u);
  EXPECT_EQ(resolve(at(30))->snapshot_index, 1u);
  EXPECT_EQ(resolve(at(9))->snapshot_index, 0u);
}

// By a clock that was behind then, or ahead before.
TEST_F(RedisTarget, WhatStandsFurtherOnOneLineIsNewerWhateverItsDate) {
  take(kLiving, 200, at(5));
  take(kLiving, 100, at(10));
  const auto newest = resolve();
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->snapshot_index, 0u);
  EXPECT_EQ(newest->instant, at(5));
  EXPECT_TRUE(newest->notes.empty());
  EXPECT_EQ(recovery_window(*log_, snapshots_)->until, at(5));
}

TEST_F(RedisTarget, WhatNoLogReachesSaysTheWholeWindow) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLeft, 500, at(10));
  leave(500, after(100, 16));
  const auto beyond = resolve(at(41));
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_NE(beyond.error().text().find(
                fmt::format("the recovery window is {} to {}", format_local(at(0)), format_local(at(40)))),
            std::string::npos)
      << beyond.error().text();
}

}  // namespace
}  // namespace holdfast::redis
