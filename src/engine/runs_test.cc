#include "engine/runs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/report.h"
#include "engine/test_fakes.h"

namespace holdfast::engine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
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

// A program that was given the attempt's directory, as `tail -f` of its output is.
TEST_F(RunsTest, WhoLooksAtAnAttemptIsNotTakenForIt) {
  leave("steps/wipe/1-00000a", "began");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  std::string program = "sh", option = "-c", script = "read x", place = join_path(directory_, "steps/wipe/1-00000a");
  char* argv[] = {program.data(), option.data(), script.data(), place.data(), nullptr};
  pid_t pid = -1;
  ASSERT_EQ(::posix_spawnp(&pid, "sh", &actions, nullptr, argv, environ), 0);
  const auto found = lost();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].running, 0);
  ::close(ends[1]);
  ::close(ends[0]);
  ::waitpid(pid, nullptr, 0);
  posix_spawn_file_actions_destroy(&actions);
}

TEST_F(RunsTest, ARunThatCanNotBeLookedAtIsNotPassedOver) {
  const std::string broken = join_path(runs_, "29990101-0000-dead");
  ASSERT_EQ(::symlink(base_name(broken).c_str(), broken.c_str()), 0) << "a circle";
  const auto ids = list_runs(runs_);
  ASSERT_TRUE(ids.ok()) << ids.error().text();
  EXPECT_EQ(*ids, (std::vector<std::string>{base_name(directory_), base_name(broken)}));
}

TEST_F(RunsTest, AnAttemptThatBeganWhileTheJournalWasReadIsNotLost) {
  auto run = open_run(directory_, "alice@db1");
  ASSERT_TRUE(run.ok()) << run.error().text();
  const std::vector<Event> before = run->journal->events();
  Event started;
  started.step = "wipe";
  started.attempt = 1;
  started.kind = kind::kStepStarted;
  started.payload = {{"directory", "steps/wipe/1-00000a"}, {"process", ProcessIdentity::of_self().to_json()}};
  run->journal->append(started);
  ASSERT_TRUE(run->journal->commit().ok());
  leave("steps/wipe/1-00000a", "began");
  const auto state = fold(before);
  ASSERT_TRUE(state.ok());
  const auto said = [&] { return report_of(*state, before, directory_, nullptr).markdown(); };
  EXPECT_THAT(said(), Not(HasSubstr("Not in the journal")));
  leave("steps/wipe/2-00000b", "began");
  EXPECT_THAT(said(), HasSubstr("steps/wipe/2-00000b: it has lost events"));
}

}  // namespace
}  // namespace holdfast::engine
