#include "source/postgres/materialise.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <regex>

#include "base/places.h"
#include "repo/tree.h"
#include "source/postgres/page.h"
#include "source/postgres/test_meddling.h"
#include "source/postgres/test_rig.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {
namespace {

constexpr const char* kDigest = "select count(*) || ':' || coalesce(sum(hashtext(t::text)::bigint), 0) from t";

class Materialise : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_SERVER(); }
  Result<std::unique_ptr<TestCluster>> with_table() {
    auto cluster = TRY(TestCluster::create());
    TRY(cluster->sql(
        "create table t as select g, md5(g::text) m from generate_series(1, 50000) g; create index on t (g)"));
    TRY(cluster->sql("vacuum freeze t"));
    return cluster;
  }
  // Its oid.
  static std::string add_tablespace(TestCluster& cluster, const std::string& location) {
    EXPECT_TRUE(real_file_system().make_directory(location, 0700).ok());
    cluster.own(location);
    EXPECT_TRUE(cluster.sql("create tablespace s location '" + location + "'").ok());
    return cluster.sql("select oid from pg_tablespace where spcname = 's'").value();
  }
  struct Spaced {
    std::unique_ptr<TestCluster> cluster;
    std::string location, oid;  // of a tablespace that holds nothing yet
  };
  Result<Spaced> with_tablespace() {
    Spaced made{TRY(with_table()), "", ""};
    made.location = made.cluster->scratch() + "/space";
    made.oid = add_tablespace(*made.cluster, made.location);
    return made;
  }
  Result<std::unique_ptr<TestCluster>> standby_of(TestCluster& primary, const repo::Snapshot& snapshot) {
    auto standby = TRY(TestCluster::prepare());
    MaterialiseOptions options;
    options.standby = true;
    options.primary_conninfo = primary.connection().conninfo;
    TRY(rig_.materialise_into(*standby, snapshot, options));
    TRY(standby->start());
    return standby;
  }
  struct Followed {
    std::unique_ptr<TestCluster> primary, standby;
  };
  // A row has come since the standby's snapshot.
  Result<Followed> followed_primary() {
    auto primary = TRY(with_table());
    const auto snapshot = TRY(rig_.capture(*primary));
    TRY(primary->sql("insert into t values (-1, 'since')"));
    auto standby = TRY(standby_of(*primary, snapshot));
    return Followed{std::move(primary), std::move(standby)};
  }
  static std::string rows_since(TestCluster& standby) {
    std::string count;
    for (int i = 0; i < 200 && count != "1"; i++) {
      count = standby.sql("select count(*) from t where g = -1").value();
      system_clock().sleep(Duration::milliseconds(50));
    }
    return count;
  }
  MeddlingFileSystem fs_;
  TestRig rig_{fs_};
};

TEST_F(Materialise, TablespacesGoWhereTheyAreSent) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string location = cluster.scratch() + "/space one";
  const std::string oid = add_tablespace(cluster, location);
  ASSERT_OK(cluster.sql("alter table t set tablespace s"));
  const std::string digest = cluster.sql(kDigest).value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  ASSERT_EQ(snapshot.value().source["tablespaces"],
            nlohmann::json::array({{{"oid", oid}, {"location", location}, {"directory", "pg_tblspc/" + oid}}}));

  // Where it was, it still is: refused, and nothing is touched.
  auto refused = rig_.restore(snapshot.value());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
  EXPECT_EQ(refused.error().message(), "the tablespace directory " + location + " holds data");

  MaterialiseOptions options;
  options.tablespaces[oid] = cluster.scratch() + "/moved";
  auto restored = rig_.restore(snapshot.value(), options);
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql(kDigest).value(), digest);
  EXPECT_EQ(restored.value()->sql("select pg_tablespace_location(" + oid + ")").value(), cluster.scratch() + "/moved");
}

// Case: a restore is begun again while the first is still at work: each would write over the other.
TEST_F(Materialise, NoTwoRestoresWriteToOnePlace) {
  auto made = with_tablespace();
  ASSERT_OK(made);
  TestCluster& cluster = *made->cluster;
  const std::string& oid = made->oid;
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  auto target = TestCluster::prepare(), elsewhere = TestCluster::prepare();
  ASSERT_OK(target);
  ASSERT_OK(elsewhere);
  MaterialiseOptions first, same_directory, same_tablespace;
  first.tablespaces[oid] = same_tablespace.tablespaces[oid] = cluster.scratch() + "/moved";
  same_directory.tablespaces[oid] = cluster.scratch() + "/other";
  same_directory.delta = true;
  const auto expect_locked = [&](TestCluster& where, const MaterialiseOptions& options, const std::string& place) {
    const auto second = rig_.materialise_into(where, snapshot.value(), options);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
    EXPECT_EQ(second.error().message(), "another restore is writing to '" + place + "'");
    EXPECT_EQ(second.error().hint(), "wait for it to end, or end it, and then go on with --delta");
  };
  bool asked = false;
  first.check_place = [&](const std::string&) -> Result<void> {
    if (std::exchange(asked, true)) return {};
    expect_locked(**target, same_directory, resolved_path((*target)->data()));
    expect_locked(**elsewhere, same_tablespace, resolved_path(first.tablespaces[oid]));
    return {};
  };
  ASSERT_OK(rig_.materialise_into(**target, snapshot.value(), first));
  EXPECT_TRUE(asked);
  first.delta = true;
  ASSERT_OK(rig_.materialise_into(**target, snapshot.value(), first));
}

TEST_F(Materialise, AStandbyKeepsToATimelineThatItIsTold) {
  auto made = with_table();
  ASSERT_OK(made);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  ResolvedTarget target;
  target.timeline = 3;
  target.names_timeline = true;
  MaterialiseOptions options;
  options.standby = true;
  const auto settings = [&](const std::string& to) {
    options.to = made.value()->scratch() + to;
    const auto report = materialise(rig_.world, rig_.repository(), snapshot.value(), target, options);
    const bool told = report.ok() && !report->notes.empty() && report->notes.back().starts_with("the standby follows");
    EXPECT_EQ(told, target.names_timeline);
    return std::string(as_text(read_file(real_file_system(), options.to + "/postgresql.auto.conf").value()));
  };
  EXPECT_THAT(settings("/told"), testing::HasSubstr("recovery_target_timeline = '3'"));
  target.names_timeline = false;
  EXPECT_THAT(settings("/latest"), testing::HasSubstr("recovery_target_timeline = 'latest'"));
}

TEST_F(Materialise, SaysWhatToDoWhereTheControlFileIsLost) {
  auto made = with_tablespace();
  ASSERT_OK(made);
  TestCluster& cluster = *made->cluster;
  const std::string &location = made->location, &oid = made->oid;
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  MaterialiseOptions options;
  options.tablespaces["/nowhere/ts2"] = cluster.scratch() + "/moved";
  const auto unknown = rig_.materialise_into(**target, snapshot.value(), options);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().message(), "the snapshot has no tablespace '/nowhere/ts2'");
  EXPECT_EQ(unknown.error().hint(), fmt::format("tablespaces are named by oid or by their old location; the snapshot "
                                                "has {} at {}",
                                                oid, location));

  options.tablespaces = {{location, cluster.scratch() + "/moved"}};
  ASSERT_OK(rig_.materialise_into(**target, snapshot.value(), options));
  ASSERT_OK(real_file_system().remove_file((*target)->data() + "/global/pg_control"));
  options.delta = true;
  const auto lost = rig_.materialise_into(**target, snapshot.value(), options);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(lost.error().hint(), fmt::format("move {}, and {} (tablespace {}) aside, then restore without --delta",
                                             (*target)->data(), cluster.scratch() + "/moved", oid));
}

// The original's directory is its own also while nothing is in it: a database would be made
// there by both clusters under one OID.
TEST_F(Materialise, AnEmptyTablespaceIsNotSharedWithTheOriginal) {
  auto made = with_tablespace();
  ASSERT_OK(made);
  TestCluster& cluster = *made->cluster;
  const std::string &location = made->location, &oid = made->oid;
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  snapshot->source["data_directory"] = cluster.data();  // as a backup notes it

  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  for (const bool delta : {false, true}) {
    MaterialiseOptions options;
    options.delta = delta;
    auto refused = rig_.materialise_into(*target.value(), snapshot.value(), options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
    EXPECT_EQ(refused.error().message(), "the tablespace directory " + location + " is in use by a cluster");
    EXPECT_FALSE(exists(real_file_system(), target.value()->data()).value());
  }
  // In the original's own place it is what is left of the original.
  ASSERT_OK(cluster.stop());
  ASSERT_OK(remove_tree(real_file_system(), cluster.data()));
  ASSERT_OK(rig_.materialise_into(cluster, snapshot.value()));
  ASSERT_OK(cluster.start());
  ASSERT_OK(TestRig::wait_for_promotion(cluster));

  MaterialiseOptions moved;
  moved.tablespaces[oid] = target.value()->scratch() + "/moved";
  ASSERT_OK(rig_.materialise_into(*target.value(), snapshot.value(), moved));
  ASSERT_OK(target.value()->start());
  ASSERT_OK(TestRig::wait_for_promotion(*target.value()));
  ASSERT_OK(target.value()->sql("create table u tablespace s as select 1 as a"));
  ASSERT_OK(cluster.sql("create table u tablespace s as select 2 as a"));
  EXPECT_EQ(target.value()->sql("select a from u").value(), "1");
  EXPECT_EQ(cluster.sql("select a from u").value(), "2");
}

TEST_F(Materialise, APlaceInsideOfAnotherClusterIsRefused) {
  auto made = with_table(), other = TestCluster::create();
  ASSERT_OK(made);
  ASSERT_OK(other);
  TestCluster& cluster = *made.value();
  const std::string location = cluster.scratch() + "/space";
  ASSERT_OK(real_file_system().make_directory(location, 0700));
  cluster.own(location);
  ASSERT_OK(cluster.sql("create tablespace s location '" + location + "'"));
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  const std::string link = other.value()->scratch() + "/link";
  ASSERT_OK(real_file_system().symlink(other.value()->data() + "/base", link));

  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  for (const std::string& place : {other.value()->data() + "/space", link + "/deep/space"}) {
    MaterialiseOptions options;
    options.tablespaces[location] = place;
    auto refused = rig_.materialise_into(*target.value(), snapshot.value(), options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kRefused);
    EXPECT_EQ(refused.error().message(),
              place + " lies inside the data directory of a cluster, " + other.value()->data());
    EXPECT_FALSE(exists(real_file_system(), place).value());
  }
  MaterialiseOptions options;
  options.to = other.value()->data() + "/copy";
  options.tablespaces[location] = target.value()->scratch() + "/moved";
  auto refused = materialise(rig_.world, rig_.repository(), snapshot.value(), ResolvedTarget{}, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(refused.error().message(),
            options.to + " lies inside the data directory of a cluster, " + other.value()->data());
}

// Moves files of a stopped cluster into a directory of their own, and leaves links.
Result<std::string> link_out(const TestCluster& cluster, const std::vector<std::string>& names) {
  FileSystem& fs = real_file_system();
  const std::string elsewhere = cluster.scratch() + "/elsewhere";
  TRY(fs.make_directory(elsewhere, 0700));
  cluster.own(elsewhere);
  for (const std::string& name : names) {
    TRY(fs.rename(cluster.data() + "/" + name, elsewhere + "/" + name));
    TRY(fs.symlink(elsewhere + "/" + name, cluster.data() + "/" + name));
  }
  return elsewhere;
}

bool is_link(const std::string& path) { return S_ISLNK(real_file_system().stat(path).value().st_mode); }

// Restored on another machine, and beside the original.
TEST_F(Materialise, WhatLinksOfTheServersOwnLeadToIsRestoredInTheirPlace) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.append_configuration("include 'more.conf'\n"));
  ASSERT_OK(
      write_file_durably(real_file_system(), cluster.data() + "/more.conf", as_bytes("work_mem = '5MB'\n"), 0644));
  ASSERT_OK(cluster.stop());
  const std::vector<std::string> names = {"more.conf", "pg_hba.conf",          "pg_multixact",   "pg_wal",
                                          "pg_xact",   "postgresql.auto.conf", "postgresql.conf"};
  const auto elsewhere = link_out(cluster, names);
  ASSERT_OK(elsewhere);
  ASSERT_OK(cluster.start());
  ASSERT_OK(cluster.sql("insert into t values (-1, 'new')"));
  const std::string digest = cluster.sql(kDigest).value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  ASSERT_TRUE(snapshot.value().faults.empty());
  auto again = rig_.capture(cluster, &snapshot.value());
  ASSERT_OK(again);
  ASSERT_OK(cluster.stop());
  ASSERT_OK(real_file_system().rename(*elsewhere, *elsewhere + "-gone"));
  for (const repo::Snapshot* of : {&snapshot.value(), &again.value()}) {
    auto target = TestCluster::prepare();
    ASSERT_OK(target);
    auto report = rig_.materialise_into(*target.value(), *of);
    ASSERT_OK(report);
    for (const std::string& name : names) EXPECT_FALSE(is_link(target.value()->data() + "/" + name)) << name;
    ASSERT_EQ(report.value().notes.size(), 1u);
    EXPECT_NE(report.value().notes[0].find("pg_wal (to " + *elsewhere + "/pg_wal)"), std::string::npos)
        << report.value().notes[0];
    ASSERT_OK(target.value()->start());
    ASSERT_OK(TestRig::wait_for_promotion(*target.value()));
    EXPECT_EQ(target.value()->sql(kDigest).value(), digest);
    EXPECT_EQ(target.value()->sql("show work_mem").value(), "5MB");
  }
}

// An old directory may have links into the original: what they lead to is not changed.
TEST_F(Materialise, DeltaWritesThroughNoLink) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  ASSERT_OK(rig_.materialise_into(*target.value(), snapshot.value()));
  ASSERT_OK(cluster.stop());
  const std::vector<std::string> names = {"base", "global", "pg_xact", "postgresql.conf", "postgresql.auto.conf"};
  for (const std::string& name : names) {
    ASSERT_OK(remove_tree(real_file_system(), target.value()->data() + "/" + name));
    ASSERT_OK(real_file_system().symlink(cluster.data() + "/" + name, target.value()->data() + "/" + name));
  }
  MaterialiseOptions options;
  options.delta = true;
  fs_.before_change = [&](const std::string& path) -> Result<void> {
    if (resolved_path(parent_path(path)).starts_with(cluster.data()))
      return make_error(ErrorCode::kIo, "{} leads into the original", path);
    return {};
  };
  ASSERT_OK(rig_.materialise_into(*target.value(), snapshot.value(), options));
  fs_.before_change = nullptr;
  for (const std::string& name : names) EXPECT_FALSE(is_link(target.value()->data() + "/" + name)) << name;
  ASSERT_OK(cluster.start());
  EXPECT_EQ(
      as_text(read_file(real_file_system(), cluster.data() + "/postgresql.auto.conf").value()).find("restore_command"),
      std::string_view::npos);
  ASSERT_OK(target.value()->start());
  ASSERT_OK(TestRig::wait_for_promotion(*target.value()));
}

// As on a file system that takes the flag, and then no such write.
TEST_F(Materialise, WhatIsRefusedPastTheCacheGoesThroughIt) {
  auto made = with_table();
  ASSERT_OK(made);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  std::atomic<int> refused = 0;
  fs_.before_write = [&](const std::string& path, int descriptor) -> Result<void> {
    if ((fcntl(descriptor, F_GETFL) & O_DIRECT) == 0) return {};
    refused++;
    return Error::from_errno(EINVAL, "can't write " + path);
  };
  ASSERT_OK(rig_.materialise_into(*target.value(), snapshot.value()));
  fs_.before_write = nullptr;
  if (refused == 0) GTEST_SKIP() << "this file system takes no direct writes";
  const std::string digest = made.value()->sql(kDigest).value();
  ASSERT_OK(target.value()->start());
  ASSERT_OK(TestRig::wait_for_promotion(*target.value()));
  EXPECT_EQ(target.value()->sql(kDigest).value(), digest);
}

// A point that has a link where the server's own files should be.
TEST_F(Materialise, APointWithoutWhatALinkLedToIsRefused) {
  auto made = with_table();
  ASSERT_OK(made);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  const auto with_link = [&](const std::string& path) -> Result<repo::Snapshot> {
    auto session = TRY(repo::WriteSession::begin(rig_.repository(), {}));
    repo::TreeWriter tree(*session);
    auto reader = TRY(repo::TreeReader::open(rig_.repository(), snapshot->root));
    while (auto entry = TRY(reader->next())) {
      if (entry->path.starts_with(path + "/")) continue;
      if (entry->path == path) {
        entry->kind = repo::EntryKind::kSymlink;
        entry->link_target = made.value()->data() + "/" + path;
        entry->content = {};
        entry->size_bytes = 0;
      }
      TRY(tree.add(*entry));
    }
    repo::Point point;
    point.snapshots.push_back(snapshot.value());
    point.snapshots[0].root = TRY(tree.finish());
    TRY(session->commit(point));
    return point.snapshots[0];
  };
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  auto of_directory = with_link("pg_xact"), of_settings = with_link("postgresql.conf");
  ASSERT_OK(of_directory);
  ASSERT_OK(of_settings);
  auto refused = rig_.materialise_into(*target.value(), of_directory.value());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(refused.error().message(),
            "pg_xact is a link to " + made.value()->data() +
                "/pg_xact in the point, which has not what that led to: it is no whole cluster");
  EXPECT_FALSE(exists(real_file_system(), target.value()->data()).value());
  const auto verified = verify_offline(rig_.world, rig_.repository(), of_directory.value());
  ASSERT_OK(verified);
  ASSERT_EQ(verified.value().findings.size(), 1u);
  EXPECT_EQ(verified.value().findings[0].object, "pg_xact");

  auto report = rig_.materialise_into(*target.value(), of_settings.value());
  ASSERT_OK(report);
  EXPECT_FALSE(exists(real_file_system(), target.value()->data() + "/postgresql.conf").value());
  ASSERT_EQ(report.value().notes.size(), 1u);
  EXPECT_TRUE(report.value().notes[0].ends_with("which has not what that led to: it is left out"))
      << report.value().notes[0];
}

TEST_F(Materialise, UnloggedTablesComeBackEmpty) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql("create unlogged table u as select g from generate_series(1, 1000) g; create index on u (g)"));
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  auto restored = rig_.restore(snapshot.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql("select count(*) from u").value(), "0");
  ASSERT_OK(restored.value()->sql("insert into u values (1)"));
}

TEST_F(Materialise, DeltaWritesWhatDiffersAndRemovesTheRest) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string digest = cluster.sql(kDigest).value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  ASSERT_OK(cluster.sql("delete from t where g % 5000 = 0; create table extra as select 1 as a; checkpoint"));
  const std::string extra = cluster.data() + "/" + cluster.sql("select pg_relation_filepath('extra')").value();
  ASSERT_OK(cluster.stop());
  ASSERT_TRUE(exists(real_file_system(), extra).value());

  MaterialiseOptions options;
  auto refused = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
  EXPECT_EQ(refused.error().message(), cluster.data() + " is not empty");

  options.delta = true;
  auto report = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_OK(report);
  EXPECT_LT(report.value().bytes_written * 4, report.value().bytes);
  EXPECT_FALSE(exists(real_file_system(), extra).value());
  ASSERT_OK(cluster.start());
  ASSERT_OK(TestRig::wait_for_promotion(cluster));
  EXPECT_EQ(cluster.sql(kDigest).value(), digest);
}

std::vector<std::string> names_of(const std::vector<ExtraFiles::Removed>& removed) {
  std::vector<std::string> names;
  for (const auto& each : removed)
    names.push_back((each.kind == repo::EntryKind::kDirectory ? "directory " : "file ") + each.path);
  return names;
}

TEST_F(Materialise, DeltaLeavesWhatIsNotTheServersOwn) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string mine = cluster.data() + "/mydir", captured = cluster.data() + "/captured";
  FileSystem& disk = real_file_system();
  ASSERT_OK(disk.make_directory(captured, 0755));
  ASSERT_OK(write_file_durably(disk, captured + "/old", as_bytes("old"), 0644));
  for (const std::string& path : {captured, captured + "/old"}) cluster.own(path);
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  ASSERT_OK(cluster.stop());
  ASSERT_OK(disk.make_directory(mine, 0700));
  const std::vector<std::string> others = {mine + "/notes", cluster.data() + "/server.key", captured + "/new"};
  const std::vector<std::string> own = {cluster.data() + "/standby.signal", cluster.data() + "/pg_xact/0FFF",
                                        cluster.data() + "/base/77777"};
  for (const auto& paths : {others, own})
    for (const std::string& path : paths) ASSERT_OK(write_file_durably(disk, path, as_bytes("x"), 0600));

  MaterialiseOptions options;
  options.delta = options.dry_run = true;
  auto rehearsed = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_OK(rehearsed);
  const std::string left = "left in place, since it is not PostgreSQL's (--remove-extra removes it): mydir, server.key";
  EXPECT_EQ(rehearsed->notes, std::vector<std::string>{"will be " + left});
  EXPECT_THAT(names_of(rehearsed->would_remove), testing::IsSupersetOf({"file base/77777", "file pg_xact/0FFF"}));
  for (const auto& paths : {others, own})
    for (const std::string& path : paths) EXPECT_TRUE(exists(disk, path).value()) << path;
  options.remove_extra = true;
  rehearsed = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_OK(rehearsed);
  EXPECT_TRUE(rehearsed->notes.empty());
  EXPECT_THAT(names_of(rehearsed->would_remove),
              testing::IsSupersetOf({"directory mydir", "file server.key", "file captured/new"}));
  options.remove_extra = options.dry_run = false;

  auto report = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_OK(report);
  ASSERT_EQ(report->notes.size(), 2U);
  EXPECT_EQ(report->notes[0], left);
  EXPECT_THAT(report->notes[1], testing::StartsWith("removed, since the point does not have it: base/77777"));
  for (const std::string& path : others) EXPECT_TRUE(exists(disk, path).value()) << path;
  for (const std::string& path : own) EXPECT_FALSE(exists(disk, path).value()) << path;

  options.remove_extra = true;
  ASSERT_OK(rig_.materialise_into(cluster, snapshot.value(), options));
  for (const std::string& path : others) EXPECT_FALSE(exists(disk, path).value()) << path;
  EXPECT_TRUE(exists(disk, captured + "/old").value());
  ASSERT_OK(cluster.start());
}

TEST_F(Materialise, ARunningTargetIsRefused) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  MaterialiseOptions options;
  options.delta = true;
  auto refused = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTargetRunning);
  EXPECT_EQ(cluster.sql("select count(*) from t").value(), "50000");
}

TEST_F(Materialise, ARunningTargetIsRefusedThoughItsPidFileIsGone) {
  auto made = with_table();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  auto snapshot = rig_.capture(cluster);
  ASSERT_OK(snapshot);
  const std::string file = cluster.data() + "/postmaster.pid", aside = cluster.scratch() + "/aside";
  ASSERT_OK(real_file_system().rename(file, aside));
  MaterialiseOptions options;
  options.delta = true;
  auto refused = rig_.materialise_into(cluster, snapshot.value(), options);
  ASSERT_OK(real_file_system().rename(aside, file));  // else it can't be stopped
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTargetRunning);
  EXPECT_EQ(cluster.sql("select count(*) from t").value(), "50000");
}

TEST_F(Materialise, DeltaOverAnotherClusterIsRefused) {
  auto made = with_table(), other = TestCluster::create();
  ASSERT_OK(made);
  ASSERT_OK(other);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  ASSERT_OK(other.value()->stop());
  MaterialiseOptions options;
  options.delta = true;
  auto refused = rig_.materialise_into(*other.value(), snapshot.value(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kMismatch);
  ASSERT_OK(other.value()->start());
}

// Refused, since a cluster with a wrong page is worse than none; what is told leads on.
TEST_F(Materialise, DamagedContentIsRefusedByTheNameOfItsFile) {
  auto made = with_table();
  ASSERT_OK(made);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  ASSERT_OK(rig_.damage_content());
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  for (const bool over_old : {false, true}) {  // of the failed one
    MaterialiseOptions options;
    options.delta = over_old;
    auto refused = rig_.materialise_into(*target.value(), snapshot.value(), options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kDamaged);
    const std::regex names_file("restoring 'db' to " + target.value()->data() +
                                ": base/[0-9]+/[0-9]+(_[a-z]+)?: pack .+");
    EXPECT_TRUE(std::regex_match(refused.error().text(), names_file)) << refused.error().text();
    EXPECT_EQ(refused.error().hint(),
              "'holdfast explain' tells which points and files the damage touches: restore an older or newer point "
              "that it does not, with --point");
    EXPECT_FALSE(target.value()->start().ok());
  }
}

TEST_F(Materialise, ADryRunWritesNothing) {
  auto made = with_table();
  ASSERT_OK(made);
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  auto target = TestCluster::prepare();
  ASSERT_OK(target);
  MaterialiseOptions options;
  options.dry_run = true;
  auto report = rig_.materialise_into(*target.value(), snapshot.value(), options);
  ASSERT_OK(report);
  EXPECT_GT(report.value().files, 900u);
  EXPECT_FALSE(exists(real_file_system(), target.value()->data()).value());
}

// Wherever a restore ends early, no server starts on what it has made, and --delta
// finishes it. Stopped at a sample of all changes that it makes.
TEST_F(Materialise, KilledHalfWayItCanNeverBeStartedAndCanBeFinished) {
  auto made = with_table();
  ASSERT_OK(made);
  const std::string digest = made.value()->sql(kDigest).value();
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  std::atomic<size_t> changes = 0;  // of several workers
  fs_.before_change = [&](const std::string&) -> Result<void> {
    changes++;
    return {};
  };
  auto complete = TestCluster::prepare();
  ASSERT_OK(complete);
  ASSERT_OK(rig_.materialise_into(*complete.value(), snapshot.value()));
  const size_t all = changes;
  ASSERT_GT(all, 1000u);
  // The last two are the removal of the marker and the sync of its directory: whole by then.
  for (const size_t fail_at : {size_t{1}, size_t{5}, all / 3, all / 2, all - 8, all - 5, all - 4}) {
    changes = 0;
    fs_.before_change = [&](const std::string& path) -> Result<void> {
      if (++changes >= fail_at) return make_error(ErrorCode::kIo, "{}: killed here", path);
      return {};
    };
    auto target = TestCluster::prepare();
    ASSERT_OK(target);
    ASSERT_FALSE(rig_.materialise_into(*target.value(), snapshot.value()).ok()) << "change " << fail_at;
    EXPECT_FALSE(target.value()->start().ok()) << "change " << fail_at << " of " << all;
    fs_.before_change = nullptr;
    if (fail_at != all / 2) continue;
    MaterialiseOptions options;
    options.delta = true;
    ASSERT_OK(rig_.materialise_into(*target.value(), snapshot.value(), options));
    ASSERT_OK(target.value()->start());
    ASSERT_OK(TestRig::wait_for_promotion(*target.value()));
    EXPECT_EQ(target.value()->sql(kDigest).value(), digest);
  }
}

TEST_F(Materialise, TheDelayOfAStandbyIsNotWaitedFor) {
  auto made = with_table();
  ASSERT_OK(made);
  ASSERT_OK(made.value()->append_configuration("recovery_min_apply_delay = '12h'\n"));
  auto snapshot = rig_.capture(*made.value());
  ASSERT_OK(snapshot);
  auto restored = rig_.restore(snapshot.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql("show recovery_min_apply_delay").value(), "0");
  auto standby = standby_of(*made.value(), snapshot.value());
  ASSERT_OK(standby);
  EXPECT_EQ(standby.value()->sql("show recovery_min_apply_delay").value(), "12h");
}

TEST_F(Materialise, AStandbyFollowsThePrimary) {
  auto followed = followed_primary();
  ASSERT_OK(followed);
  TestCluster& standby = *followed->standby;
  EXPECT_EQ(standby.sql("select pg_is_in_recovery()").value(), "t");
  EXPECT_EQ(rows_since(standby), "1");
}

// Captured from a standby, and restored from there as a primary.
TEST_F(Materialise, Case04AFileThatIsLongerOnAStandby) {
  auto followed = followed_primary();
  ASSERT_OK(followed);
  TestCluster &primary = *followed->primary, &standby = *followed->standby;
  ASSERT_EQ(rows_since(standby), "1");
  const std::string digest = primary.sql(kDigest).value();
  const std::string file = standby.data() + "/" + standby.sql("select pg_relation_filepath('t')").value();
  std::ofstream(file, std::ios::binary | std::ios::app) << std::string(5 * kPageBytes, '\0');
  TestRig other;
  auto of_standby = other.capture(standby);
  ASSERT_OK(of_standby);
  EXPECT_EQ(of_standby.value().source["from_standby"], true);
  auto restored = other.restore(of_standby.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql(kDigest).value(), digest);
}

}  // namespace
}  // namespace holdfast::postgres
