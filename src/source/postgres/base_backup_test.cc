#include "source/postgres/base_backup.h"

#include <gtest/gtest.h>

#include "source/postgres/test_rig.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kDigest = "select count(*) || ':' || coalesce(sum(hashtext(t::text)::bigint), 0) from t";

TEST(BaseBackup, MessagesAreUnderstoodAndBrokenOnesRefused) {
  const std::string begin("n16385.tar\0/srv/space\0", 22);
  auto message = parse_archive_message(as_bytes(begin));
  ASSERT_OK(message);
  EXPECT_EQ(message.value().kind, ArchiveMessage::Kind::kNewArchive);
  EXPECT_EQ(message.value().archive, "16385.tar");
  EXPECT_EQ(message.value().location, "/srv/space");
  for (size_t length = 0; length < begin.size(); length++)
    EXPECT_FALSE(parse_archive_message(as_bytes(begin.substr(0, length))).ok()) << length;
  EXPECT_EQ(parse_archive_message(as_bytes("x")).error().message(), "a base backup message of unknown type 120");
  EXPECT_EQ(as_text(parse_archive_message(as_bytes("dabc")).value().data), "abc");
}

TEST(BaseBackup, AClusterIsCapturedOverTheProtocolAndItsIncrementalStoresChangedPages) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string location = cluster.scratch() + "/space";
  ASSERT_OK(real_file_system().make_directory(location, 0700));
  cluster.own(location);
  ASSERT_OK(cluster.sql("create tablespace s location '" + location + "'"));
  ASSERT_OK(
      cluster.sql("create table t tablespace s as select g, md5(g::text) || md5((g + 1)::text) m from "
                  "generate_series(1, 200000) g"));
  ASSERT_OK(cluster.sql("create index on t (g)"));
  ASSERT_OK(cluster.sql("vacuum freeze t"));
  TestRig rig;
  auto first = rig.capture(cluster, nullptr, CaptureMethod::kProtocol);
  ASSERT_OK(first);
  EXPECT_EQ(first.value().source["method"], "protocol");
  ASSERT_OK(cluster.sql("update t set m = 'changed' where g % 20000 = 1"));
  const std::string digest = cluster.sql(kDigest).value();
  auto second = rig.capture(cluster, &first.value(), CaptureMethod::kProtocol);
  ASSERT_OK(second);
  EXPECT_TRUE(second.value().incremental);
  EXPECT_LT(second.value().stored_bytes * 8, first.value().stored_bytes);
  auto verified = verify_offline(rig.world, rig.repository(), second.value());
  ASSERT_OK(verified);
  for (const auto& finding : verified.value().findings) ADD_FAILURE() << finding.object << ": " << finding.problem;
  MaterialiseOptions options;
  options.tablespaces[location] = cluster.scratch() + "/moved";
  auto restored = rig.restore(second.value(), options);
  ASSERT_OK(restored);
  auto after = restored.value()->sql(kDigest);
  ASSERT_OK(after);
  EXPECT_EQ(after.value(), digest);
  EXPECT_EQ(restored.value()->sql("select count(*) from t where m = 'changed'").value(), "10");
}

}  // namespace
}  // namespace holdfast::postgres
