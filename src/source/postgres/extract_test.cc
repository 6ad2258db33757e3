#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/units.h"
#include "source/postgres/dump.h"
#include "source/postgres/extract.h"
#include "source/postgres/extract_target.h"
#include "source/postgres/inventory.h"
#include "source/postgres/sqlstate.h"
#include "source/postgres/test_meddling.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Extract, NamesAreCutBetweenCharacters) {
  EXPECT_EQ(name_with("orders", "_before"), "orders_before");
  EXPECT_EQ(name_with(std::string(63, 'x'), "_y"), std::string(61, 'x') + "_y");
  // 31 two-byte characters are 62 bytes: one more would be cut in the middle.
  std::string name;
  for (int i = 0; i < 31; i++) name += "ü";
  EXPECT_EQ(name_with(name, "_y").size(), 62u);
  EXPECT_EQ(name_with(name, "_yz"), name.substr(0, 60) + "_yz");
}

TEST(Extract, WhatIsKeptSaysUntilWhenItWasThere) {
  EXPECT_EQ(kept_ending(Time::from_unix_seconds(1'772'357'400)), "_before_20260301_093000");
}

TEST(Extract, ConnectionStringsTakeAnyValue) {
  EXPECT_EQ(conninfo_with("", "dbname", "a"), "dbname='a'");
  EXPECT_EQ(conninfo_with("host=x", "dbname", "it's \\ = ü"), "host=x dbname='it\\'s \\\\ = ü'");
  EXPECT_EQ(conninfo_with("postgresql://x/y", "dbname", "a b"), "postgresql://x/y?dbname=a%20b");
  EXPECT_EQ(conninfo_with("postgresql://x/y?port=1", "dbname", "a"), "postgresql://x/y?port=1&dbname=a");
  EXPECT_EQ(conninfo_with("application_name=a://b?c", "dbname", "a"), "application_name=a://b?c dbname='a'");
}

TEST(Extract, DifferencesAreSaidAndCounted) {
  const Inventory wanted = {{"rows of a", "3"}, {"rows of b", "1"}, {"table a", "x"}};
  EXPECT_EQ(differences(wanted, wanted), std::vector<std::string>());
  const Inventory found = {{"rows of a", "2"}, {"table a", "x"}, {"table c", "y"}};
  EXPECT_EQ(differences(wanted, found), (std::vector<std::string>{"rows of a: 2, not 3", "rows of b: is missing",
                                                                  "table c: is there and should not be"}));
  EXPECT_EQ(differences(wanted, found, 1), (std::vector<std::string>{"rows of a: 2, not 3", "and 2 more"}));
}

// From a server into itself.
class ExtractInto : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SERVER();
    auto made = TestCluster::create();
    ASSERT_OK(made);
    cluster_ = std::move(made).value();
  }
  void capture() {
    auto taken = rig_.capture(*cluster_);
    ASSERT_OK(taken);
    snapshot_ = std::move(taken).value();
    const auto command = rig_.export_wal(*cluster_, snapshot_);
    ASSERT_OK(command);
    options_.restore_command = *command;
    options_.scratch_directory = cluster_->scratch() + "/aside";
    options_.database = options_.target_database = "postgres";
  }
  Result<ExtractReport> extract_now() {
    auto archive = TRY(rig_.archive(snapshot_));
    const ResolvedTarget target = TRY(resolve_target(*archive, {snapshot_}, {}));
    return extract(rig_.world, rig_.repository(), snapshot_, target, cluster_->connection(), options_, system_random());
  }
  std::string sql(const std::string& statement) {
    auto value = cluster_->sql(statement);
    EXPECT_TRUE(value.ok()) << value.error().text();
    return value.ok() ? *value : "";
  }

  MeddlingFileSystem fs_;
  TestRig rig_{fs_};
  std::unique_ptr<TestCluster> cluster_;
  repo::Snapshot snapshot_;
  ExtractOptions options_;
};

TEST_F(ExtractInto, RoomIsLookedForBeforeAnythingIsWritten) {
  sql("create table t as select g from generate_series(1, 1000) g");
  capture();
  options_.target_database = "copy";
  uint64_t scratch = 1 << 20, live = 1 << 20, wal = uint64_t{1} << 40;
  bool is_wal_apart = false;
  const std::string pg_wal = cluster_->data() + "/pg_wal/.";
  fs_.free = [&](const std::string& path) -> std::optional<uint64_t> {
    if (path == cluster_->data()) return live;
    if (path == pg_wal) return is_wal_apart ? wal : live;
    const bool booting = path.find("/boot") != std::string::npos;
    if (path.starts_with(options_.scratch_directory + "/") && !booting) return scratch;
    return std::nullopt;
  };
  fs_.after_stat = [&](const std::string& path, struct stat& status) {
    if (path == pg_wal && is_wal_apart) status.st_dev++;
  };
  const auto refusal = [&] {
    const auto done = extract_now();
    EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
    return done.error().message();
  };
  EXPECT_THAT(refusal(), HasSubstr("has 1.00 MiB free, and the dump may need "));
  scratch = uint64_t{1} << 40;
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("the live server's data directory has 1.00 MiB free, and database postgres needs "),
                    HasSubstr(" for the WAL that loading it writes")));
  // Room for the database, and none for its WAL.
  const uint64_t own = std::strtoull(sql("select pg_database_size('postgres')").c_str(), nullptr, 10) + 66 * kMiB;
  live = own;
  EXPECT_THAT(refusal(), HasSubstr(" for the WAL that loading it writes"));
  is_wal_apart = true;
  wal = 1 << 20;
  EXPECT_THAT(refusal(), HasSubstr("the live server's pg_wal is on a file system of its own with 1.00 MiB free, and "
                                   "loading database postgres needs "));
  EXPECT_EQ(sql("select count(*) from pg_database where datname ~ '^holdfast'"), "0");
  // One file system for dump and data: the same room serves the dump, and then what is loaded.
  scratch = wal = own;
  const auto done = extract_now();
  ASSERT_OK(done);
  EXPECT_EQ(*cluster_->sql("select count(*) from t", "copy"), "1000");
}

// What checkpoints remove is no more than max_wal_size, where nobody keeps it back.
TEST_F(ExtractInto, TheWalOfALoadIsBoundedWhereNothingNeedsIt) {
  auto target = ExtractTarget::open(cluster_->connection(), "copy", system_random());
  ASSERT_OK(target);
  const auto wal_of = [&](uint64_t bytes) { return (*target)->room_for(bytes, fs_).value()->wal; };
  EXPECT_EQ(wal_of(1000), 1000u);
  EXPECT_EQ(wal_of(uint64_t{1} << 40), 2048 * kMiB);
  sql("select pg_create_physical_replication_slot('slow')");
  EXPECT_EQ(wal_of(uint64_t{1} << 40), uint64_t{1} << 40);
}

TEST_F(ExtractInto, NamesThatOnlyLookLikeOursAreNobodysToDrop) {
  sql("create table t as select g from generate_series(1, 10) g; create table p (n int)");
  sql("create schema \"holdfast_restoring_0123456789abcdef_0; drop table public.p; --\"; create schema"
      " holdfast_restoring_0123456789abcdef_x; create schema holdfast_restoring_0123456789abcdef_7");
  capture();
  options_.tables = {"t"};
  options_.target_table = "u";
  const auto done = extract_now();
  ASSERT_OK(done);
  EXPECT_EQ(done->swept,
            std::vector<std::string>({"schema holdfast_restoring_0123456789abcdef_7 in database postgres"}));
  EXPECT_EQ(sql("select count(*) from u"), "10");
  EXPECT_EQ(sql("select to_regclass('p')"), "p");
  EXPECT_EQ(sql("select count(*) from pg_namespace where nspname ~ '^holdfast'"), "2");
  // Nor when what we made is taken back.
  auto target = ExtractTarget::open(cluster_->connection(), "", system_random());
  ASSERT_OK(target);
  sql("create schema " + own_schema((*target)->ours(), 0) + "; create schema \"" + own_schema((*target)->ours(), 1) +
      "; drop table public.p; --\"");
  ASSERT_OK((*target)->drop_ours("postgres", 2));
  EXPECT_EQ(sql("select to_regclass('p')"), "p");
  EXPECT_EQ(sql("select count(*) from pg_namespace where nspname ~ '^holdfast'"), "3");
}

TEST_F(ExtractInto, TablesAreNotRestoredWherePublicationsWouldTakeThemUp) {
  sql("create table t as select g from generate_series(1, 10) g");
  capture();
  options_.tables = {"t"};
  options_.target_table = "u";
  sql("create publication everything for all tables");
  auto done = extract_now();
  EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(done.error().message(),
            "publication 'everything' of database 'postgres' is for all tables: its subscribers would be sent what is "
            "restored, and have no such table");
  sql("drop publication everything");
  if (std::stoi(sql("show server_version_num")) < 150000) return;
  sql("create publication of_schema for tables in schema public");
  for (const bool in_place : {false, true}) {
    options_.target_table = in_place ? "" : "u";
    options_.replace = in_place;
    done = extract_now();
    EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
    EXPECT_NE(done.error().message().find("is for all tables of schema public"), std::string::npos)
        << done.error().message();
  }
}

TEST_F(ExtractInto, APreparedTransactionKeepsItsDatabaseInUse) {
  ASSERT_OK(cluster_->append_configuration("max_prepared_transactions = 2\n"));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(cluster_->start());
  sql("create database shop");
  ASSERT_OK(cluster_->sql("create table t (n int); begin; insert into t values (1); prepare transaction 'half done'",
                          "shop"));
  capture();
  options_.database = options_.target_database = "shop";
  options_.replace = options_.end_sessions = true;
  const auto done = extract_now();
  EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(done.error().message(), "database 'shop' is in use: prepared transaction 'half done' of postgres");
}

TEST_F(ExtractInto, WhatIsNotCarriedOverIsSaid) {
  ASSERT_OK(cluster_->append_configuration("wal_level = logical\n"));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(cluster_->start());
  sql("create database shop");
  ASSERT_OK(
      cluster_->sql("create unlogged table cache as select 1 as n; create table plain as select 2 as n;"
                    " create table pictures (id int, picture oid, other oid);"
                    " insert into pictures values (1, lo_from_bytea(0, 'picture'), 1)",
                    "shop"));
  ASSERT_OK(cluster_->sql("select pg_create_logical_replication_slot('feed', 'test_decoding')", "shop"));
  ASSERT_OK(cluster_->sql("select pg_create_logical_replication_slot('other', 'test_decoding')"));
  capture();
  options_.database = options_.target_database = "shop";
  options_.replace = true;
  auto done = extract_now();
  ASSERT_OK(done);
  EXPECT_THAT(done->notes,
              ElementsAre("without rows, since no copy of a cluster has those of unlogged tables: public.cache",
                          "replication slot 'feed' stays with the database that was there, and holds WAL for it: what "
                          "its consumer gets is nothing of what is restored, and that database can't be dropped "
                          "before: select pg_drop_replication_slot('feed')"));

  options_.tables = {"cache", "pictures", "plain"};
  done = extract_now();
  ASSERT_OK(done);
  EXPECT_THAT(done->notes,
              ElementsAre("without rows, since no copy of a cluster has those of unlogged tables: public.cache",
                          "large objects are not restored with a table: what public.pictures.other, "
                          "public.pictures.picture refer to may not be there"));
}

TEST_F(ExtractInto, SessionsOfOthersAreSeenByAccountsThatMayNotLookAtThem) {
  sql("create role weak login");
  SessionOptions options;
  options.application_name = "theirs";
  const auto held = ServerSession::connect(cluster_->connection(), options);
  ASSERT_OK(held);
  const Connection weak{cluster_->connection().conninfo + " user=weak", {}, {}};
  auto target = ExtractTarget::open(weak, "postgres", system_random());
  ASSERT_OK(target);
  const auto sessions = (*target)->sessions_on("postgres");
  ASSERT_OK(sessions);
  EXPECT_EQ(*sessions, std::vector<std::string>({"1 session of postgres (theirs)"}));
}

TEST_F(ExtractInto, WhatBelongsToExtensionsIsNotCounted) {
  sql("create extension amcheck; create table part (n int primary key); create type pair as (a int, b int);"
      " alter extension amcheck add table part; alter extension amcheck add type pair");
  InventoryOptions options;
  options.database = "postgres";
  const auto found = take_inventory(cluster_->connection(), options);
  ASSERT_OK(found);
  for (const auto& [object, value] : *found) {
    EXPECT_EQ(object.find("part"), std::string::npos) << object;
    EXPECT_EQ(object.find("pair"), std::string::npos) << object;
  }
}

TEST_F(ExtractInto, SqlstatesAreThoseOfTheServer) {
  auto session = ServerSession::connect(cluster_->connection());
  ASSERT_OK(session);
  const auto missing = (*session)->exec("select * from not_there");
  EXPECT_EQ(sqlstate_of(missing.error()), "42P01");
  const auto raised = (*session)->exec("do $$ begin raise 'SQLSTATE XX001 (SQLSTATE 58P01)'; end $$");
  EXPECT_EQ(sqlstate_of(raised.error()), "P0001");
  EXPECT_EQ(sqlstate_of(make_error(ErrorCode::kServer, "no state")), "");
}

}  // namespace
}  // namespace holdfast::postgres
