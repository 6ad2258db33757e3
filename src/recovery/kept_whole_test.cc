// Covers: what a point that stays only because newer ones have faults keeps of logs; what can be
// restored of it; how a snapshot that lacks its own WAL is told.
#include <gmock/gmock.h>

#include <map>

#include "recovery/missing_wal.h"
#include "recovery/test_windows.h"

namespace holdfast::recovery {
namespace {

using postgres::Lsn;
using postgres::TestWal;
using testing::ElementsAre;
using testing::HasSubstr;
using Reasons = std::vector<std::string>;

class KeptWhole : public TestWindows {};

// A file that nobody can read would else keep all commands for ever.
TEST_F(KeptWhole, NoLogIsKeptForASnapshotOfRedisThatStaysForAnotherComponentsSake) {
  const uint64_t half = 100 + 120 * redis::encode_command({"SET", "key", "value"}).size();
  const auto take = [&](uint64_t offset, int minutes, const std::vector<std::string>& faults) {
    repo::Snapshot data = snapshot("data", "files", ago(minutes));
    data.faults = faults;
    return commit(std::vector{of_history(kLiving, offset, ago(minutes)), data});
  };
  const repo::PointId clean = take(100, 180, {});
  receive(kLiving, 100, 179, 60);
  receive(kLiving, half, 59, 1);
  take(half, 60, {"secret.txt: permission denied"});
  const PruneReport report = run();
  EXPECT_EQ(reasons(report, clean), (Reasons{"newest without faults", "last 1"}));
  ASSERT_EQ(report.logs.size(), 1u);
  EXPECT_EQ(report.logs[0].records.size(), 1u);
  EXPECT_THAT(report.notes, ElementsAre("point " + clean.hex().substr(0, 8) +
                                        " stays only because newer ones have faults: of the log of cache only what "
                                        "its own state needs is kept for it"));
  const auto windows = of(report, "cache").windows;
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].from, ago(180));
  EXPECT_EQ(windows[0].until, ago(180));
  EXPECT_EQ(windows[1].from, ago(60));
  // Its own state is whole without any log.
  add_cache();
  open_again();
  RestoreRequest request;
  request.components = {"cache"};
  request.to = root_ + "/out";
  request.point = clean.hex();
  const auto planned = plan_restore(workspace(), request);
  ASSERT_TRUE(planned.ok()) << planned.error().text();
  EXPECT_EQ(planned->components[0].instant, ago(180));
}

// Two snapshots of a cluster, a file of the newer point unreadable, the segments between and behind.
TEST_F(KeptWhole, APointThatStaysForAnotherComponentsSakeStaysWhole) {
  auto archive = open_archive(workspace(), "db", TestWal::kSystemId, TestWal::kSegmentBytes).value();
  TestWal wal;
  struct Stood {
    Lsn start, stop;
  };
  std::vector<Stood> stood;
  for (int i = 0; i < 2; i++) {
    wal.commit(700, ago(200 - 100 * i));
    const Lsn start = wal.position();
    wal.filler(100);
    stood.push_back({start, wal.position()});
    wal.switch_segment();
    for (int between = 0; between < 3; between++) {
      wal.commit(710, ago(170 - 100 * i));
      wal.switch_segment();
    }
  }
  for (size_t i = 0; i < 8; i++) ASSERT_TRUE(archive->push(wal.segment_name(i), wal.segment(i)).ok());
  const auto take = [&](const Stood& at, int minutes, const std::vector<std::string>& faults) {
    repo::Snapshot data = snapshot("data", "files", ago(minutes));
    data.faults = faults;
    return commit(std::vector{of_cluster(1, at.start, at.stop, ago(minutes)), data});
  };
  const repo::PointId clean = take(stood[0], 180, {});
  take(stood[1], 80, {"secret.txt: permission denied"});
  add("db").kind = "postgres";
  open_again();
  const PruneReport planned = run({}, true), report = run();
  EXPECT_EQ(reasons(report, clean), (Reasons{"newest without faults", "last 1"}));
  ASSERT_EQ(report.logs.size(), 1u);
  EXPECT_THAT(report.logs[0].records, ElementsAre(wal.segment_name(1), wal.segment_name(2), wal.segment_name(3)));
  for (const PruneReport* each : {&planned, &report}) {
    const auto windows = of(*each, "db").windows;
    ASSERT_EQ(windows.size(), 2u);
    EXPECT_EQ(windows[0].from, ago(180));
    EXPECT_EQ(windows[0].until, ago(180));
    EXPECT_EQ(windows[1].from.ns / 1000, ago(80).ns / 1000);
  }
  RestoreRequest request;
  request.components = {"db"};
  request.to = root_ + "/out";
  request.point = clean.hex();
  const auto whole = plan_restore(workspace(), request);
  EXPECT_TRUE(whole.ok()) << whole.error().text();
  request.point.reset();
  request.target.time = ago(100);
  const auto between = plan_restore(workspace(), request);
  ASSERT_FALSE(between.ok());
  EXPECT_EQ(between.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_THAT(between.error().text(), HasSubstr("the recovery windows are "));
  EXPECT_TRUE(run().logs[0].records.empty());
}

TEST_F(KeptWhole, ASnapshotWithoutItsOwnWalIsNamed) {
  const Log log = with_a_commit();
  commit(of_cluster(1, log.start, log.stop, ago(180)));
  EXPECT_TRUE(missing_wal(workspace())->empty());
  const Lsn beyond{log.start.value + 3 * TestWal::kSegmentBytes};
  const repo::PointId point = commit(of_cluster(1, log.start, beyond, ago(100)));
  const repo::PointId stray = commit(of_cluster(2, log.start, log.stop, ago(90)));
  repo::Snapshot unclear = snapshot("db", "postgres", ago(80));
  const repo::PointId odd = commit(unclear);
  std::map<repo::PointId, std::string> problems;
  const auto missing = missing_wal(workspace());
  for (const MissingWal& each : *missing) {
    EXPECT_EQ(each.component, "db");
    problems[each.point] = each.problem;
  }
  EXPECT_EQ(problems.size(), 3u);
  EXPECT_THAT(problems[point], HasSubstr("to 0/400000 is missing (segment "));
  EXPECT_THAT(problems[stray], HasSubstr("00000002.history"));
  EXPECT_THAT(problems[odd], HasSubstr("snapshot of component db"));
}

}  // namespace
}  // namespace holdfast::recovery
