// Incrementals that read what the log names: every way in which a relation's pages
// can change on a real server, each followed by an incremental that proves, page by
// page, that what it left unread is as it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source/postgres/capture.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

class CaptureByLog : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SERVER();
    TestCluster::Options options;
    options.checksums = GetParam();
    options.settings = {"wal_keep_size = '1GB'", "allow_in_place_tablespaces = on"};
    auto made = TestCluster::create(options);
    ASSERT_OK(made);
    cluster_ = std::move(made).value();
    rig_.prove = true;
  }
  void sql(const std::string& statement, const std::string& database = "postgres") {
    auto done = cluster_->sql(statement, database);
    ASSERT_TRUE(done.ok()) << statement << ": " << done.error().text();
  }
  void capture(const std::string& expected) {
    auto taken = rig_.capture(*cluster_, last_ ? &*last_ : nullptr);
    ASSERT_OK(taken);
    last_ = std::move(taken).value();
    EXPECT_EQ(last_->source["incremental"], expected);
  }
  // Does `statements`, then takes an incremental that must go by the log and be proven.
  void step(const std::vector<std::string>& statements) {
    SCOPED_TRACE(::testing::PrintToString(statements));
    for (const std::string& statement : statements) sql(statement);
    capture("wal");
  }
  // The rows of these tables, as one value.
  static std::string contents(TestCluster& cluster, const std::vector<std::string>& tables) {
    std::string all;
    for (const std::string& table : tables) {
      const auto rows = cluster.sql("select count(*) || ' ' || sum(hashtext(x::text)::bigint) from " + table + " x");
      EXPECT_TRUE(rows.ok()) << rows.error().text();
      all += table + " " + (rows.ok() ? rows.value() : "") + "\n";
    }
    return all;
  }

  std::unique_ptr<TestCluster> cluster_;
  TestRig rig_;
  std::optional<repo::Snapshot> last_;
};

TEST_P(CaptureByLog, NothingThatChangesEscapes) {
  sql("create table t as select i, repeat(md5(i::text), 10) v, box(point(i, i), point(i + 1, i)) b "
      "from generate_series(1, 40000) i");
  sql("create index on t (i)");
  sql("create sequence s");
  capture("");
  capture("wal");
  step({"update t set v = 'x' where i % 100 = 0", "select count(*) from t"});
  step({"select nextval('s') from generate_series(1, 10)"});
  step({"select nextval('s') from generate_series(1, 3)"});
  step({"vacuum t"});
  step({"vacuum (freeze) t"});
  step({"delete from t where i > 20000", "vacuum t"});
  step({"insert into t select i, md5(i::text), null from generate_series(20001, 30000) i"});
  step({"delete from t where i > 10000", "vacuum t",
        "insert into t select i, 'y' from generate_series(10001, 35000) i"});
  step({"create index gin_index on t using gin (string_to_array(v, '0'))",
        "create index gist_index on t using gist (b)", "create index brin_index on t using brin (i)",
        "create index hash_index on t using hash (i)", "create index spgist_index on t using spgist (v)"});
  step({"update t set v = v || 'z', b = box(point(1, i), point(2, 3)) where i % 7 = 0", "vacuum t"});
  step({"vacuum full t"});
  step({"cluster t using t_i_idx", "reindex table t"});
  step(
      {"create table u as select * from t limit 5000", "drop table u", "create table u as select * from t limit 3000"});
  step({"truncate u", "insert into u select * from t limit 100"});
  step({"alter table u set unlogged", "insert into u select * from t limit 100"});
  step({"alter table u set logged"});
  step({"create tablespace aside location ''", "alter table u set tablespace aside",
        "alter index t_i_idx set tablespace aside"});
  step({"create table big (i int, v text)", "alter table big alter v set storage external",
        "insert into big select i, repeat('large', 20000) from generate_series(1, 100) i"});
  step({"update big set v = v || 'r' where i < 10", "delete from big where i > 50", "vacuum big"});
  const std::vector<std::string> tables = {"t", "u", "big"};
  const std::string before = contents(*cluster_, tables);
  auto restored = rig_.restore(*last_);
  ASSERT_OK(restored);
  EXPECT_EQ(contents(*restored.value(), tables), before);
  ASSERT_OK(restored.value()->run({"pg_amcheck", "--all", "--install-missing"}));
}

TEST_P(CaptureByLog, DatabasesMadeAndDroppedAreReadWhole) {
  sql("create table t as select i from generate_series(1, 10000) i");
  capture("");
  step({"create database d"});
  sql("create table t as select i from generate_series(1, 5000) i", "d");
  capture("wal");
  step({"create database e template d"});
  if (cluster_->sql("show server_version_num").value() >= "150000")
    step({"create database f template d strategy file_copy"});
  step({"drop database d", "create database d template e"});
  step({"create tablespace aside location ''", "alter database d set tablespace aside"});
  step({"alter database d set tablespace pg_default"});
  auto restored = rig_.restore(*last_);
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql("select count(*) from t", "d").value(), "5000");
  EXPECT_EQ(restored.value()->sql("select count(*) from t", "e").value(), "5000");
}

TEST_P(CaptureByLog, ACrashIsLived) {
  sql("create table t as select i, repeat('v', 500) v from generate_series(1, 20000) i");
  capture("");
  sql("update t set v = 'w' where i % 50 = 0");
  sql("checkpoint");
  sql("update t set v = 'x' where i % 70 = 0");
  ASSERT_OK(cluster_->stop("immediate"));
  ASSERT_OK(cluster_->start());
  capture("wal");
  step({"update t set v = 'y' where i % 90 = 0"});
  const std::vector<std::string> tables = {"t"};
  const std::string before = contents(*cluster_, tables);
  auto restored = rig_.restore(*last_);
  ASSERT_OK(restored);
  EXPECT_EQ(contents(*restored.value(), tables), before);
}

TEST_P(CaptureByLog, ReadsLittle) {
  sql("create table t as select i, repeat('v', 500) v from generate_series(1, 100000) i");
  sql("vacuum t");
  capture("");
  const uint64_t all = last_->read_bytes;
  rig_.prove = false;
  step({"update t set v = 'w' where i = 5"});
  EXPECT_GT(all, 60u << 20);
  EXPECT_LT(last_->read_bytes, 4u << 20);
}

// Without the log, or under minimal logging, page LSNs decide as ever.
TEST_P(CaptureByLog, GoesByPagesWhereTheLogCanNotTell) {
  sql("create table t as select i from generate_series(1, 10000) i");
  capture("");
  ASSERT_OK(cluster_->append_configuration("wal_level = minimal\nmax_wal_senders = 0\n"));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(cluster_->start());
  sql("create table u as select i from generate_series(1, 10000) i");
  ASSERT_OK(cluster_->append_configuration("wal_level = replica\nmax_wal_senders = 5\n"));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(cluster_->start());
  capture("pages");
  capture("wal");
}

// The standby is captured where it has replayed to, between its own restart points; each
// incremental proves what it left unread.
TEST_P(CaptureByLog, AStandbyGoesByTheLogToo) {
  sql("create table t as select i, repeat('v', 500) v from generate_series(1, 20000) i");
  sql("create index on t (i)");
  auto base = rig_.capture(*cluster_);
  ASSERT_OK(base);
  auto standby = TestCluster::prepare();
  ASSERT_OK(standby);
  MaterialiseOptions options;
  options.standby = true;
  options.primary_conninfo = cluster_->connection().conninfo;
  ASSERT_OK(rig_.materialise_into(*standby.value(), base.value(), options));
  ASSERT_OK(standby.value()->start());
  const auto catch_up = [&] {
    sql("checkpoint");
    const std::string end = cluster_->sql("select pg_current_wal_lsn()").value();
    std::string reached;
    for (int i = 0; i < 600 && reached != "t"; i++) {
      reached = standby.value()->sql("select pg_last_wal_replay_lsn() >= '" + end + "'").value();
      system_clock().sleep(Duration::milliseconds(50));
    }
    ASSERT_EQ(reached, "t");
  };
  std::optional<repo::Snapshot> last;
  const auto capture_there = [&](const std::string& expected) {
    catch_up();
    auto taken = rig_.capture(*standby.value(), last ? &*last : nullptr);
    ASSERT_OK(taken);
    last = std::move(taken).value();
    EXPECT_EQ(last->source["from_standby"], true);
    EXPECT_EQ(last->source["incremental"], expected);
  };
  capture_there("");
  for (const std::string statement : {"update t set v = 'w' where i % 50 = 0", "delete from t where i > 15000",
                                      "vacuum t", "create table u as select * from t limit 5000", "truncate u"}) {
    SCOPED_TRACE(statement);
    sql(statement);
    capture_there("wal");
  }
}

INSTANTIATE_TEST_SUITE_P(Clusters, CaptureByLog, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "WithChecksums" : "WithoutChecksums"; });

}  // namespace
}  // namespace holdfast::postgres
