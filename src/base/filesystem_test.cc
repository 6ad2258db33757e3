#include "base/filesystem.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

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

}  // namespace
}  // namespace holdfast
