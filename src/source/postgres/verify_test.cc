#include "source/postgres/verify.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/postgres/private_server.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

TEST(Verify, AScratchDirectoryMustBeOpenToTheServersAccount) {
  if (::geteuid() != 0) GTEST_SKIP() << "nobody else runs the server";
  FileSystem& fs = real_file_system();
  const auto user = server_user("/");
  ASSERT_OK(user);
  std::string closed = "/tmp/holdfast-closed-XXXXXX";
  ASSERT_NE(::mkdtemp(closed.data()), nullptr);
  const auto refused = check_way_into(fs, *user, closed + "/scratch/below");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kPermission);
  EXPECT_EQ(refused.error().message(), "the server will run as 'postgres', which can't get into " + closed);
  EXPECT_EQ(::chmod(closed.c_str(), 0711), 0);
  ASSERT_OK(check_way_into(fs, *user, closed + "/scratch/below"));
  ASSERT_OK(remove_tree(fs, closed));
}

TEST(Verify, OfflineAndBootedAGoodSnapshotHasNoFindings) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(
      cluster.sql("create table t (g int primary key check (g > 0), m text); insert into t select g, md5(g::text) from "
                  "generate_series(1, 20000) g"));
  TestRig rig;
  auto snapshot = rig.capture(cluster);
  ASSERT_OK(snapshot);
  auto offline = verify_offline(rig.world, rig.repository(), snapshot.value());
  ASSERT_OK(offline);
  EXPECT_TRUE(offline.value().findings.empty());
  EXPECT_GE(offline.value().checked_bytes, snapshot.value().source_bytes);
  EXPECT_GT(offline.value().checked_objects, 2000u);
}

TEST(Verify, BootingRunsChecksCountsAndAssertionsAndCleansUp) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(
      cluster.sql("create table t (g int primary key check (g > 0), m text); insert into t select g, md5(g::text) from "
                  "generate_series(1, 20000) g"));
  TestRig rig;
  auto captured = rig.capture(cluster);
  ASSERT_OK(captured);
  repo::Snapshot snapshot = captured.value();
  BootOptions options;
  options.scratch_directory = cluster.scratch() + "/boot";
  options.restore_command = rig.export_wal(cluster, snapshot).value();
  options.assertions = {{"all rows", "postgres", "select count(*) = 20000 from t"},
                        {"never", "postgres", "select false"}};
  ASSERT_OK(real_file_system().make_directory(options.scratch_directory, 0755));
  ResolvedTarget target;
  target.settings = {{"recovery_target_timeline", "latest"}, {"recovery_target", "immediate"}};
  const SnapshotSource source = snapshot_source(snapshot).value();
  target.timeline = source.timeline;
  target.replay_from = source.start;
  target.replay_to = source.stop;
  target.as_captured = true;
  auto report = verify_by_booting(rig.world, rig.repository(), snapshot, target, options);
  ASSERT_OK(report);
  ASSERT_EQ(report.value().findings.size(), 1u);
  EXPECT_EQ(report.value().findings[0].object, "assertion 'never'");
  EXPECT_EQ(report.value().findings[0].problem, "does not hold: f");
  EXPECT_EQ(report.value().details["amcheck"], true);
  EXPECT_EQ(report.value().details["counts_compared"], true);

  // Rows that are not there any more, as the counts tell.
  snapshot.source["counts"]["postgres"]["public.t"]["rows"] = 20001;
  options.assertions.clear();
  report = verify_by_booting(rig.world, rig.repository(), snapshot, target, options);
  ASSERT_OK(report);
  ASSERT_EQ(report.value().findings.size(), 1u);
  EXPECT_EQ(report.value().findings[0].problem, "has 20000 rows, 20001 were counted at capture");
  EXPECT_TRUE(is_empty_directory(real_file_system(), options.scratch_directory).value());
}

}  // namespace
}  // namespace holdfast::postgres
