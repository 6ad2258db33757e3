#include "recovery/drill_registry.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>

#include <csignal>
#include <map>

namespace holdfast::recovery {
namespace {

class DrillRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-registry-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    registry_ = root_ + "/drills";
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }

  std::string directory(const std::string& id) { return root_ + "/" + drill_directory_name(id); }
  std::unique_ptr<DrillMarker> begin(const std::string& id) {
    auto marker = DrillMarker::create(fs_, registry_, id, directory(id));
    EXPECT_TRUE(marker.ok()) << marker.error().text();
    EXPECT_TRUE(make_directories(fs_, directory(id) + "/db").ok());
    return std::move(marker).value();
  }
  std::vector<SweptDrill> sweep() {
    auto swept = sweep_drills(fs_, system_clock(), registry_);
    EXPECT_TRUE(swept.ok()) << swept.error().text();
    return std::move(swept).value();
  }

  FileSystem& fs_ = real_file_system();
  std::string root_, registry_;
};

TEST_F(DrillRegistryTest, WhatLivesIsLeftAlone) {
  const auto marker = begin("0a");
  EXPECT_TRUE(sweep().empty());
  EXPECT_TRUE(exists(fs_, directory("0a")).value());
  ASSERT_TRUE(remove_tree(fs_, directory("0a")).ok());
  ASSERT_TRUE(marker->remove().ok());
  EXPECT_TRUE(is_empty_directory(fs_, registry_).value());
}

TEST_F(DrillRegistryTest, WhatDiedIsRemovedWithItsProcesses) {
  const pid_t server = ::fork();
  if (server == 0) ::pause();
  const pid_t worker = ::fork();
  auto marker = worker == 0 ? nullptr : begin("0a");
  if (worker == 0) {
    while (::chdir(directory("0a").c_str()) != 0) ::sched_yield();
    ::pause();
  }
  ASSERT_TRUE(marker->set_phase("boot").ok());
  ASSERT_TRUE(marker->add_process(server).ok());
  marker.reset();  // as its process's end does
  const auto swept = sweep();
  ASSERT_EQ(swept.size(), 1u);
  EXPECT_EQ(swept[0].id, "0a");
  EXPECT_EQ(swept[0].phase, "boot");
  EXPECT_FALSE(exists(fs_, directory("0a")).value());
  EXPECT_TRUE(is_empty_directory(fs_, registry_).value());
  for (const pid_t child : {server, worker}) {
    int status = 0;
    if (child == worker) ::kill(worker, SIGKILL);  // it may not have been there yet
    ASSERT_EQ(child, ::waitpid(child, &status, 0));
    EXPECT_TRUE(WIFSIGNALED(status));
  }
}

TEST_F(DrillRegistryTest, OnlyADrillsOwnDirectoryIsRemoved) {
  ASSERT_TRUE(make_directories(fs_, root_ + "/precious").ok());
  ASSERT_TRUE(DrillMarker::create(fs_, registry_, "0a", root_ + "/precious").ok());
  const auto swept = sweep();
  ASSERT_EQ(swept.size(), 1u);
  ASSERT_TRUE(swept[0].problem);
  EXPECT_EQ(swept[0].problem->code(), ErrorCode::kInvalidData);
  EXPECT_TRUE(exists(fs_, root_ + "/precious").value());
}

TEST_F(DrillRegistryTest, OneThatCanNotBeRemovedHoldsUpNoOther) {
  ASSERT_TRUE(make_directories(fs_, registry_).ok());
  for (const char* id : {"0a", "0c"}) ASSERT_TRUE(write_file_durably(fs_, registry_ + "/" + id + ".lock", {}).ok());
  ASSERT_TRUE(write_file_durably(fs_, registry_ + "/0a.json", as_bytes("half of")).ok());
  ASSERT_TRUE(fs_.make_directory(registry_ + "/0b.lock", 0700).ok());
  begin("0d").reset();
  const auto swept = sweep();
  ASSERT_EQ(swept.size(), 4u);
  EXPECT_TRUE(swept[0].problem);
  EXPECT_TRUE(swept[1].problem);
  EXPECT_FALSE(swept[2].problem);
  EXPECT_FALSE(swept[3].problem);
  EXPECT_FALSE(exists(fs_, directory("0d")).value());
  EXPECT_EQ(sweep().size(), 2u);
}

// A server that ended before it was noted has no mark; to wait for it would take until the
// deadline. (0 and less mean many processes: no test may try them.)
TEST_F(DrillRegistryTest, AProcessWithoutAMarkIsLeftAlone) {
  constexpr pid_t kNobody = 4'194'305;  // above the kernel's largest
  auto marker = begin("0a");
  ASSERT_TRUE(marker->add_process(kNobody).ok());
  marker.reset();
  const auto swept = sweep();
  ASSERT_EQ(swept.size(), 1u);
  EXPECT_FALSE(swept[0].problem);
  EXPECT_TRUE(is_empty_directory(fs_, registry_).value());
}

TEST_F(DrillRegistryTest, ADrillThatDiedBeforeItsDescriptionLeftAnEmptyLock) {
  ASSERT_TRUE(make_directories(fs_, registry_).ok());
  ASSERT_TRUE(write_file_durably(fs_, registry_ + "/0a.lock", as_bytes("")).ok());
  EXPECT_EQ(sweep().size(), 1u);
  EXPECT_TRUE(is_empty_directory(fs_, registry_).value());
}

TEST_F(DrillRegistryTest, WithoutARegistryThereIsNothingToDo) { EXPECT_TRUE(sweep().empty()); }

TEST(DrillRegistry, LiesWhereTheAccountKeepsItsState) {
  const auto in = [](std::map<std::string, std::string> values, bool root) {
    return default_drill_registry([&](const char* name) { return values.count(name) ? values[name].c_str() : nullptr; },
                                  root);
  };
  EXPECT_EQ(in({{"HOLDFAST_DRILLS", "/x"}, {"HOME", "/h"}}, true), "/x");
  EXPECT_EQ(in({{"HOME", "/root"}}, true), "/var/lib/holdfast/drills");
  EXPECT_EQ(in({{"HOME", "/h"}}, false), "/h/.local/state/holdfast/drills");
  EXPECT_EQ(in({{"HOME", "/h"}, {"XDG_STATE_HOME", "/s"}}, false), "/s/holdfast/drills");
}

}  // namespace
}  // namespace holdfast::recovery
