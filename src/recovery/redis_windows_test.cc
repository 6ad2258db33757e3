// Covers: that the windows of a Redis component and its restores agree at every instant of random
// lives of a server.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "recovery/redis_component.h"
#include "recovery/test_stack.h"
#include "recovery/windows.h"
#include "repo/point_dates.h"
#include "source/files/test_support.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/frame_codec.h"
#include "source/redis/target.h"

namespace holdfast::recovery {
namespace {

using RedisWindows = TestStack;

// A life of a server, with snapshots and a receiver that comes and goes, while it is restarted, fails
// over, and its backlog runs out. Commands are at even seconds, snapshots at odd ones.
class LifeOfAServer {
 public:
  LifeOfAServer(redis::CommandLog& log, uint64_t seed) : log_(log), random_(seed) {}

  void live(int seconds) {
    snapshot();
    for (int i = 0; i < seconds; i++) {
      now_ += 1;
      if (now_ % 2 == 0) {
        if (random_() % 3 == 0) execute();
        if (random_() % 12 == 0) restart();
        if (random_() % 12 == 0) fail_over();
        if (random_() % 8 == 0) toggle();
      } else if (random_() % 6 == 0) {
        snapshot();
      }
      known_.push_back(offset_);
    }
    flush();
  }
  uint64_t truth(int second) const { return known_.at(static_cast<size_t>(second)); }
  static Time at(int half_seconds) {
    return Time::from_unix_microseconds(1'700'000'000'000'000 + 500'000 * static_cast<int64_t>(half_seconds));
  }
  std::vector<redis::SnapshotPlace> snapshots;

 private:
  static std::string replid(int history) { return fmt::format("{:040x}", history); }
  Time now() const { return at(2 * now_); }
  redis::Position here() const { return {replid(history_), offset_}; }
  Bytes command() const { return redis::encode_command({"SET", "key", "value"}); }

  void execute() {
    if (is_receiving_) {
      if (writer_.empty()) writer_.begin(received_);
      writer_.add(now(), command());
    }
    offset_ += command().size();
    if (is_receiving_) received_ = offset_;
  }
  void flush() {
    if (writer_.empty()) return;
    EXPECT_TRUE(log_.put_record(writer_.take(here().replid)).ok());
  }
  void snapshot() { snapshots.push_back({here(), now()}); }

  // The receiver ends, or comes again: to its backlog, or to none.
  void toggle() {
    flush();
    is_receiving_ = !is_receiving_;
    if (!is_receiving_) {
      left_ = now();
      return;
    }
    if (!has_log_ || is_restarted_ || random_() % 3 == 0) return begin_anew();
    if (received_history_ != history_) link();
    const uint64_t missed = (offset_ - received_) / command().size();
    if (missed == 0) return;
    EXPECT_TRUE(log_.put_absence({here().replid, received_, offset_, left_, now()}).ok());
    writer_.begin(received_);
    for (uint64_t i = 0; i < missed; i++) writer_.add(now(), command());
    received_ = offset_;
    flush();
  }
  void begin_anew() {
    snapshot();
    const redis::Position from{replid(received_history_), received_};
    const auto told =
        has_log_ ? log_.put_gap({from, left_, here(), now(), "it begins anew"}) : log_.put_mark(here(), now());
    EXPECT_TRUE(told.ok());
    has_log_ = true;
    is_restarted_ = false;
    received_history_ = history_;
    received_ = offset_;
  }
  void restart() {
    flush();
    history_++;
    is_restarted_ = true;
    offset_ = 1'000'000 + (random_() % 2 == 0 ? 10'000 : -10'000) * history_;  // no place of two lives is alike
    left_ = is_receiving_ ? now() : left_;
    if (is_receiving_) begin_anew();
  }

  void fail_over() {
    flush();
    history_++;
    if (is_receiving_) link();
  }
  void link() {
    const std::string from = replid(received_history_);
    EXPECT_TRUE(log_.put_link({from, here().replid, received_, now()}).ok());
    received_history_ = history_;
  }

  redis::CommandLog& log_;
  std::mt19937_64 random_;
  redis::FrameWriter writer_;
  int now_ = 0;
  int history_ = 0, received_history_ = 0;
  uint64_t offset_ = 100, received_ = 0;
  bool is_receiving_ = false, has_log_ = false, is_restarted_ = false;
  Time left_;
  std::vector<uint64_t> known_ = {100};
};

repo::Snapshot snapshot_at(const redis::SnapshotPlace& place) {
  repo::Snapshot snapshot;
  snapshot.component = "cache";
  snapshot.kind = "redis";
  snapshot.instant = place.instant;
  redis::SnapshotSource source;
  source.position = place.position;
  snapshot.source = redis::to_json(source);
  return snapshot;
}

TEST_F(RedisWindows, WhatIsShownIsWhatCanBeRestored) {
  constexpr int kSeconds = 60;
  auto logs = repo::open_log_store(workspace().repository());
  int joined = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    auto log = redis::CommandLog::open(*logs, fmt::format("cache{}", seed)).value();
    LifeOfAServer life(*log, seed);
    life.live(kSeconds);
    ASSERT_TRUE(log->refresh().ok());
    std::vector<repo::Snapshot> snapshots;
    for (const auto& place : life.snapshots) snapshots.push_back(snapshot_at(place));
    std::vector<SnapshotRef> refs;
    for (const repo::Snapshot& snapshot : snapshots) refs.push_back({nullptr, &snapshot});
    const size_t before = find_windows(*log, refs)->size();
    log->count_on(life.snapshots);
    const auto windows = find_windows(*log, refs).value();
    joined += static_cast<int>(before - windows.size());
    EXPECT_EQ(redis::recovery_window(*log, snapshots)->until, windows.back().until) << seed;
    for (int half = 0; half <= 2 * kSeconds; half++) {
      SCOPED_TRACE(fmt::format("seed {}, second {}", seed, half / 2.0));
      source::RestoreTarget target;
      target.time = LifeOfAServer::at(half);
      const bool is_shown = std::any_of(windows.begin(), windows.end(), [&](const RedisWindow& window) {
        return window.from <= *target.time && *target.time <= window.until;
      });
      const auto resolved = redis::resolve_target(*log, snapshots, target);
      ASSERT_EQ(resolved.ok(), is_shown) << (resolved.ok() ? resolved->description : resolved.error().text());
      if (!resolved.ok()) continue;
      EXPECT_TRUE(!resolved->notes.empty() || resolved->to == life.truth(half / 2)) << resolved->to;
    }
  }
  EXPECT_GT(joined, 20) << "too few lives in which it is about something";
}

// On a slow store each listing of the points is waited for.
TEST_F(RedisWindows, WhenPointsWereStoredIsAskedOnce) {
  files::MeddlingFileSystem fs(real_file_system());
  int listings = 0;
  fs.on_list = [&](const std::string& path) { listings += path.ends_with("/points") ? 1 : 0; };
  auto workspace = Workspace::create(stack_, {fs, clock_, system_random(), progress_}).value();
  repo::Point point;
  for (const char* component : {"cache", "sessions"}) {
    point.snapshots.push_back(snapshot_at({{std::string(40, '0'), 100}, LifeOfAServer::at(0)}));
    point.snapshots.back().component = component;
  }
  ASSERT_TRUE(repo::stored_times(workspace->repository()).ok());
  const int of_one = listings;
  listings = 0;
  EXPECT_EQ(windows_of(*workspace, {point}).value().size(), 2u);
  EXPECT_EQ(listings, of_one);
  EXPECT_GT(of_one, 0);
}

}  // namespace
}  // namespace holdfast::recovery
