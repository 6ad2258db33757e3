#include "source/files/beneath.h"

#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

using BeneathTest = FilesTest;

// Whoever owns a directory of the target may put a symbolic link in its place at any
// instant: here right before one of the calls that follow the look at it.
class Swapping : public MeddlingFileSystem {
 public:
  using MeddlingFileSystem::MeddlingFileSystem;
  Result<void> make_directory(const std::string& path, mode_t mode) override {
    swap("make_directory");
    return MeddlingFileSystem::make_directory(path, mode);
  }
  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    if (options.create) swap("open");
    return MeddlingFileSystem::open(path, options);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    swap("rename");
    return MeddlingFileSystem::rename(from, to);
  }
  Result<void> hard_link(const std::string& from, const std::string& to) override {
    swap("hard_link");
    return MeddlingFileSystem::hard_link(from, to);
  }
  Result<void> symlink(const std::string& to, const std::string& path) override {
    swap("symlink");
    return MeddlingFileSystem::symlink(to, path);
  }
  Result<void> remove_file(const std::string& path) override {
    swap("remove_file");
    return MeddlingFileSystem::remove_file(path);
  }
  Result<void> sync_all(const std::string& path) override {
    swap("sync_all");
    return MeddlingFileSystem::sync_all(path);
  }
  std::string at, directory, victim;

 private:
  void swap(const std::string& call) {
    if (call != at) return;
    at.clear();
    EXPECT_EQ(::rename(directory.c_str(), (directory + ".moved").c_str()), 0);
    EXPECT_EQ(::symlink(victim.c_str(), directory.c_str()), 0);
  }
};

TEST_F(BeneathTest, ADirectoryThatBecomesASymbolicLinkMeanwhileIsNotWrittenThrough) {
  for (const char* name : {"/d", "/d/sub"}) mkdir((source + name).c_str(), 0755);
  write_source("a", "first");
  write_source("d/file", "restored");
  ASSERT_EQ(link((source + "/a").c_str(), (source + "/d/link").c_str()), 0);
  ASSERT_EQ(symlink("x", (source + "/d/symlink").c_str()), 0);
  const auto snapshot = take();
  for (const char* call : {"make_directory", "open", "rename", "hard_link", "symlink", "remove_file", "sync_all"}) {
    Swapping disk(real_file_system());
    disk.victim = scratch / "victim";
    ASSERT_TRUE(remove_tree(real_file_system(), target).ok());
    ASSERT_TRUE(remove_tree(real_file_system(), disk.victim).ok());
    mkdir(disk.victim.c_str(), 0700);
    const std::vector<std::string> names = {"file", "extra", "link", "symlink"};
    ASSERT_TRUE(make_directories(real_file_system(), restored("d")).ok());
    for (const auto& name : names) {
      write(disk.victim + "/" + name, "of another");
      write(restored("d/" + name), "old");
    }
    const struct stat before = status_of(disk.victim);
    disk.directory = restored("d");
    disk.at = call;
    source::World w{disk, clock, progress, 1};
    ignore(restore(w, repository, snapshot, {.to = target, .delta = true, .remove_extra = true}), "it may be a fault");
    EXPECT_EQ(disk.at, "") << call << " was not met";
    for (const auto& name : names) EXPECT_EQ(read(disk.victim + "/" + name), "of another") << call;
    EXPECT_EQ(real_file_system().list(disk.victim).value().size(), names.size()) << call;
    const struct stat after = status_of(disk.victim);
    EXPECT_EQ(before.st_mode, after.st_mode) << call;
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec) << call;
  }
}

}  // namespace
}  // namespace holdfast::files
