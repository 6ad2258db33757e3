#include <linux/magic.h>
#include <sys/mount.h>

#include "source/files/capture.h"
#include "source/files/metadata.h"
#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

// What is there may not be what it seems to be.
using CaptureDoubtTest = FilesTest;

TEST_F(CaptureDoubtTest, APathThatHoldsNothingAnyMoreIsNoSnapshotWithoutAnExplicitWord) {
  for (const char* name : {"/data", "/data/d", "/other", "/z"}) mkdir((source + name).c_str(), 0755);
  for (const char* name : {"data/d/a", "other/b", "z/c"}) write_source(name, "x");
  CaptureOptions wanted;
  wanted.paths = {source + "/data", source + "/other", source + "/z"};
  const auto before = take(wanted);
  ASSERT_TRUE(remove_tree(real_file_system(), source + "/other").ok());
  mkdir((source + "/other").c_str(), 0755);
  unlink((source + "/data/d/a").c_str());
  write_source("data/b", "not all of it has gone");
  const auto refused = try_capture(wanted, &before);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(refused.error().message(),
            "'" + source + "/other' holds no file, and the point before has some of it: " + in_tree("other/b"));
  wanted.allow_empty = true;
  const auto emptied = take(wanted, &before);
  wanted.allow_empty = false;
  take(wanted, &emptied);
  wanted.paths.push_back(scratch / "new");
  mkdir((scratch / "new").c_str(), 0755);
  take(wanted, &emptied);  // never held anything
}

TEST_F(CaptureDoubtTest, AnEmptyPathIsRefusedBeforeAnythingIsRead) {
  for (const char* name : {"/data", "/other"}) mkdir((source + name).c_str(), 0755);
  for (const char* name : {"data/a", "other/b"}) write_source(name, "x");
  CaptureOptions wanted;
  wanted.paths = {source + "/data", source + "/other"};
  const auto before = take(wanted);
  write_source("data/new", "must not be read");
  unlink((source + "/other/b").c_str());
  const uint64_t opened = fs.opened;
  const auto refused = try_capture(wanted, &before);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "'" + source + "/other' holds no file, and the point before has some of it: " + in_tree("other/b"));
  EXPECT_EQ(fs.opened, opened);
  const auto looked = look_before_capture(fs, repository, wanted, &before);
  ASSERT_FALSE(looked.ok());
  EXPECT_EQ(looked.error().message(), refused.error().message());
  write_source("other/c", "x");
  EXPECT_TRUE(look_before_capture(fs, repository, wanted, &before).ok());
}

TEST_F(CaptureDoubtTest, AFileWithTheNumberOfOneThatIsGoneIsNoLinkToIt) {
  write_source("a", "of a");
  ASSERT_EQ(link((source + "/a").c_str(), (source + "/b").c_str()), 0);
  write_source("z", "of z, which came when a and b went");
  bool met = false;
  fs.on_stat = [&](const std::string& path, const struct stat& status) -> std::optional<struct stat> {
    struct stat other = status;
    if (path == source + "/z") {
      other.st_ino = status_of(source + "/a").st_ino;
      other.st_nlink = 2;
      met = true;
      return other;
    }
    if (path != source + "/a" || !met) return std::nullopt;
    other.st_ino++;
    return other;
  };
  const auto snapshot = take();
  fs.on_stat = nullptr;
  EXPECT_EQ(entries(snapshot)[in_tree("b")].kind, repo::EntryKind::kHardLink);
  EXPECT_EQ(entries(snapshot)[in_tree("z")].kind, repo::EntryKind::kFile);
  put_back(snapshot);
  EXPECT_EQ(read(restored("z")), "of z, which came when a and b went");
}

TEST_F(CaptureDoubtTest, AFileSystemThatIsNotMountedBelowAPathIsNoSnapshotWithoutAnExplicitWord) {
  NEEDS_ROOT();
  const std::string mount_point = source + "/mounted";
  mkdir(mount_point.c_str(), 0755);
  write_source("file", "x");
  const auto mount_it = [&] { return mount("none", mount_point.c_str(), "tmpfs", 0, "size=1m") == 0; };
  if (!mount_it()) GTEST_SKIP() << "mounting is not allowed here";
  write(mount_point + "/inside", "x");
  const auto before = take();
  umount(mount_point.c_str());
  write_source("new", "must not be read");
  const uint64_t opened = fs.opened;
  const auto refused = try_capture(options(), &before);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kRefused);
  EXPECT_NE(refused.error().message().find("'" + mount_point + "' holds no file"), std::string::npos);
  EXPECT_EQ(fs.opened, opened);
  auto without = options();
  without.excludes = {"mounted"};
  take(without, &before);
  ASSERT_TRUE(mount_it());
  take(&before);  // mounted, and really empty
  write(mount_point + "/inside", "x");
  without.excludes = {"mounted/*"};
  take(without, &before);
  without = options();
  without.one_file_system = true;
  take(without, &before);
  umount(mount_point.c_str());
  rmdir(mount_point.c_str());
  take(&before);
  mkdir(mount_point.c_str(), 0755);
  auto wanted = options();
  wanted.allow_empty = true;
  take(wanted, &before);
}

TEST_F(CaptureDoubtTest, AFileOfWhichTheSystemTellsNoSizeIsReadToItsEnd) {
  const std::string content = noise(200'000, 1);
  write_source("untold", content);
  const auto hide = [&](const std::string& path, struct stat& status) {
    if (path == source + "/untold") status.st_size = status.st_blocks = 0;
  };
  fs.on_open_stat = hide;
  fs.on_stat = [&](const std::string& path, const struct stat& status) {
    struct stat hidden = status;
    hide(path, hidden);
    return std::optional(hidden);
  };
  const auto snapshot = take();
  fs.on_open_stat = nullptr;
  fs.on_stat = nullptr;
  EXPECT_EQ(snapshot.faults, std::vector<std::string>());
  put_back(snapshot);
  EXPECT_EQ(read(restored("untold")), content);
}

TEST_F(CaptureDoubtTest, TimesThatAnotherMachineGivesAreTrustedLater) {
  EXPECT_TRUE(has_times_of_another(NFS_SUPER_MAGIC));
  EXPECT_FALSE(has_times_of_another(EXT4_SUPER_MAGIC));
  EXPECT_EQ(clock_margin_of("/proc").ns, 0);
  ASSERT_EQ(symlink("/nowhere/at/all", (source + "/link").c_str()), 0);
  EXPECT_EQ(clock_margin_of(source + "/link").ns, clock_margin_of(source).ns);  // not of what it leads to
}

}  // namespace
}  // namespace holdfast::files
