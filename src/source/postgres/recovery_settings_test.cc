#include "source/postgres/recovery_settings.h"

#include <gtest/gtest.h>

#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

TEST(RecoverySettings, StaleOnesAreCommentedOutAndTheRestIsKept) {
  EXPECT_EQ(comment_out_settings("a = 1\n  Recovery_Target_Time='x'\n# restore_command = 'y'\nrestore_command = 'z'",
                                 is_recovery_setting),
            "a = 1\n# Disabled by holdfast:   Recovery_Target_Time='x'\n# restore_command = 'y'\n# Disabled by "
            "holdfast: restore_command = 'z'");
  EXPECT_EQ(format_settings({{"restore_command", "h 'a b' %f \\n"}}), "restore_command = 'h ''a b'' %f \\\\n'\n");
}

// What the captured cluster had set for recoveries of its own is of none to this one, in whatever file it stands.
TEST(RecoverySettings, OfTheOriginalAreNotInForce) {
  SKIP_WITHOUT_SERVER();
  TestRig rig;
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string more = fmt::format(
      "recovery_target_name = 'early'\nrecovery_target_action = 'shutdown'\n"
      "recovery_end_command = 'touch {0}/ended'\narchive_cleanup_command = 'touch {0}/cleaned'\n",
      cluster.scratch());
  ASSERT_OK(write_file_durably(real_file_system(), cluster.data() + "/more.conf", as_bytes(more), 0644));
  ASSERT_OK(cluster.append_configuration("include 'more.conf'\n"));
  ASSERT_OK(cluster.stop());
  ASSERT_OK(cluster.start());
  ASSERT_OK(cluster.sql("create table t as select 1"));
  auto snapshot = rig.capture(cluster);
  ASSERT_OK(snapshot);
  ASSERT_OK(cluster.sql("select pg_create_restore_point('early')"));
  ASSERT_OK(cluster.sql("insert into t values (2)"));
  const std::string segment = cluster.sql("select pg_walfile_name(pg_current_wal_lsn())").value();
  ASSERT_OK(cluster.sql("select pg_switch_wal()"));
  const auto wal = read_file(real_file_system(), cluster.data() + "/pg_wal/" + segment);
  ASSERT_OK(wal);
  ASSERT_OK(rig.archive(snapshot.value()).value()->push(segment, wal.value()));
  for (const bool immediate : {true, false}) {
    auto target = TestCluster::prepare();
    ASSERT_OK(target);
    TestCluster& restored = *target.value();
    MaterialiseOptions options;
    options.to = restored.data();
    options.restore_command = rig.export_wal(restored, snapshot.value()).value();
    options.uid = restored.user().uid;
    options.gid = restored.user().gid;
    ResolvedTarget resolved;
    resolved.settings = {{"recovery_target_timeline", "latest"}};
    if (immediate) resolved.settings.emplace_back("recovery_target", "immediate");
    ASSERT_OK(materialise(rig.world, rig.repository(), snapshot.value(), resolved, options));
    ASSERT_OK(restored.start());
    ASSERT_OK(TestRig::wait_for_promotion(restored));
    EXPECT_EQ(restored.sql("select count(*) from t").value(), immediate ? "1" : "2");
    EXPECT_EQ(restored.sql("show recovery_end_command").value(), "");
    EXPECT_EQ(restored.sql("show archive_cleanup_command").value(), "");
  }
  EXPECT_FALSE(exists(real_file_system(), cluster.scratch() + "/ended").value());
}

}  // namespace
}  // namespace holdfast::postgres
