#include "source/scratch_place.h"

#include <gtest/gtest.h>

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace holdfast::source {
namespace {

class ScratchPlaceTest : public testing::Test {
 protected:
  ScratchPlaceTest() {
    std::string pattern = testing::TempDir() + "holdfast-scratch-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~ScratchPlaceTest() override { ignore(remove_tree(real_file_system(), root_), "a test's directory"); }

  Result<ScratchPlace> make() { return ScratchPlace::make(real_file_system(), system_clock(), root_); }
  bool there(const std::string& path) { return exists(real_file_system(), path).value(); }
  // What a process that was killed has left.
  std::string leave_behind() {
    const std::string path = root_ + "/holdfast-aside-dead00";
    EXPECT_TRUE(make_directories(real_file_system(), path + "/boot").ok());
    EXPECT_TRUE(write_file_durably(real_file_system(), path + "/lock", as_bytes("")).ok());
    return path;
  }
  // A process that works in `directory` until it is ended.
  static pid_t worker_in(const std::string& directory) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::chdir(directory.c_str()) != 0 || ::write(ready[1], "", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    return child;
  }

  std::string root_;
};

TEST_F(ScratchPlaceTest, GoesWithTheObjectAndLeavesTheLivingAlone) {
  std::string first, second;
  {
    const ScratchPlace one = make().value();
    first = one.path();
    ASSERT_TRUE(one.folder("boot").ok());
    const ScratchPlace other = make().value();
    second = other.path();
    EXPECT_TRUE(there(first + "/boot"));
  }
  EXPECT_FALSE(there(first));
  EXPECT_FALSE(there(second));
}

TEST_F(ScratchPlaceTest, RemovesWhatTheDeadHaveLeftAndNothingElse) {
  FileSystem& fs = real_file_system();
  const std::string dead = leave_behind(), being_made = root_ + "/holdfast-aside-young0", other = root_ + "/other";
  for (const std::string& path : {being_made, other}) ASSERT_TRUE(fs.make_directory(path, 0700).ok());
  const ScratchPlace place = make().value();
  EXPECT_FALSE(there(dead));
  EXPECT_TRUE(there(being_made));
  EXPECT_TRUE(there(other));
}

// A removal that is cut off leaves what the next one knows for a dead process's. Here what can't be
// removed was made before the lock and after it: one of them is listed behind it.
TEST_F(ScratchPlaceTest, RemovesTheLockLast) {
  FileSystem& fs = real_file_system();
  const auto mount = [](const std::string& path) { return ::mount("none", path.c_str(), "tmpfs", 0, nullptr); };
  if (mount(root_) != 0) GTEST_SKIP() << "a mount needs root";
  const std::string before = root_ + "/holdfast-aside-before", after = root_ + "/holdfast-aside-after0";
  for (const std::string& dead : {before, after}) {
    const bool first = dead == before;
    ASSERT_TRUE(make_directories(fs, dead + (first ? "/held" : "")).ok());
    ASSERT_TRUE(write_file_durably(fs, dead + "/lock", as_bytes("")).ok());
    ASSERT_TRUE(make_directories(fs, dead + "/held").ok());
    ASSERT_EQ(mount(dead + "/held"), 0);
  }
  EXPECT_FALSE(sweep_scratch_places(fs, system_clock(), root_));
  for (const std::string& dead : {before, after}) {
    EXPECT_TRUE(there(dead + "/lock"));
    ASSERT_EQ(::umount((dead + "/held").c_str()), 0);
  }
  EXPECT_TRUE(sweep_scratch_places(fs, system_clock(), root_));
  EXPECT_FALSE(there(before) || there(after));
  EXPECT_EQ(::umount(root_.c_str()), 0);
}

TEST_F(ScratchPlaceTest, EndsWhatWorksInWhatTheDeadHaveLeftAndNothingElse) {
  const std::string dead = leave_behind();
  const pid_t inside = worker_in(dead + "/boot"), outside = worker_in(root_);
  const std::jthread reaper([&] { ::waitpid(inside, nullptr, 0); });
  const ScratchPlace place = make().value();
  EXPECT_FALSE(there(dead));
  EXPECT_EQ(::waitpid(outside, nullptr, WNOHANG), 0);
  ::kill(outside, SIGKILL);
  ::waitpid(outside, nullptr, 0);
}

}  // namespace
}  // namespace holdfast::source
