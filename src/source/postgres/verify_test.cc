#include "source/postgres/verify.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/postgres/private_server.h"
#include "source/postgres/row_counts.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

BootOptions boot_options(TestRig& rig, TestCluster& cluster, const repo::Snapshot& snapshot) {
  BootOptions options;
  options.scratch_directory = cluster.scratch() + "/boot";
  ignore(real_file_system().make_directory(options.scratch_directory, 0755), "it may be there");
  auto wal = rig.export_wal(cluster, snapshot);
  EXPECT_TRUE(wal.ok());
  if (wal.ok()) options.restore_command = *wal;
  return options;
}

ResolvedTarget as_captured(const repo::Snapshot& snapshot) {
  ResolvedTarget target;
  target.settings = {{"recovery_target_timeline", "latest"}, {"recovery_target", "immediate"}};
  const SnapshotSource source = snapshot_source(snapshot).value();
  target.timeline = source.timeline;
  target.replay_from = source.start;
  target.replay_to = source.stop;
  target.as_captured = true;
  return target;
}

Result<source::VerifyReport> boot(TestRig& rig, TestCluster& cluster, const repo::Snapshot& snapshot) {
  return verify_by_booting(rig.world, rig.repository(), snapshot, as_captured(snapshot),
                           boot_options(rig, cluster, snapshot));
}

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
  BootOptions options = boot_options(rig, cluster, snapshot);
  options.assertions = {{"all rows", "postgres", "select count(*) = 20000 from t"},
                        {"never", "postgres", "select false"}};
  const ResolvedTarget target = as_captured(snapshot);
  auto report = verify_by_booting(rig.world, rig.repository(), snapshot, target, options);
  ASSERT_OK(report);
  ASSERT_EQ(report.value().findings.size(), 1u);
  EXPECT_EQ(report.value().findings[0].object, "assertion 'never'");
  EXPECT_EQ(report.value().findings[0].problem, "does not hold: f");
  EXPECT_EQ(report.value().details["amcheck"], true);
  EXPECT_EQ(report.value().details["counts_compared"], true);
  EXPECT_EQ(report.value().details["tables_compared"], 1);
  EXPECT_EQ(report.value().details["counts_skipped"], "");

  // Rows that are not there any more, as the counts tell.
  snapshot.source["counts"]["postgres"]["public.t"]["rows"] = 20001;
  options.assertions.clear();
  report = verify_by_booting(rig.world, rig.repository(), snapshot, target, options);
  ASSERT_OK(report);
  ASSERT_EQ(report.value().findings.size(), 1u);
  EXPECT_EQ(report.value().findings[0].problem, "has 20000 rows, 20001 were counted at capture");
  EXPECT_TRUE(is_empty_directory(real_file_system(), options.scratch_directory).value());
}

TEST(Verify, WhatIsCapturedOverTheProtocolIsCompared) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create table t (g int); insert into t select generate_series(1, 100)"));
  TestRig rig;
  auto snapshot = rig.capture(cluster, nullptr, CaptureMethod::kProtocol);
  ASSERT_OK(snapshot);
  auto report = boot(rig, cluster, *snapshot);
  ASSERT_OK(report);
  EXPECT_TRUE(report->findings.empty());
  EXPECT_EQ(report->details["counts_skipped"], "");
  EXPECT_EQ(report->details["counts_compared"], true);
  snapshot->source["counts"]["postgres"]["public.t"]["rows"] = 99;
  report = boot(rig, cluster, *snapshot);
  ASSERT_OK(report);
  ASSERT_EQ(report->findings.size(), 1u);
  EXPECT_EQ(report->findings[0].problem, "has 100 rows, 99 were counted at capture");
}

TEST(Verify, TheReasonIsToldWhereNoRowCountsAreCompared) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create table t (g int); insert into t select generate_series(1, 100)"));
  auto writer = ServerSession::connect(cluster.connection());
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->exec("begin; insert into public.t values (101)"));
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    TestRig rig;
    const auto snapshot = rig.capture(cluster, nullptr, method);
    ASSERT_OK(snapshot);
    EXPECT_EQ(snapshot->source["counts"]["postgres"]["public.t"]["exact"], false);
    const auto report = boot(rig, cluster, *snapshot);
    ASSERT_OK(report);
    EXPECT_TRUE(report->findings.empty());
    EXPECT_EQ(report->details["counts_compared"], false);
    EXPECT_EQ(report->details["counts_skipped"], "a transaction that writes was under way when the capture ended");
  }
  ASSERT_OK((*writer)->exec("rollback"));
  TestRig rig;
  auto snapshot = rig.capture(cluster);
  ASSERT_OK(snapshot);
  auto later = as_captured(*snapshot);
  later.as_captured = false;
  const auto report =
      verify_by_booting(rig.world, rig.repository(), *snapshot, later, boot_options(rig, cluster, *snapshot));
  ASSERT_OK(report);
  EXPECT_EQ(report->details["counts_compared"], false);
  EXPECT_EQ(report->details["counts_skipped"], "rows may have come and gone since they were counted at capture");
}

TEST(Verify, AnIdleStandbysCountsAreExact) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create table t (g int); insert into t select generate_series(1, 100)"));
  ASSERT_OK(cluster.stop());
  ASSERT_OK(write_file_durably(real_file_system(), cluster.data() + "/standby.signal", Bytes(), 0600));
  cluster.own(cluster.data() + "/standby.signal");
  ASSERT_OK(cluster.start());
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    TestRig rig;
    const auto snapshot = rig.capture(cluster, nullptr, method);
    ASSERT_OK(snapshot);
    EXPECT_EQ(snapshot->source["from_standby"], true);
    EXPECT_EQ(snapshot->source["counts_problem"], "");
    EXPECT_EQ(snapshot->source["counts"]["postgres"]["public.t"]["exact"], true);
  }
}

// What was counted is what is there at a place in the log only if nothing was committed between.
TEST(Verify, CountsStandForTheEndOfACaptureOnlyWhereNothingWasCommitted) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create table t (g int)"));
  auto session = ServerSession::connect(cluster.connection());
  ASSERT_OK(session);
  const auto place = [&] {  // behind a record of its own, as that of a backup's end
    return parse_lsn((*session)->value("select pg_logical_emit_message(false, '', '')").value()).value();
  };
  const std::string written = "the server was written to between the count at capture and the end of the capture";
  const std::string writing = "a transaction that writes was under way when the capture ended";
  {
    Stillness still;
    ASSERT_OK(still.look(**session));
    const Lsn stop = place();
    EXPECT_EQ(still.why_not_beyond(**session, stop).value(), "");
  }
  {
    Stillness before_the_end;
    ASSERT_OK(before_the_end.look(**session));
    ASSERT_OK(cluster.sql("insert into t values (1)"));
    const Lsn stop = place();
    EXPECT_EQ(before_the_end.why_not_beyond(**session, stop).value(), written);
  }
  {
    Stillness behind_the_end;
    ASSERT_OK(behind_the_end.look(**session));
    const Lsn stop = place();
    ASSERT_OK(cluster.sql("insert into t values (1)"));
    EXPECT_EQ(behind_the_end.why_not_beyond(**session, stop).value(), written);
  }
  {
    Stillness too_late;
    const Lsn stop = place();
    ASSERT_OK(too_late.look(**session));
    EXPECT_EQ(too_late.why_not_beyond(**session, stop).value(), written);
  }
  {
    Stillness another_look;  // nothing came since
    ASSERT_OK(another_look.look(**session));
    ASSERT_OK(cluster.sql("insert into t values (1)"));
    ASSERT_OK(another_look.look(**session));
    const Lsn stop = place();
    EXPECT_EQ(another_look.why_not_beyond(**session, stop).value(), "");
  }
  auto writer = ServerSession::connect(cluster.connection());
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->exec("begin; insert into public.t values (2)"));
  Stillness under_way;
  ASSERT_OK(under_way.look(**session));
  const Lsn stop = place();
  EXPECT_EQ(under_way.why_not_beyond(**session, stop).value(), writing);
}

}  // namespace
}  // namespace holdfast::postgres
