#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "recovery/cluster.h"
#include "recovery/prune.h"
#include "recovery/restore.h"
#include "recovery/stats.h"
#include "recovery/test_stack.h"
#include "recovery/windows.h"
#include "repo/missing.h"
#include "repo/write_session.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/test_wal.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/frame_codec.h"

namespace holdfast::recovery {

inline const std::string kLiving(40, 'a'), kLeft(40, 'b'), kNext(40, 'c');

// Points and logs of a cluster and of a Redis server that never ran, beside one of files.
class TestWindows : public TestStack {
 protected:
  void SetUp() override {
    TestStack::SetUp();
    add("a");
    auto report = back_up();
    ASSERT_TRUE(report.ok()) << report.error().text();
    root_of_files_ = report->point.snapshots[0].root;
    now_ = system_clock().now();
  }
  Time ago(int minutes) const { return now_ - Duration::seconds(60 * minutes); }

  repo::Snapshot snapshot(const std::string& component, const std::string& kind, Time instant) const {
    repo::Snapshot snapshot;
    snapshot.component = component;
    snapshot.kind = kind;
    snapshot.root = root_of_files_;
    snapshot.instant = instant;
    snapshot.source = nlohmann::json::object();
    return snapshot;
  }
  repo::Snapshot of_cluster(uint32_t timeline, postgres::Lsn start, postgres::Lsn stop, Time time) const {
    postgres::SnapshotSource source;
    source.system_id = postgres::TestWal::kSystemId;
    source.major = 15;
    source.segment_bytes = postgres::TestWal::kSegmentBytes;
    source.timeline = timeline;
    source.start = source.checkpoint = start;
    source.stop = stop;
    source.stop_time = time;
    repo::Snapshot made = snapshot("db", "postgres", time);
    made.source = to_json(source);
    return made;
  }
  repo::Snapshot of_history(const std::string& replid, uint64_t offset, Time instant) const {
    redis::SnapshotSource source;
    source.position = {replid, offset};
    repo::Snapshot made = snapshot("cache", "redis", instant);
    made.source = redis::to_json(source);
    return made;
  }
  repo::PointId commit(repo::Snapshot snapshot, const std::string& missing = "") {
    return commit(std::vector{std::move(snapshot)}, missing);
  }
  repo::PointId commit(std::vector<repo::Snapshot> snapshots, const std::string& missing = "") {
    auto session = repo::WriteSession::begin(workspace().repository(), {}).value();
    repo::Point point;
    point.time = snapshots.front().instant;
    point.stack = "demo";
    point.host = host_;
    point.version = "test";
    point.snapshots = std::move(snapshots);
    if (!missing.empty()) repo::note_missing(point, missing, "it was away");
    EXPECT_TRUE(session->commit(point).ok());
    return point.id;
  }

  // The stored log of a cluster: what a snapshot needs, and a commit a minute after it.
  struct Log {
    std::unique_ptr<postgres::WalArchive> archive;
    postgres::TestWal wal;
    postgres::Lsn start, stop;  // of the snapshot
  };
  Log with_a_commit() {
    Log log;
    log.archive =
        open_archive(workspace(), "db", postgres::TestWal::kSystemId, postgres::TestWal::kSegmentBytes).value();
    log.start = log.wal.position();
    log.wal.filler(100);
    log.stop = log.wal.position();
    log.wal.commit(710, ago(179));
    EXPECT_TRUE(log.archive->push_part(1, log.start, log.wal.bytes()).ok());
    return log;
  }

  // A cluster that was restored to a minute after its first snapshot and promoted; a second
  // snapshot is of the timeline that this left. Returns both points.
  std::pair<repo::PointId, repo::PointId> promoted_cluster() {
    auto archive =
        open_archive(workspace(), "db", postgres::TestWal::kSystemId, postgres::TestWal::kSegmentBytes).value();
    postgres::TestWal wal;
    const postgres::Lsn start = wal.position();
    wal.filler(100);
    const postgres::Lsn stop = wal.position();
    wal.commit(710, ago(179));
    const postgres::Lsn fork = wal.position();
    postgres::TestWal promoted = wal.fork(2);
    wal.commit(720, ago(70));
    const postgres::Lsn late_start = wal.position();
    wal.filler(10);
    const postgres::Lsn late_stop = wal.position();
    wal.commit(730, ago(50));
    promoted.commit(820, ago(40));
    promoted.commit(830, ago(5));
    EXPECT_TRUE(archive->push_part(1, start, wal.bytes()).ok());
    const std::string history = fmt::format("1\t{}\tno recovery target specified\n", fork.text());
    EXPECT_TRUE(archive->push("00000002.history", as_bytes(history)).ok());
    EXPECT_TRUE(archive->push_part(2, start, promoted.bytes()).ok());
    const repo::PointId first = commit(of_cluster(1, start, stop, ago(180)));
    return {first, commit(of_cluster(1, late_start, late_stop, ago(60)))};
  }

  // A command each minute.
  void receive(const std::string& replid, uint64_t offset, int from_minutes_ago, int to_minutes_ago) {
    auto logs = repo::open_log_store(workspace().repository());
    auto log = redis::CommandLog::open(*logs, "cache").value();
    redis::FrameWriter writer;
    writer.begin(offset);
    for (int minutes = from_minutes_ago; minutes >= to_minutes_ago; minutes--)
      writer.add(ago(minutes), redis::encode_command({"SET", "key", "value"}));
    ASSERT_TRUE(log->put_record(writer.take(replid)).ok());
  }

  // The server went back to the living history.
  void leave(uint64_t offset, uint64_t on_with) {
    auto logs = repo::open_log_store(workspace().repository());
    auto log = redis::CommandLog::open(*logs, "cache").value();
    ASSERT_TRUE(log->put_gap({{kLeft, offset}, ago(55), {kLiving, on_with}, ago(54), "back again"}).ok());
  }

  PruneReport run(Duration keep_window = {}, bool dry_run = false) {
    PruneOptions options;
    options.policy.keep_last = 1;
    options.policy.keep_window = keep_window;
    options.dry_run = dry_run;
    options.grace = {};
    options.visibility_margin = {};
    auto report = prune(workspace(), options);
    EXPECT_TRUE(report.ok()) << report.error().text();
    return std::move(report).value();
  }
  static std::vector<std::string> reasons(const PruneReport& report, const repo::PointId& point) {
    for (const auto& decision : report.decisions) {
      if (decision.id == point) return decision.keep ? decision.reasons : std::vector<std::string>{"goes"};
    }
    return {"unknown"};
  }
  static ComponentWindows of(const PruneReport& report, const std::string& component) {
    for (const ComponentWindows& windows : report.windows) {
      if (windows.component == component) return windows;
    }
    return {};
  }
  Result<RestorePlan> plan(const std::string& component, std::optional<Time> time = std::nullopt) {
    RestoreRequest request;
    request.components = {component};
    request.to = root_ + "/out";
    request.target.time = time;
    return plan_restore(workspace(), request);
  }

  void add_cache() {
    ComponentConfig& cache = add("cache");
    cache.kind = "redis";
    cache.redis.data_directory = "/srv/cache";
  }

  std::vector<std::string> notes(const std::string& component) {
    for (const ObjectiveState& state : objective_states(workspace(), false).value()) {
      if (state.component == component) return state.notes;
    }
    return {"no such component"};
  }

  repo::BlockId root_of_files_;
  Time now_;
  std::string host_ = "host";
};

}  // namespace holdfast::recovery
