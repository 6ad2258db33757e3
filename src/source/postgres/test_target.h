#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "repo/test_clock.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"

namespace holdfast::postgres {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;
constexpr Time at(int seconds) { return Time::from_unix_seconds(1'800'000'000 + seconds); }

// A log of four segments: a snapshot over the first, then commits every 10 s.
using Target = source::RestoreTarget;
inline Target target_at(Time time, bool inclusive = true) {
  Target target;
  target.time = time;
  target.inclusive = inclusive;
  return target;
}
inline Target target_lsn(const std::string& lsn) {
  Target target;
  target.lsn = lsn;
  return target;
}
inline Target target_xid(uint64_t xid) {
  Target target;
  target.xid = xid;
  return target;
}
inline Target target_name(const std::string& name) {
  Target target;
  target.name = name;
  return target;
}
inline Target target_immediate() {
  Target target;
  target.immediate = true;
  return target;
}
inline Target on_timeline(uint32_t timeline, Target target = {}) {
  target.timeline = timeline;
  return target;
}

class TargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    start_ = Lsn{kSegment};
    wal_.filler(100);
    stop_ = wal_.position();
    commit(710, 10);
    fill();
    commit(720, 20);
    point_ = wal_.restore_point("release", at(25));
    wal_.abort(725, at(26));
    fill();
    commit(730, 30);
    fill();
    commit(740, 40);
    end_ = wal_.position();
    snapshots_.push_back(snapshot(1, start_, stop_, at(0)));
  }

  void commit(uint32_t xid, int seconds) { commits_[xid] = wal_.commit(xid, at(seconds)); }
  void fill() {
    wal_.fill_segment();
    wal_.switch_segment();
  }
  void push(size_t number) {
    if ((number + 1) * kSegment <= wal_.bytes().size()) {
      const auto stored = archive_->push(wal_.segment_name(number), wal_.segment(number));
      ASSERT_TRUE(stored.ok()) << stored.error().text();
    } else {
      const auto stored = archive_->push_part(1, Lsn{(number + 1) * kSegment}, wal_.bytes().subspan(number * kSegment));
      ASSERT_TRUE(stored.ok()) << stored.error().text();
    }
  }
  void push_all() {
    for (size_t i = 0; i < 4; i++) push(i);
  }
  void push_timeline_2(const TestWal& wal, Lsn left_at) {
    const std::string history = fmt::format("1\t{}\tno recovery target specified\n", left_at.text());
    ASSERT_TRUE(archive_->push("00000002.history", as_bytes(history)).ok());
    ASSERT_TRUE(archive_->push_part(2, Lsn{4 * kSegment}, wal.bytes().subspan(3 * kSegment)).ok());
  }
  void push_rest_of_timeline_1() {
    ASSERT_TRUE(archive_->push_part(1, end_, wal_.bytes().subspan(end_.value - start_.value)).ok());
  }
  static repo::Snapshot snapshot(uint32_t timeline, Lsn start, Lsn stop, Time time) {
    SnapshotSource source;
    source.system_id = TestWal::kSystemId;
    source.major = 15;
    source.segment_bytes = kSegment;
    source.timeline = timeline;
    source.start = source.checkpoint = start;
    source.stop = stop;
    source.stop_time = time;
    repo::Snapshot snapshot;
    snapshot.component = "db";
    snapshot.kind = "postgres";
    snapshot.source = to_json(source);
    return snapshot;
  }
  Result<ResolvedTarget> resolve(const source::RestoreTarget& target) {
    return resolve_target(*archive_, snapshots_, target);
  }
  std::string problem(const source::RestoreTarget& target) {
    const auto resolved = resolve(target);
    if (resolved.ok()) return "resolved: " + resolved.value().description;
    EXPECT_EQ(resolved.error().code(), ErrorCode::kUnreachableTarget);
    return resolved.error().text();
  }

  TestLogStore store_;
  repo::TestClock clock_;
  std::unique_ptr<WalArchive> archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  TestWal wal_;
  Lsn start_, stop_, point_, end_;
  std::map<uint32_t, Lsn> commits_;
  std::vector<repo::Snapshot> snapshots_;
};

}  // namespace holdfast::postgres
