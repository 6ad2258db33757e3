#include "recovery/apart.h"

#include <gtest/gtest.h>

namespace holdfast::recovery {
namespace {

class Apart : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-apart-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    ASSERT_TRUE(make_directories(fs_, root_ + "/data/repo/packs").ok());
    ASSERT_TRUE(fs_.symlink(root_ + "/data/repo", root_ + "/link").ok());
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }

  std::string refusal(const std::string& directory, bool whole) {
    const auto outcome = check_apart(fs_, root_ + directory, whole, root_ + "/data/repo");
    if (outcome.ok()) return "";
    EXPECT_EQ(outcome.error().code(), ErrorCode::kRefused);
    return outcome.error().message();
  }

  FileSystem& fs_ = real_file_system();
  std::string root_;
};

TEST_F(Apart, ATargetInTheRepositoryIsRefused) {
  for (const bool whole : {false, true}) {
    for (const char* directory : {"/data/repo", "/data/repo/packs", "/data/repo/new/out", "/link/out"})
      EXPECT_EQ(refusal(directory, whole),
                "the target " + root_ + directory + " lies in the repository at " + root_ + "/data/repo");
    EXPECT_EQ(refusal("/data/repository", whole), "");
    EXPECT_EQ(refusal("/out", whole), "");
  }
}

TEST_F(Apart, ATargetThatIsTakenWholeMustNotHoldTheRepository) {
  EXPECT_EQ(refusal("/data", true), "the repository at " + root_ + "/data/repo lies in the target " + root_ + "/data");
  EXPECT_EQ(refusal("/data", false), "");
}

TEST_F(Apart, ARepositoryThatIsNoDirectoryIsInNobodysWay) { EXPECT_TRUE(check_apart(fs_, "/srv", true, "").ok()); }

}  // namespace
}  // namespace holdfast::recovery
