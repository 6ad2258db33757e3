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

// The new database's catalogs are its template's, with LSNs from before the first
// capture, under the names of the old one's files.
TEST(BaseBackup, LinksThatTheServerLeavesOutAreMissed) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create database app"));
  const std::string database = "base/" + cluster.sql("select oid from pg_database where datname = 'app'").value();
  FileSystem& fs = real_file_system();
  const std::string elsewhere = cluster.scratch() + "/elsewhere";
  TestRig rig;
  ASSERT_OK(write_file_durably(fs, cluster.data() + "/more.inc", as_bytes("work_mem = '5MB'\n"), 0644));
  ASSERT_OK(cluster.append_configuration("include 'more.inc'\n"));
  for (const std::string& name :
       {std::string("pg_xact"), database, std::string("pg_hba.conf"), std::string("more.inc")}) {
    ASSERT_OK(cluster.stop());
    ASSERT_OK(fs.rename(cluster.data() + "/" + name, elsewhere));
    ASSERT_OK(fs.symlink(elsewhere, cluster.data() + "/" + name));
    ASSERT_OK(cluster.start());
    const auto captured = rig.capture(cluster, nullptr, CaptureMethod::kProtocol);
    if (name == "pg_hba.conf" || name == "more.inc") {
      ASSERT_OK(captured);
      EXPECT_EQ(captured.value().faults,
                (std::vector<std::string>{name + " is not in the point: it is a link, or lies behind one, and "
                                                 "BASE_BACKUP sends nothing of those"}));
    } else {
      ASSERT_FALSE(captured.ok()) << name;
      EXPECT_EQ(captured.error().message(),
                name + " is a link, and of links in the data directory BASE_BACKUP sends nothing");
    }
    ASSERT_OK(cluster.stop());
    ASSERT_OK(fs.remove_file(cluster.data() + "/" + name));
    ASSERT_OK(fs.rename(elsewhere, cluster.data() + "/" + name));
    ASSERT_OK(cluster.start());
  }
}

// They lie in pg_tblspc itself, and no link leads to them: PostgreSQL 15 leaves them out, and does not say so.
TEST(BaseBackup, ATablespaceInPlaceComesBackOrIsMissed) {
  SKIP_WITHOUT_SERVER();
  TestCluster::Options options;
  options.settings = {"allow_in_place_tablespaces = on"};
  auto made = TestCluster::create(options);
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create tablespace inside location ''"));
  ASSERT_OK(cluster.sql("create table t tablespace inside as select g from generate_series(1, 1000) g"));
  TestRig rig;
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    auto taken = rig.capture(cluster, nullptr, method);
    if (method == CaptureMethod::kProtocol && !taken.ok()) {
      EXPECT_EQ(taken.error().code(), ErrorCode::kUnsupported);
      EXPECT_NE(taken.error().text().find("is a tablespace in place"), std::string::npos) << taken.error().text();
      continue;
    }
    ASSERT_OK(taken);
    auto restored = rig.restore(taken.value());
    ASSERT_OK(restored);
    const auto rows = restored.value()->sql("select count(*) from t");
    ASSERT_OK(rows);
    EXPECT_EQ(rows.value(), "1000");
  }
}

TEST(BaseBackup, ADatabaseMadeAgainWithItsOldOidIsNotTakenForTheOldOne) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  if (std::stoi(cluster.sql("show server_version_num").value()) < 150000)
    GTEST_SKIP() << "before PostgreSQL 15 nobody can choose a database's oid";
  ASSERT_OK(cluster.sql("create database plain oid = 90000 strategy = file_copy"));
  ASSERT_OK(cluster.sql("create database model oid = 90001"));
  for (const char* database : {"plain", "model"})
    ASSERT_OK(cluster.sql(std::string("create table t as select '") + database + "' from generate_series(1, 20000) g",
                          database));
  ASSERT_OK(cluster.sql("vacuum freeze", "plain"));
  ASSERT_OK(cluster.sql("vacuum freeze", "model"));
  ASSERT_OK(cluster.sql("checkpoint"));
  TestRig rig;
  auto first = rig.capture(cluster, nullptr, CaptureMethod::kProtocol);
  ASSERT_OK(first);
  auto unchanged = rig.capture(cluster, &first.value(), CaptureMethod::kProtocol);
  ASSERT_OK(unchanged);
  EXPECT_LT(unchanged.value().stored_bytes * 8, first.value().stored_bytes);

  ASSERT_OK(cluster.sql("drop database plain"));
  ASSERT_OK(cluster.sql("create database plain oid = 90000 template model strategy = file_copy"));
  const std::string catalog = "select count(*) || ':' || sum(hashtext(c::text)::bigint) from pg_class c";
  const std::string digest = cluster.sql(catalog, "plain").value();
  auto second = rig.capture(cluster, &unchanged.value(), CaptureMethod::kProtocol);
  ASSERT_OK(second);
  EXPECT_TRUE(second.value().incremental);
  auto restored = rig.restore(second.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql(catalog, "plain").value(), digest);
  EXPECT_EQ(restored.value()->sql("select distinct * from t", "plain").value(), "model");
}

}  // namespace
}  // namespace holdfast::postgres
