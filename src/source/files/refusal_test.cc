#include "source/files/refusal.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

using RefusalTest = FilesTest;

// Refuses what some target might, each for one entry.
class RefusingFileSystem : public MeddlingFileSystem {
 public:
  using MeddlingFileSystem::MeddlingFileSystem;
  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    if (options.create && parent_path(name_of(path)).ends_with("/closed")) return refusal(EACCES, path);
    return MeddlingFileSystem::open(path, options);
  }
  Result<void> make_directory(const std::string& path, mode_t mode) override {
    if (path.ends_with("/locked")) return refusal(EACCES, path);
    return MeddlingFileSystem::make_directory(path, mode);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (to.ends_with("/busy")) return refusal(EBUSY, to);
    return MeddlingFileSystem::rename(from, to);
  }
  Result<void> symlink(const std::string&, const std::string& path) override { return refusal(ENAMETOOLONG, path); }
  Result<void> remove_file(const std::string& path) override {
    if (path.ends_with("/extra")) return refusal(EPERM, path);
    return MeddlingFileSystem::remove_file(path);
  }
  Result<void> hard_link(const std::string&, const std::string& to) override { return refusal(link_error, to); }
  int link_error = EXDEV;

 private:
  static Error refusal(int errno_value, const std::string&) { return Error::from_errno(errno_value, "refused"); }
};

TEST_F(RefusalTest, WhatTheTargetRefusesAloneIsAFaultAndTheRestIsRestored) {
  for (const char* name : {"closed", "locked"}) mkdir((source + "/" + name).c_str(), 0755);
  for (const char* name : {"a", "busy", "closed/large", "closed/small", "locked/b", "z"}) write_source(name, name);
  ASSERT_EQ(truncate((source + "/closed/large").c_str(), 200 << 20), 0);
  ASSERT_EQ(symlink("far", (source + "/link").c_str()), 0);
  const auto snapshot = take();
  ASSERT_TRUE(make_directories(real_file_system(), restored()).ok());
  write(restored("extra"), "x");
  RefusingFileSystem disk(real_file_system());
  source::World w{disk, clock, progress, 1};
  auto report = restore(w, repository, snapshot, {.to = target, .delta = true, .remove_extra = true});
  ASSERT_TRUE(report.ok()) << report.error().text();
  std::sort(report->faults.begin(), report->faults.end());
  const std::string not_restored = ": not restored: refused: ";
  std::vector<std::string> expected = {in_tree("busy") + not_restored + "device or resource busy",
                                       in_tree("closed/large") + not_restored + "permission denied",
                                       in_tree("closed/small") + not_restored + "permission denied",
                                       in_tree("link") + not_restored + "file name too long",
                                       in_tree("locked") + not_restored + "permission denied"};
  for (const auto& fault : expected)
    EXPECT_EQ(std::count(report->faults.begin(), report->faults.end(), fault), 1) << fault;
  EXPECT_EQ(std::count(report->faults.begin(), report->faults.end(),
                       in_tree("extra") + ": not removed: refused: operation not permitted"),
            1);
  EXPECT_EQ(read(restored("a")), "a");
  EXPECT_EQ(read(restored("z")), "z");
  EXPECT_EQ(status_of(restored("closed")).st_mode & 07777, 0755u);
  auto names = real_file_system().list(restored()).value();  // no temporary stays
  EXPECT_EQ(names.size(), 4u);
}

TEST_F(RefusalTest, AFullDiskEndsTheRestore) {
  write_source("a", "a");
  const auto snapshot = take();
  class Full : public MeddlingFileSystem {
   public:
    using MeddlingFileSystem::MeddlingFileSystem;
    Result<void> rename_exclusive(const std::string&, const std::string&) override {
      return Error::from_errno(ENOSPC, "refused");
    }
  } disk(real_file_system());
  source::World w{disk, clock, progress, 2};
  const auto report = restore(w, repository, snapshot, {.to = target});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kNoSpace);
}

TEST_F(RefusalTest, AHardLinkThatCanNotBeMadeBecomesAFileOfItsOwn) {
  mkdir((source + "/d").c_str(), 0755);
  const std::string first = source + "/a";
  write(first, noise(10'000, 1));
  ASSERT_EQ(truncate(first.c_str(), 1 << 20), 0);
  ASSERT_EQ(chmod(first.c_str(), 0640), 0);
  ASSERT_EQ(link((source + "/a").c_str(), (source + "/d/second").c_str()), 0);
  const struct timespec old[2] = {{1'111'111'111, 42}, {1'111'111'111, 42}};
  for (const char* name : {"/a", "/d"}) ASSERT_EQ(utimensat(AT_FDCWD, (source + name).c_str(), old, 0), 0);
  const auto snapshot = take();
  RefusingFileSystem disk(real_file_system());
  for (const int reason : {EXDEV, EMLINK, EOPNOTSUPP, EPERM}) {
    disk.link_error = reason;
    source::World w{disk, clock, progress, 2};
    const auto report = restore(w, repository, snapshot, {.to = target, .delta = true});
    ASSERT_TRUE(report.ok()) << report.error().text();
    EXPECT_EQ(report->faults, std::vector<std::string>());
    EXPECT_EQ(report->notes, std::vector<std::string>{"1 of the hard links became files of their own, as the target "
                                                      "can't hold them as links"});
    EXPECT_EQ(differences(snapshot, target),
              std::vector<std::string>{in_tree("d/second") + ": is not a hard link to " + in_tree("a")});
    EXPECT_TRUE(read(restored("d/second")) == read(source + "/a"));
    EXPECT_EQ(layout(restored("d/second")), layout(source + "/a"));
    const struct stat copy = status_of(restored("d/second"));
    EXPECT_EQ(copy.st_mode & 07777, 0640u);
    EXPECT_EQ(copy.st_mtim.tv_sec, 1'111'111'111);
  }
}

}  // namespace
}  // namespace holdfast::files
