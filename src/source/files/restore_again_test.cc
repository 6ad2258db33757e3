#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "source/files/restore.h"
#include "source/files/target.h"
#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

// Where another restore is or was, or some of it is there already.
using RestoreAgainTest = FilesTest;

TEST_F(RestoreAgainTest, AnotherRestoreOfTheSamePlaceIsKeptOut) {
  write_source("a", "content");
  const auto snapshot = take();
  mkdir(target.c_str(), 0755);
  const int other = open(target.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  const auto refused = try_put_back(snapshot, {.to = target});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kLocked);
  EXPECT_FALSE(present(restored("a")));
  close(other);
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), "content");
}

TEST_F(RestoreAgainTest, AnotherRestoreToWhereThingsWereIsKeptOutOfTheSameRootAlone) {
  for (const char* name : {"/a", "/b"}) mkdir((source + name).c_str(), 0755);
  write_source("a/file", "of a");
  write_source("b/file", "of b");
  auto wanted = options();
  wanted.paths = {source + "/a", source + "/b"};
  const auto snapshot = take(wanted);
  for (const char* name : {"/a", "/b"}) ASSERT_TRUE(remove_tree(real_file_system(), source + name).ok());
  const repo::BlockId root = snapshot.root;
  Target other(fs, "/", false, root);
  ASSERT_TRUE(other.lock({in_tree("a")}).ok());
  const auto refused = try_put_back(snapshot, {.to = "/"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kLocked);
  put_back(snapshot, {.to = "/", .only = {in_tree("b/file")}});
  EXPECT_EQ(read(source + "/b/file"), "of b");
  EXPECT_FALSE(present(source + "/a"));
}

// Lets nothing take the place of what is named a.
class Keeping : public MeddlingFileSystem {
 public:
  using MeddlingFileSystem::MeddlingFileSystem;
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (base_name(to) == "a") return Error::from_errno(EBUSY, "can't rename " + from + " to " + to);
    return MeddlingFileSystem::rename(from, to);
  }
};

TEST_F(RestoreAgainTest, WhatALinkRefersToMustHaveBeenRestoredItself) {
  write_source("a", "as captured");
  ASSERT_EQ(link((source + "/a").c_str(), (source + "/z").c_str()), 0);
  const auto snapshot = take();
  ASSERT_TRUE(make_directories(real_file_system(), restored()).ok());
  write(restored("a"), "stale");
  write(restored("z"), "as captured");
  Keeping disk(real_file_system());
  source::World w{disk, clock, progress, 1};
  const auto report = restore(w, repository, snapshot, {.to = target, .delta = true});
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(read(restored("z")), "as captured");
  ASSERT_EQ(report->faults.size(), 2u);
  EXPECT_EQ(report->faults[1],
            in_tree("z") + ": not restored: it is a hard link to " + in_tree("a") + ", which was not");
}

TEST_F(RestoreAgainTest, DirectoriesAboveAreNotLeftClosedByAnInterruptedRestore) {
  write_source("a", "content");
  const auto snapshot = take();
  fs.on_open = [&](const std::string&) { progress.stop = true; };
  ASSERT_FALSE(try_put_back(snapshot, {.to = target}).ok());
  const std::string top = source.substr(0, source.find('/', 1));
  EXPECT_EQ(status_of(target + top).st_mode & 07777, (status_of(top).st_mode & 07777) | 0700);
}

TEST_F(RestoreAgainTest, ObjectsThatAreRightAlreadyStayThemselves) {
  ASSERT_EQ(mkfifo((source + "/fifo").c_str(), 0640), 0);
  ASSERT_EQ(symlink("there", (source + "/link").c_str()), 0);
  ASSERT_EQ(symlink("there", (source + "/changed").c_str()), 0);
  const auto snapshot = take();
  put_back(snapshot);
  const auto fifo = status_of(restored("fifo")).st_ino, symbolic = status_of(restored("link")).st_ino;
  chmod(restored("fifo").c_str(), 0600);
  unlink(restored("changed").c_str());
  ASSERT_EQ(symlink("elsewhere", restored("changed").c_str()), 0);
  put_back(snapshot, {.to = target, .delta = true});
  EXPECT_EQ(status_of(restored("fifo")).st_ino, fifo);
  EXPECT_EQ(status_of(restored("link")).st_ino, symbolic);
  EXPECT_EQ(differences(snapshot, target), std::vector<std::string>());
}

TEST_F(RestoreAgainTest, AFileOfTheTargetThatCanNotBeReadIsWrittenAnew) {
  const std::string large = noise(3u << 20, 1);
  write_source("a", large);
  write_source("b", "small");
  const auto snapshot = take();
  put_back(snapshot);
  write(restored("a"), "x" + large.substr(1));
  fs.read_error = [&](const std::string& path) -> std::optional<Error> {
    if (!path.starts_with(target)) return std::nullopt;
    return Error::from_errno(EIO, "can't read " + path);
  };
  put_back(snapshot, {.to = target, .delta = true});
  fs.read_error = nullptr;
  EXPECT_EQ(differences(snapshot, target), std::vector<std::string>());
}

// A disk with room for one of its ten files beside them.
class RestoreOnAFullDiskTest : public FilesTest {
 protected:
  static constexpr size_t kFileBytes = 512 << 10;

  void SetUp() override {
    NEEDS_ROOT();
    for (char name = 'a'; name <= 'j'; name++)
      write_source(std::string(1, name), noise(kFileBytes, static_cast<uint64_t>(name)));
    snapshot_ = take();
    mkdir(target.c_str(), 0755);
    if (mount("none", target.c_str(), "tmpfs", 0, "size=5760k") != 0) GTEST_SKIP() << "mounting is not allowed here";
    mounted_ = true;
    put_back(snapshot_);
    for (char name = 'a'; name <= 'j'; name++) change(restored(std::string(1, name)));
  }
  void TearDown() override {
    if (mounted_) umount(target.c_str());
  }
  static void change(const std::string& path) {
    auto file = real_file_system().open(path, {.write = true}).value();
    ASSERT_TRUE(file->write_at(kFileBytes / 2, as_bytes("changed")).ok());
  }

  repo::Snapshot snapshot_;
  bool mounted_ = false;
};

TEST_F(RestoreOnAFullDiskTest, ARoundRewritesNoMoreThanThereIsRoomFor) {
  put_back(snapshot_, {.to = target, .delta = true});
  EXPECT_EQ(differences(snapshot_, target), std::vector<std::string>());
}

TEST_F(RestoreOnAFullDiskTest, WhatAFileGrowsByIsCounted) {
  for (const char* name : {"a", "b", "c"}) ASSERT_EQ(truncate(restored(name).c_str(), 1), 0);
  write(target + "/other", noise(3 * kFileBytes, 1));
  const auto refused = try_put_back(snapshot_, {.to = target, .delta = true});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("the restore needs"), std::string::npos) << refused.error().text();
}

TEST_F(RestoreOnAFullDiskTest, WhatWasWholeWhenItBecameFullIsKept) {
  fs.free = 1ull << 40;  // what others take meanwhile
  source::World w{fs, clock, progress, 1};
  auto refused = restore(w, repository, snapshot_, {.to = target, .delta = true});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(refused.error().context().front(), "restoring '" + restored("b") + "'");
  EXPECT_EQ(refused.error().hint(), "make room, then go on with --delta");
  EXPECT_EQ(read(restored("a")), read(source + "/a"));
}

}  // namespace
}  // namespace holdfast::files
