// Covers: which snapshot a target is reached from when one of a history that was left
// behind is the newest; how far the window goes then. Replays are in materialise_test.cc.
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

  void take(const std::string& replid, uint64_t offset, Time instant) {
    repo::Snapshot snapshot;
    snapshot.component = "cache";
    snapshot.kind = "redis";
    snapshot.instant = instant;
    SnapshotSource source;
    source.position = {replid, offset};
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
  EXPECT_EQ(resolve(at(12))->snapshot_index, 1u) << "it is as near as it gets";
  const auto later = resolve(at(30));
  ASSERT_TRUE(later.ok()) << later.error().text();
  EXPECT_EQ(later->snapshot_index, 0u);
  EXPECT_EQ(later->instant, at(30));
  const auto newest = resolve();
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->snapshot_index, 0u);
  EXPECT_EQ(newest->instant, at(40));
  EXPECT_EQ(recovery_window(*log_, snapshots_)->until, at(40));
}

TEST_F(RedisTarget, TheNewestOfSeveralOnOneLineIsTaken) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  const uint64_t later = 100 + 10 * encode_command({"SET", "key", "10"}).size();
  take(kLiving, later, at(10));
  EXPECT_EQ(resolve()->snapshot_index, 1u);
  EXPECT_EQ(resolve(at(30))->snapshot_index, 1u);
  EXPECT_EQ(resolve(at(9))->snapshot_index, 0u);
}

TEST_F(RedisTarget, WhatNoLogReachesSaysTheWholeWindow) {
  take(kLiving, 100, at(0));
  receive(kLiving, 100, at(1), 40);
  take(kLeft, 500, at(10));
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
