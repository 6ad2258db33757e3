#include "engine/launcher.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

Step restore() {
  Step step;
  step.id = "restore";
  step.kind = StepKind::kShell;
  return step;
}

Launcher launcher_of(Launcher::Settings settings) {
  settings.run = "test";
  settings.working_directory = "/srv/run";
  return Launcher(std::move(settings));
}

TEST(LauncherTest, ARelativeDirectoryIsBelowTheRuns) {
  Step step = restore();
  const Launcher launcher = launcher_of({});
  EXPECT_EQ(launcher.order(step, step.id, 1, "s").working_directory, "/srv/run");
  step.workdir = "app";
  EXPECT_EQ(launcher.order(step, step.id, 1, "s").working_directory, "/srv/run/app");
  step.workdir = "/opt/app";
  EXPECT_EQ(launcher.order(step, step.id, 1, "s").working_directory, "/opt/app");
}

TEST(LauncherTest, ATimeoutIsTheStepsOwnAlone) {
  Step step = restore();
  step.timeout = Duration::seconds(60);
  const Launcher launcher = launcher_of({});
  EXPECT_EQ(launcher.order(step, "restore", 1, "s").timeout, Duration::seconds(60));
  EXPECT_EQ(launcher.order(step, "restore~undo", 1, "s").timeout, std::nullopt);
  EXPECT_EQ(launcher.order(step, "restore~verify", 1, "s").timeout, std::nullopt);
  EXPECT_EQ(launcher.order(step, "restore~when", 1, "s").timeout, Duration::hours(1));
}

TEST(LauncherTest, AStepCanTellADrill) {
  const Step step = restore();
  const auto drill_of = [&](bool drill) {
    Launcher::Settings settings;
    settings.drill = drill;
    const AttemptOrder order = launcher_of(std::move(settings)).order(step, step.id, 1, "s");
    const std::map<std::string, std::string> environment(order.environment.begin(), order.environment.end());
    return environment.at("HOLDFAST_DRILL");
  };
  EXPECT_EQ(drill_of(true), "1");
  EXPECT_EQ(drill_of(false), "");
}

// The status of a question with this script.
int answer_to(const std::string& script) {
  const Step step = restore();
  const std::string path = testing::TempDir() + "question-" + std::to_string(::getpid());
  CHECK_MSG(write_file_durably(real_file_system(), path, as_bytes(script + "\n")).ok(), "no place for a script");
  std::vector<std::string> words = launcher_of({}).order(step, step.id + "~fence", 1, path).argv;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  CHECK_MSG(::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0, "no bash");
  int status = 0;
  CHECK_MSG(::waitpid(pid, &status, 0) == pid && WIFEXITED(status), "a question did not end");
  ignore(real_file_system().remove_file(path), "scratch");
  return WEXITSTATUS(status);
}

TEST(LauncherTest, OfAPipelineEveryCommandAnswersButOneThatAClosedPipeEnds) {
  for (const char* yes :
       {"yes | head -1", "seq 1 100000 | grep -q 5", "yes | head -1; test -e /", "f() { yes | head -1; }; f",
        "false || true", "if ! false; then true; fi", "test \"$(yes | head -1)\" = y",
        "true | true; test \"${PIPESTATUS[*]}\" = '0 0'", "{ false || true; } | cat"})
    EXPECT_EQ(answer_to(yes), 0) << yes;
  for (const char* no :
       {"false | tee /dev/null", "! seq 1 100000 | grep -q 5", "! false | cat", "false | cat; true",
        "true && false | cat", "f() { false | cat; }; f", "if false | cat; then true; fi", "false",
        "yes | head -1; test -e /nope", "trap true EXIT; false | cat", "(false | cat; true)", "true | false | true"})
    EXPECT_EQ(answer_to(no), 1) << no;
  EXPECT_EQ(answer_to("(exit 7) | cat"), 7);
  EXPECT_EQ(answer_to("exit 3"), 3);
}

TEST(LauncherTest, AStepIsGivenTheStackOfTheRun) {
  Launcher::Settings settings;
  settings.environment = {{"HOLDFAST_CONFIG", "other.yaml"}};
  settings.config = "/etc/stack.yaml";
  settings.repository = "/srv/repository";
  const Step step = restore();
  const AttemptOrder order = launcher_of(std::move(settings)).order(step, step.id, 1, "s");
  const std::map<std::string, std::string> environment(order.environment.begin(), order.environment.end());
  EXPECT_EQ(environment.at("HOLDFAST_CONFIG"), "/etc/stack.yaml");
  EXPECT_EQ(environment.at("HOLDFAST_REPOSITORY"), "/srv/repository");
}

TEST(LauncherTest, AnOrderGoesThroughTheSocketUnchanged) {
  Launcher::Settings settings;
  settings.file_mask = 0027;
  settings.environment = {{"DB_PASSWORD", "hunter2"}};
  settings.inherited.push_back({"DB_PASSWORD", Secret::from_text("hunter2")});
  const Step step = restore();
  const AttemptOrder order = launcher_of(std::move(settings)).order(step, step.id, 1, "s");
  const auto again = AttemptOrder::decode(order.encode());
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->file_mask, 0027u);
  ASSERT_EQ(again->secrets.size(), 1u);
  EXPECT_EQ(again->secrets[0].name, "DB_PASSWORD");
  EXPECT_EQ(again->environment, order.environment);
}

}  // namespace
}  // namespace holdfast::engine
