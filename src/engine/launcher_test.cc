#include "engine/launcher.h"

#include <gtest/gtest.h>

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

TEST(LauncherTest, AQuestionIsAnsweredByTheLastCommandOfAPipeline) {
  const Step step = restore();
  const Launcher launcher = launcher_of({});
  const auto argv = [&](const char* suffix) { return launcher.order(step, step.id + suffix, 1, "s").argv; };
  const std::vector<std::string> question = {"bash", "-eu", "s"}, work = {"bash", "-euo", "pipefail", "s"};
  for (const char* suffix : {"~when", "~target", "~fence", "~verify"}) EXPECT_EQ(argv(suffix), question) << suffix;
  for (const char* suffix : {"", "~undo"}) EXPECT_EQ(argv(suffix), work) << suffix;
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
