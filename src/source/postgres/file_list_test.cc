#include "source/postgres/file_list.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "repo/tree.h"
#include "source/postgres/test_cluster.h"

namespace holdfast::postgres {
namespace {

TEST(FileList, RelationNames) {
  auto file = parse_relation_path("pg_tblspc/16385/PG_15_202209061/5/16390_vm.12");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->directory, "pg_tblspc/16385/PG_15_202209061/5");
  EXPECT_EQ(file->relation, 16390u);
  EXPECT_EQ(file->fork, Fork::kVisibility);
  EXPECT_EQ(file->segment, 12u);
  EXPECT_EQ(parse_relation_path("global/1262_fsm")->fork, Fork::kFreeSpace);
  EXPECT_EQ(parse_relation_path("base/1/2619_init")->fork, Fork::kInit);
  for (const char* other :
       {"16384", "base/16384", "base/1/pg_filenode.map", "base/1/PG_VERSION", "base/1/1.0", "base/1/1_x",
        "base/1/t3_16384", "base/1/99999999999", "global/pg_control", "pg_xact/0000", "base/x/1", "base/1/2/3"}) {
    EXPECT_FALSE(parse_relation_path(other)) << other;
  }
}

TEST(FileList, LeavesOutWhatBaseBackupsLeaveOut) {
  for (const char* path : {"postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest",
                           "global/pg_internal.init", "base/5/pg_internal.init.123", "base/pgsql_tmp/pgsql_tmp12.0",
                           "pg_wal/000000010000000000000001", "base/5/t7_16384_fsm.1", "postgresql.auto.conf.tmp"}) {
    EXPECT_EQ(treatment_of(path, false), Treatment::kSkip) << path;
  }
  for (const char* path : {"pg_replslot", "pg_notify", "pg_stat_tmp", "pg_wal/archive_status", "pg_subtrans"}) {
    EXPECT_EQ(treatment_of(path, true), Treatment::kDirectoryOnly) << path;
  }
  EXPECT_EQ(treatment_of("base/pgsql_tmp", true), Treatment::kSkip);
  for (const char* path : {"PG_VERSION", "global/pg_control", "pg_xact/0000", "pg_logical/replorigin_checkpoint",
                           "base/5/t7", "postgresql.auto.conf", "sub/postmaster.pid", "standby.signal"}) {
    EXPECT_EQ(treatment_of(path, false), Treatment::kCapture) << path;
  }
}

TEST(FileList, KnowsWhatIsTheServersOwn) {
  for (const char* name :
       {"base", "pg_wal", "pg_replslot", "pg_stat_tmp", "postmaster.opts", "PG_VERSION", "recovery.signal",
        "backup_label.old", "current_logfiles", "postgresql.auto.conf", "pg_hba.conf"}) {
    EXPECT_TRUE(is_servers_own(name)) << name;
  }
  for (const char* name : {"server.key", "mydir", "log", "lost+found", "pg_log", "Base", "patroni.dynamic.json", ""}) {
    EXPECT_FALSE(is_servers_own(name)) << name;
  }
}

TEST(FileList, EveryNameThatARealClusterHasIsTheServersOwn) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  auto listed = real_file_system().list(made.value()->data());
  ASSERT_OK(listed);
  for (const DirectoryEntry& entry : listed.value()) EXPECT_TRUE(is_servers_own(entry.name)) << entry.name;
}

// A data directory of which parts lie elsewhere.
class LinkedFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* temporary = std::getenv("TMPDIR");
    root_ = std::string(temporary ? temporary : "/tmp") + "/hflinksXXXXXX";
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    for (const char* name : {"data", "data/base", "else", "else/xact", "else/conf.d", "else/key.d"})
      ASSERT_OK(fs_.make_directory(root_ + "/" + name, 0700));
    for (const char* name : {"xact/0000", "main.conf", "conf.d/a.conf", "key.d/server.key"})
      ASSERT_OK(write_file_durably(fs_, root_ + "/else/" + name, as_bytes(name)));
  }
  void TearDown() override { ignore(remove_tree(fs_, root_), "a test's leftovers"); }
  void link(const std::string& target, const std::string& name) {
    ASSERT_OK(fs_.symlink(target, root_ + "/data/" + name));
  }
  // Path and what it is: "pg_xact" -> "directory", "log" -> "link".
  Result<std::map<std::string, std::string>> walk() {
    FileWalk walk(fs_, root_ + "/data", "PG_15_1", {"conf.d/a.conf"});
    std::map<std::string, std::string> found;
    while (true) {
      const auto next = TRY(walk.next());
      if (!next) break;
      found[next->path] = next->is_directory ? "directory"
                          : next->is_symlink ? "link"
                                             : std::string(as_text(TRY(read_file(fs_, next->full_path))));
      if (!next->followed_link.empty()) followed_.insert(next->path);
    }
    faults_ = walk.faults();
    return found;
  }

  FileSystem& fs_ = real_file_system();
  std::string root_;
  std::set<std::string> followed_;
  std::vector<std::string> faults_;
};

TEST_F(LinkedFiles, WhatIsTheServersIsFollowedAndTheRestStaysALink) {
  link("../else/xact", "pg_xact");
  link(root_ + "/else/main.conf", "postgresql.conf");
  link(root_ + "/else/conf.d", "conf.d");
  link(root_ + "/else/key.d/server.key", "server.key");
  link(root_ + "/else/key.d", "keys");
  link(root_ + "/else/key.d", "base/pgsql_tmp");
  link(root_ + "/nowhere", "pg_stat_tmp");
  link(root_ + "/nowhere", "pg_ident.conf");
  const auto found = walk();
  ASSERT_OK(found);
  EXPECT_EQ(found.value(), (std::map<std::string, std::string>{{"", "directory"},
                                                               {"base", "directory"},
                                                               {"conf.d", "directory"},
                                                               {"conf.d/a.conf", "conf.d/a.conf"},
                                                               {"keys", "link"},
                                                               {"pg_stat_tmp", "directory"},
                                                               {"pg_xact", "directory"},
                                                               {"pg_xact/0000", "xact/0000"},
                                                               {"postgresql.conf", "main.conf"},
                                                               {"server.key", "link"}}));
  EXPECT_EQ(followed_, (std::set<std::string>{"conf.d", "pg_stat_tmp", "pg_xact", "postgresql.conf"}));
  EXPECT_EQ(faults_,
            (std::vector<std::string>{"pg_ident.conf is a link to " + root_ + "/nowhere, where nothing can be found"}));
}

TEST_F(LinkedFiles, WhatIsNowhereIsNotLeftOutInSilence) {
  link(root_ + "/nowhere", "pg_xact");
  const auto found = walk();
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().message(), "pg_xact is a link to " + root_ + "/nowhere, where nothing can be found");
}

TEST_F(LinkedFiles, ACircleEnds) {
  link("../else/xact", "pg_xact");
  ASSERT_OK(fs_.symlink("../xact", root_ + "/else/xact/again"));
  const auto found = walk();
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), ErrorCode::kUnsupported);
}

TEST(FileList, WalksARealClusterInTheOrderOfTreesWithoutUnloggedTables) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  const std::string location = cluster.scratch() + "/space";
  ASSERT_OK(real_file_system().make_directory(location, 0700));
  cluster.own(location);
  ASSERT_OK(cluster.sql("create tablespace s location '" + location + "'"));
  ASSERT_OK(cluster.sql("create table t (a int) tablespace s; create unlogged table u as select 1 as a"));
  ASSERT_OK(real_file_system().make_directory(location + "/PG_9_1", 0700));
  const std::string in_space = cluster.sql("select pg_relation_filepath('t')").value();
  const std::string unlogged = cluster.sql("select pg_relation_filepath('u')").value();

  FileWalk walk(real_file_system(), cluster.data(), in_space.substr(16, in_space.find('/', 16) - 16));
  std::set<std::string> paths;
  std::string before;
  std::string tablespace_location;
  while (true) {
    auto found = walk.next();
    ASSERT_OK(found);
    if (!found.value()) break;
    const std::string& path = found.value()->path;
    if (!paths.empty()) {
      EXPECT_TRUE(repo::compare_paths(before, path) < 0) << before << " before " << path;
    }
    paths.insert(path);
    before = path;
    if (!found.value()->tablespace_location.empty()) tablespace_location = found.value()->tablespace_location;
  }
  EXPECT_TRUE(paths.contains("")) << "the root comes first";
  EXPECT_TRUE(paths.contains(in_space));
  EXPECT_EQ(tablespace_location, location);
  EXPECT_TRUE(paths.contains(unlogged + "_init"));
  EXPECT_FALSE(paths.contains(unlogged));
  EXPECT_TRUE(paths.contains("pg_wal/archive_status"));
  EXPECT_TRUE(paths.contains("global/pg_control"));
  EXPECT_FALSE(paths.contains("postmaster.pid"));
  for (const std::string& path : paths) EXPECT_EQ(path.find("PG_9_1"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::postgres
