#include "engine/runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/test_fakes.h"

namespace holdfast::engine {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

std::string default_for(const std::map<std::string, const char*>& environment) {
  return default_runs_directory(
      [&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second;
      },
      false);
}

TEST(Runs, AreInAnAbsolutePlaceWhateverTheEnvironmentSays) {
  EXPECT_EQ(default_for({{"HOME", "/srv/alice"}}), "/srv/alice/.local/state/holdfast/runs");
  EXPECT_EQ(default_for({{"XDG_STATE_HOME", "state"}}), absolute_path("state/holdfast/runs"));
  EXPECT_EQ(default_for({}), absolute_path(".local/state/holdfast/runs"));
}

class RunsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/holdfast-runs-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    runs_ = name;
    Plan plan;
    Step& step = plan.steps.emplace_back();
    step.id = "wipe";
    auto made = create_run(runs_, {{"plan", plan.to_json()}}, "", "alice@db1", system_clock(), system_random());
    ASSERT_TRUE(made.ok()) << made.error().text();
    directory_ = made->directory;
  }
  void TearDown() override { ignore(remove_tree(real_file_system(), runs_), "scratch"); }

  void leave(const std::string& attempt, const std::string& file) {
    const std::string place = join_path(directory_, attempt);
    ASSERT_TRUE(make_directories(real_file_system(), place).ok());
    ASSERT_TRUE(write_file_durably(real_file_system(), join_path(place, file), as_bytes("")).ok());
  }
  std::vector<LostAttempt> lost() {
    auto run = open_run(directory_, "alice@db1");
    EXPECT_TRUE(run.ok()) << run.error().text();
    return run.ok() ? std::move(run->lost) : std::vector<LostAttempt>();
  }

  std::string runs_, directory_;
};

TEST_F(RunsTest, WhatIsNoRunIsPassedOver) {
  ASSERT_TRUE(write_file_durably(real_file_system(), join_path(runs_, "notes.txt"), as_bytes("x")).ok());
  ASSERT_TRUE(make_directories(real_file_system(), join_path(runs_, "old")).ok());
  const auto ids = list_runs(runs_);
  ASSERT_TRUE(ids.ok()) << ids.error().text();
  EXPECT_EQ(*ids, std::vector<std::string>{base_name(directory_)});
}

TEST_F(RunsTest, AnAttemptThatNoEventNamesIsFound) {
  EXPECT_THAT(lost(), IsEmpty());
  leave("steps/wipe/1-00000a", "script");
  EXPECT_THAT(lost(), IsEmpty()) << "it never began";
  leave("steps/wipe~verify/1-00000b", "began");
  EXPECT_THAT(lost(), IsEmpty()) << "it only looked";
  leave("steps/wipe~undo/2-00000c", "began");
  leave("steps/wipe/1-00000a", "began");
  const auto found = lost();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].id, "wipe");
  EXPECT_EQ(found[0].directory, "steps/wipe/1-00000a");
  EXPECT_EQ(found[1].id, "wipe~undo");
  EXPECT_EQ(found[1].attempt, 2);
  EXPECT_EQ(found[1].running, 0);
}

}  // namespace
}  // namespace holdfast::engine
