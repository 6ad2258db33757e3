#include "base/filesystem.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/places.h"

namespace holdfast {
namespace {

class FileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-fs-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }
  std::string path(std::string_view name) const { return join_path(root_, name); }
  std::string content(const std::string& file) { return std::string(as_text(read_file(fs_, file).value())); }
  std::vector<std::string> names(const std::string& directory) {
    std::vector<std::string> found;
    for (const auto& entry : fs_.list(directory).value()) found.push_back(entry.name);
    std::sort(found.begin(), found.end());
    return found;
  }

  FileSystem& fs_ = real_file_system();
  std::string root_;
};

TEST_F(FileSystemTest, DurableWriteReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(write_file_durably(fs_, path("a"), as_bytes("one")).ok());
  ASSERT_TRUE(write_file_durably(fs_, path("a"), as_bytes("two"), 0640).ok());
  EXPECT_EQ(content(path("a")), "two");
  EXPECT_EQ(fs_.stat(path("a"))->st_mode & 07777, 0640u);
  EXPECT_EQ(names(root_), std::vector<std::string>{"a"});
}

TEST_F(FileSystemTest, DurableCreateNeverOverwrites) {
  ASSERT_TRUE(create_file_durably(fs_, path("a"), as_bytes("one")).ok());
  const auto again = create_file_durably(fs_, path("a"), as_bytes("two"));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(content(path("a")), "one");
  EXPECT_EQ(names(root_), std::vector<std::string>{"a"});
}

TEST_F(FileSystemTest, RemoveTreeDoesNotFollowSymbolicLinks) {
  ASSERT_TRUE(make_directories(fs_, path("keep/inner")).ok());
  ASSERT_TRUE(write_file_durably(fs_, path("keep/inner/file"), as_bytes("x")).ok());
  ASSERT_TRUE(make_directories(fs_, path("tree/deep")).ok());
  ASSERT_TRUE(fs_.symlink(path("keep"), path("tree/deep/link")).ok());
  ASSERT_TRUE(fs_.symlink(path("keep"), path("top")).ok());
  ASSERT_TRUE(remove_tree(fs_, path("tree")).ok());
  ASSERT_TRUE(remove_tree(fs_, path("top")).ok());
  EXPECT_EQ(content(path("keep/inner/file")), "x");
  EXPECT_EQ(names(root_), std::vector<std::string>{"keep"});
  EXPECT_TRUE(remove_tree(fs_, path("absent")).ok());
}

TEST_F(FileSystemTest, TellsWhatLiesInADirectoryWhateverLinksLeadThere) {
  ASSERT_TRUE(make_directories(fs_, path("place/inner")).ok());
  ASSERT_TRUE(fs_.symlink(path("place"), path("link")).ok());
  EXPECT_EQ(resolved_path(path("link/absent/x")), resolved_path(path("place")) + "/absent/x");
  EXPECT_EQ(resolved_path("/absent/../x"), "/x");
  for (const char* inside : {"place", "place/", "place/inner", "place/absent/x", "link", "link/absent"})
    EXPECT_TRUE(lies_in(fs_, path(inside), path("place"))) << inside;
  EXPECT_TRUE(lies_in(fs_, path("place/x"), path("link")));
  for (const char* outside : {"", "places", "other/place", "place/../x"})
    EXPECT_FALSE(lies_in(fs_, path(outside), path("place"))) << outside;
  EXPECT_FALSE(lies_in(fs_, path("x"), path("absent")));
  EXPECT_TRUE(lies_in(fs_, path("absent/x"), path("absent")));
  EXPECT_FALSE(lies_in(fs_, "/", path("place")));
}

TEST_F(FileSystemTest, FilesReadAndWriteAtOffsets) {
  OpenOptions options;
  options.write = options.create = true;
  auto file = fs_.open(path("f"), options).value();
  ASSERT_TRUE(file->write_at(3, as_bytes("def")).ok());
  ASSERT_TRUE(file->write_at(0, as_bytes("abc")).ok());
  ASSERT_TRUE(file->sync().ok());
  Bytes out(10);
  EXPECT_EQ(file->read_at(2, out.mutable_view()).value(), 4u);
  EXPECT_EQ(as_text(out.view(0, 4)), "cdef");
  EXPECT_EQ(file->read_at(100, out.mutable_view()).value(), 0u);
  ASSERT_TRUE(file->truncate(2).ok());
  EXPECT_EQ(file->stat()->st_size, 2);
  EXPECT_GE(file->descriptor(), 0);
  ASSERT_TRUE(file->close().ok());
  EXPECT_EQ(file->close().error().text(), path("f") + " is closed already");
  EXPECT_FALSE(file->read_at(0, out.mutable_view()).ok());
}

TEST_F(FileSystemTest, OpenOptionsDoWhatTheySay) {
  ASSERT_TRUE(write_file_durably(fs_, path("f"), as_bytes("abc")).ok());
  ASSERT_TRUE(fs_.symlink("f", path("link")).ok());
  OpenOptions exclusive;
  exclusive.write = exclusive.create = exclusive.exclusive = true;
  EXPECT_EQ(fs_.open(path("f"), exclusive).error().code(), ErrorCode::kAlreadyExists);
  OpenOptions no_follow;
  no_follow.no_follow = true;
  EXPECT_FALSE(fs_.open(path("link"), no_follow).ok());
  EXPECT_TRUE(fs_.open(path("link"), {}).ok());
  OpenOptions no_atime;
  no_atime.no_atime = true;
  EXPECT_TRUE(fs_.open(path("f"), no_atime).ok());
  OpenOptions truncate;
  truncate.write = truncate.truncate = true;
  ASSERT_TRUE(fs_.open(path("f"), truncate).ok());
  EXPECT_EQ(content(path("f")), "");
  EXPECT_FALSE(fs_.open(path("f"), {}).value()->write_at(0, as_bytes("x")).ok());
}

TEST_F(FileSystemTest, OpensWithoutFollowingALinkAnywhereInThePath) {
  const std::string top = resolved_path(root_);
  ASSERT_TRUE(fs_.make_directory(top + "/d", 0700).ok());
  ASSERT_TRUE(create_file_durably(fs_, top + "/d/a", as_bytes("one")).ok());
  ASSERT_TRUE(fs_.symlink("d", top + "/link").ok());
  const int found = open_without_links(top + "/d/a");
  EXPECT_GE(found, 0);
  ::close(found);
  EXPECT_EQ(open_without_links(top + "/link/a"), -1);
  EXPECT_EQ(errno, ELOOP);
  EXPECT_EQ(open_without_links(top + "/d/none"), -1);
  EXPECT_EQ(errno, ENOENT);
}

// Holds a write lease on a file and gives it up when the kernel asks for that.
class LeaseHolder {
 public:
  explicit LeaseHolder(const std::string& path) {
    sigset_t breaks;
    sigemptyset(&breaks);
    sigaddset(&breaks, SIGIO);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &breaks, &before_), 0);
    signals_ = ::signalfd(-1, &breaks, SFD_CLOEXEC);
    file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    held_ = ::fcntl(file_, F_SETLEASE, F_WRLCK) == 0;
    if (held_) thread_ = std::jthread([this] { serve(); });
  }
  ~LeaseHolder() {
    if (held_ && !given_up_) ::kill(::getpid(), SIGIO);
    if (thread_.joinable()) thread_.join();
    ::close(file_);
    ::close(signals_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  bool held() const { return held_; }
  bool given_up() const { return given_up_; }

 private:
  void serve() {
    struct signalfd_siginfo info{};
    EXPECT_EQ(::read(signals_, &info, sizeof info), static_cast<ssize_t>(sizeof info));
    given_up_ = true;
    EXPECT_EQ(::fcntl(file_, F_SETLEASE, F_UNLCK), 0);
  }
  sigset_t before_{};
  int signals_ = -1, file_ = -1;
  bool held_ = false;
  std::atomic<bool> given_up_ = false;
  std::jthread thread_;
};

TEST_F(FileSystemTest, WaitsForALeaseButNotForAFifo) {
  ASSERT_TRUE(create_file_durably(fs_, path("leased"), as_bytes("content")).ok());
  LeaseHolder holder(path("leased"));
  if (!holder.held()) GTEST_SKIP() << "no leases on this file system";
  auto file = fs_.open(path("leased"), {.no_follow = true, .no_atime = true, .no_wait = true});
  ASSERT_TRUE(file.ok()) << file.error().text();
  EXPECT_TRUE(holder.given_up());
  Bytes bytes(7);
  EXPECT_EQ(file.value()->read_at(0, {bytes.data(), bytes.size()}).value(), 7u);
  EXPECT_EQ(as_text(bytes), "content");
}

TEST_F(FileSystemTest, ErrorsNameThePathAndTheCode) {
  const std::string absent = path("absent");
  EXPECT_EQ(fs_.open(absent, {}).error().text(), "can't open " + absent + ": no such file or directory");
  EXPECT_EQ(fs_.stat(absent).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs_.list(absent).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs_.rename(absent, path("b")).error().text(),
            "can't rename " + absent + " to " + path("b") + ": no such file or directory");
  EXPECT_EQ(fs_.sync_directory(absent).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(fs_.make_directory(path("d"), 0700).ok());
  EXPECT_EQ(fs_.make_directory(path("d"), 0700).error().code(), ErrorCode::kAlreadyExists);
}

TEST_F(FileSystemTest, AFullDeviceIsNoSpace) {
  OpenOptions options;
  options.write = true;
  auto full = fs_.open("/dev/full", options);
  ASSERT_TRUE(full.ok());
  const auto written = full.value()->write_at(0, as_bytes("x"));
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(written.error().text(), "can't write /dev/full: no space left on device");
}

TEST_F(FileSystemTest, ExclusiveRenameAndLinkNeverReplace) {
  ASSERT_TRUE(write_file_durably(fs_, path("a"), as_bytes("a")).ok());
  ASSERT_TRUE(write_file_durably(fs_, path("b"), as_bytes("b")).ok());
  EXPECT_EQ(fs_.rename_exclusive(path("a"), path("b")).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(fs_.hard_link(path("a"), path("b")).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(content(path("b")), "b");
  ASSERT_TRUE(fs_.rename_exclusive(path("a"), path("c")).ok());
  ASSERT_TRUE(fs_.hard_link(path("c"), path("d")).ok());
  EXPECT_EQ(fs_.stat(path("c"))->st_nlink, 2u);
  ASSERT_TRUE(fs_.rename(path("d"), path("b")).ok());
  EXPECT_EQ(content(path("b")), "a");
}

TEST_F(FileSystemTest, ReadsLongSymbolicLinks) {
  const std::string target(3000, 'x');
  ASSERT_TRUE(fs_.symlink(target, path("link")).ok());
  EXPECT_EQ(fs_.read_link(path("link")).value(), target);
}

TEST_F(FileSystemTest, ReadFileKeepsToItsLimit) {
  ASSERT_TRUE(write_file_durably(fs_, path("f"), as_bytes("12345678")).ok());
  EXPECT_EQ(as_text(read_file(fs_, path("f"), 8).value()), "12345678");
  EXPECT_EQ(read_file(fs_, path("f"), 7).error().text(), path("f") + " is larger than 7 bytes");
  EXPECT_GT(read_file(fs_, "/proc/self/status")->size(), 100u);  // says that its size is 0
  EXPECT_EQ(read_file(fs_, "/dev/zero", 100000).error().code(), ErrorCode::kInvalidData);
}

TEST_F(FileSystemTest, MakesDirectoriesThroughLinksButNotThroughFiles) {
  ASSERT_TRUE(make_directories(fs_, path("a/b/c")).ok());
  ASSERT_TRUE(make_directories(fs_, path("a/b/c/")).ok());
  ASSERT_TRUE(fs_.symlink("a/b", path("link")).ok());
  ASSERT_TRUE(make_directories(fs_, path("link/d")).ok());
  EXPECT_TRUE(exists(fs_, path("a/b/d")).value());
  ASSERT_TRUE(write_file_durably(fs_, path("file"), {}).ok());
  EXPECT_EQ(make_directories(fs_, path("file")).error().text(), path("file") + " exists and is not a directory");
  EXPECT_FALSE(make_directories(fs_, path("file/x")).ok());
  EXPECT_TRUE(is_empty_directory(fs_, path("a/b/c")).value());
  EXPECT_FALSE(is_empty_directory(fs_, path("a")).value());
  EXPECT_GT(fs_.free_bytes(root_).value(), 0u);
  EXPECT_TRUE(fs_.sync_all(root_).ok());
}

TEST_F(FileSystemTest, NamesAreBytes) {
  const std::string name = "\xff\xfe \n'\"";
  ASSERT_TRUE(write_file_durably(fs_, path(name), as_bytes("x")).ok());
  EXPECT_EQ(names(root_), std::vector<std::string>{name});
  EXPECT_EQ(content(path(name)), "x");
}

TEST(Paths, AreTakenApartAndPutTogether) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "/b"), "a/b");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_EQ(join_path("/", "b"), "/b");
  EXPECT_EQ(parent_path("a"), ".");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("/a/b/"), "/a");
  EXPECT_EQ(parent_path("/a//b"), "/a");
  EXPECT_EQ(parent_path("/"), "/");
  EXPECT_EQ(base_name("/a/b/"), "b");
  EXPECT_EQ(base_name("b"), "b");
  EXPECT_EQ(base_name("/"), "/");
  EXPECT_EQ(absolute_path("/a/./b/../c//d/"), "/a/c/d");
  EXPECT_EQ(absolute_path("/.."), "/");
  EXPECT_EQ(absolute_path("x/.."), absolute_path("."));
  EXPECT_EQ(absolute_path("x"), join_path(absolute_path(""), "x"));
}

}  // namespace
}  // namespace holdfast
