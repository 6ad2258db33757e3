#include "source/postgres/capture.h"

#include <gtest/gtest.h>

#include "source/postgres/page.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kDigest = "select count(*) || ':' || coalesce(sum(hashtext(t::text)::bigint), 0) from t";

TEST(Capture, AFullSnapshotRestoresToTheSameContents) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql(
      "create table t as select g, repeat(md5(g::text), 5) from generate_series(1, 30000) g; create index on t (g)"));
  const std::string digest = cluster.sql(kDigest).value();
  TestRig rig;
  auto snapshot = rig.capture(cluster);
  ASSERT_OK(snapshot);
  EXPECT_FALSE(snapshot.value().incremental);
  EXPECT_TRUE(snapshot.value().faults.empty());
  auto source = snapshot_source(snapshot.value());
  ASSERT_OK(source);
  EXPECT_EQ(source.value().counts["postgres"]["public.t"]["rows"], 30000);
  EXPECT_EQ(source.value().counts["postgres"]["public.t"]["exact"], true);
  auto restored = rig.restore(snapshot.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql(kDigest).value(), digest);
}

TEST(Capture, AnIncrementalStoresTheChangedPagesAndRestoresWhole) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(
      cluster.sql("create table t as select g, md5(g::text) || md5((g + 1)::text) m from generate_series(1, 300000) g; "
                  "create index on t (g)"));
  ASSERT_OK(cluster.sql("vacuum freeze t"));  // no hint is left to be set by reading
  TestRig rig;
  auto first = rig.capture(cluster);
  ASSERT_OK(first);
  const repo::Snapshot* previous = &first.value();
  std::vector<repo::Snapshot> later;
  later.reserve(3);
  for (int round = 0; round < 3; round++) {
    ASSERT_OK(cluster.sql("update t set m = 'round " + std::to_string(round) +
                          "' where g % 9000 = " + std::to_string(round)));
    auto next = rig.capture(cluster, previous);
    ASSERT_OK(next);
    EXPECT_TRUE(next.value().incremental);
    EXPECT_LT(next.value().stored_bytes * 8, first.value().stored_bytes) << "round " << round;
    later.push_back(next.value());
    previous = &later.back();
  }
  const std::string digest = cluster.sql(kDigest).value();
  auto restored = rig.restore(later.back());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql(kDigest).value(), digest);
  EXPECT_EQ(restored.value()->sql("select count(*) from t where m like 'round%'").value(), "101");
}

// Without checksums VACUUM sets PD_ALL_VISIBLE without a new page LSN, and the
// visibility map at the same time. Were the page taken over by its LSN, a later
// DELETE would not clear the map, and an index-only scan would show deleted rows.
TEST(Capture, WithoutChecksumsPagesAreComparedByteByByte) {
  SKIP_WITHOUT_SERVER();
  TestCluster::Options options;
  options.checksums = false;
  auto made = TestCluster::create(options);
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql(
      "create table t as select g, md5(g::text) m from generate_series(1, 100000) g; create index on t (g)"));
  ASSERT_OK(cluster.sql("select count(*) from t"));  // sets the hints
  TestRig rig;
  auto first = rig.capture(cluster);
  ASSERT_OK(first);
  ASSERT_OK(cluster.sql("vacuum t"));
  auto second = rig.capture(cluster, &first.value());
  ASSERT_OK(second);
  EXPECT_TRUE(second.value().incremental);
  auto restored = rig.restore(second.value());
  ASSERT_OK(restored);
  ASSERT_OK(restored.value()->sql("delete from t where g % 2 = 0"));
  EXPECT_EQ(restored.value()
                ->sql("set enable_seqscan = off; set enable_bitmapscan = off; select count(*) from t where g > 0")
                .value(),
            "50000");
}

}  // namespace
}  // namespace holdfast::postgres
