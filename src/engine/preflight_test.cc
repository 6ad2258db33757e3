#include "engine/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Step step_of(const std::string& script) {
  Step step;
  step.id = "one";
  step.kind = StepKind::kShell;
  step.language = "bash";
  step.script = script;
  return step;
}

// The problems of a plan of one step, looked at with nothing installed but `sh`.
std::vector<std::string> problems(const Step& step, PreflightRequest request = {}) {
  request.search_path = "/bin";
  if (request.working_directory.empty()) request.working_directory = "/proc";
  request.runs = "/";
  Plan plan;
  plan.steps = {step};
  std::vector<std::string> found;
  for (const Obstacle& obstacle : find_obstacles(real_file_system(), plan, request)) found.push_back(obstacle.problem);
  return found;
}

TEST(Preflight, LooksForThePrograms) {
  EXPECT_THAT(problems(step_of("cd /tmp && sh -c true\nnone-such --help | sh")),
              ElementsAre("none-such is not installed"));
  EXPECT_THAT(problems(step_of("f() { true; }\nf\n\"$TOOL\" --run")), IsEmpty()) << "not known, or its own";
}

TEST(Preflight, LooksForScriptsWhereTheStepRuns) {
  EXPECT_THAT(problems(step_of("bin/restore.sh")), ElementsAre("/proc/bin/restore.sh does not exist"));
  EXPECT_THAT(problems(step_of("/opt/none/restore.sh")), ElementsAre("/opt/none/restore.sh does not exist"));
}

TEST(Preflight, LooksForTheFoldersWhereStepsRun) {
  PreflightRequest request;
  request.working_directory = "/none";
  EXPECT_THAT(problems(step_of("true"), request), ElementsAre("the folder /none does not exist, where steps run"));
  Step step = step_of("true");
  step.workdir = "none";
  EXPECT_THAT(problems(step), ElementsAre("the folder /proc/none does not exist"));
  request = {};
  request.look_for_programs = false;
  EXPECT_THAT(problems(step, request), IsEmpty()) << "an earlier step may make it";
}

TEST(Preflight, ARestoreOfAnotherStackIsAnObstacle) {
  Step step = step_of("holdfast restore --delta --config other.yaml");
  step.hazards = {{"destroys", "it deletes"}};
  PreflightRequest request;
  request.look_for_programs = false;
  request.config = "/proc/holdfast.yaml";
  EXPECT_THAT(problems(step, request),
              ElementsAre("destroys, and its restore names another stack than the one whose point is proven: "
                          "--config other.yaml"));
  request.overrides = {{"one", "the same repository"}};
  EXPECT_THAT(problems(step, request), IsEmpty());
  request.overrides.clear();
  step.script = "holdfast restore --delta --config $FILE";
  request.variables = {{"FILE", "holdfast.yaml"}};
  EXPECT_THAT(problems(step, request), IsEmpty());
  step.script = "holdfast restore --delta --config holdfast.yaml --repository /srv/other";
  request.repository = "/srv/repository";
  EXPECT_THAT(problems(step, request), testing::SizeIs(1));
}

TEST(Preflight, LooksForTheProgramsOfItsOwnCommands) {
  Step step = step_of("sh -c true");
  step.verify = "none-verify --fast";
  step.when = "none-when";
  step.compensate = "bin/undo.sh";
  EXPECT_THAT(problems(step),
              ElementsAre("none-when is not installed (when=)", "none-verify is not installed (verify=)",
                          "/proc/bin/undo.sh does not exist (compensate=)"));
  step.kind = StepKind::kManual;
  step.script = "none-by-hand";
  step.compensate = "";
  EXPECT_THAT(problems(step), ElementsAre("none-when is not installed (when=)"));
}

TEST(Preflight, LooksForWhatAssertsTargetAndFenceWhereItIsAsked) {
  Step step = step_of("sh -c true");
  step.target = "none-target";
  step.fence = "none-fence";
  EXPECT_THAT(problems(step), ElementsAre("none-fence is not installed (fence=)")) << "it does not destroy";
  step.hazards = {{"destroys", ""}, {"promotes", ""}};
  EXPECT_THAT(problems(step),
              ElementsAre("none-target is not installed (target=)", "none-fence is not installed (fence=)"));
  PreflightRequest overridden;
  overridden.overrides["one"] = "a test machine";
  EXPECT_THAT(problems(step, overridden), IsEmpty());
}

TEST(Preflight, TakesOnesWordForThePrograms) {
  Step step = step_of("none-such\n./none.sh");
  step.verify = "none-verify";
  PreflightRequest assumed;
  assumed.look_for_programs = false;
  EXPECT_THAT(problems(step, assumed), IsEmpty());
  EXPECT_EQ(problems(step).size(), 3u);
}

}  // namespace
}  // namespace holdfast::engine
