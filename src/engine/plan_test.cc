#include "engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/from_runbook.h"
#include "engine/history.h"
#include "engine/outlook.h"
#include "engine/restore_words.h"
#include "engine/words.h"
#include "runbook/reader.h"

namespace holdfast::engine {
namespace {

Plan sample() {
  Plan plan;
  plan.document = "/etc/dr.md";
  plan.document_sha256 = "00";
  plan.procedure = "scenario-2";
  plan.title = "Database lost";
  plan.choices = {{"recovery", "B"}};
  plan.warnings = {"step 1 destroys before step 2 has looked"};
  plan.rto = Objective{Duration::hours(2), "2 hours"};
  Step step;
  step.id = "restore";
  step.title = "Restore";
  step.kind = StepKind::kShell;
  step.language = "bash";
  step.script = "restore --all\n";
  step.window_end = Duration::seconds(900);
  step.timeout = Duration::seconds(60);
  step.on_crash = OnCrash::kProbe;
  step.retries = 3;
  step.verify = "check";
  step.environment = {{"A", "b"}};
  step.hazards = {{"destroys", "it deletes"}};
  plan.steps = {step, step};
  plan.steps[1].id = "second";
  return plan;
}

TEST(PlanTest, GoesThroughJsonUnchanged) {
  const Plan plan = sample();
  const auto again = Plan::from_json(Json::parse(plan.to_json().dump()));
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->to_json(), plan.to_json());
  EXPECT_EQ(again->steps[0].on_crash, OnCrash::kProbe);
  EXPECT_TRUE(again->steps[0].destructive());
}

TEST(PlanTest, ANewerOneIsRefused) {
  Json json = sample().to_json();
  json["version"] = Plan::kVersion + 1;
  EXPECT_EQ(Plan::from_json(json).error().code(), ErrorCode::kNewerFormat);
  EXPECT_EQ(Plan::from_json(Json::object()).error().code(), ErrorCode::kInvalidData);
}

// The frozen plan of a document's first scenario.
Plan frozen(const std::string& text, const std::map<std::string, std::string>& values = {}) {
  const auto document = runbook::read_document(text, "dr.md");
  CHECK_MSG(document.ok(), "the document of the test can't be read");
  runbook::PlanRequest request;
  request.procedure = "1";
  const auto resolved = runbook::make_plan(*document, request);
  CHECK_MSG(resolved.ok(), "the document of the test can't be planned");
  return plan_of(*resolved, values);
}

TEST(FrozenPlanTest, WhatDestroysReliesOnThePointOfTheNextRestore) {
  const Plan plan = frozen(
      "## Scenario 1: Lost\n\n```bash {id=wipe component=db}\nrm -rf /srv/pg\n```\n\n"
      "```bash {id=cache}\nholdfast restore --component cache --point 1111aaaa\n```\n\n"
      "```bash {id=restore}\nholdfast --config a.yaml restore --component db --point 3f0a91c2 --at \"10 minutes "
      "ago\"\n```\n");
  ASSERT_EQ(plan.steps.size(), 3u);
  EXPECT_EQ(plan.steps[0].point, "3f0a91c2");
  EXPECT_EQ(plan.steps[0].at, "10 minutes ago");
  const std::vector<std::string> words = explain(plan.steps[0]);
  EXPECT_TRUE(std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.starts_with("before, the recovery point of db for --point 3f0a91c2 --at 10 minutes ago is read whole");
  }));
}

TEST(FrozenPlanTest, WhatDestroysReliesOnEachOfSeveralRestores) {
  const auto points = [](const std::string& text) {
    const auto again = Plan::from_json(Json::parse(frozen("## Scenario 1: Lost\n\n" + text).to_json().dump()));
    if (!again.ok()) return again.error().text();
    std::string all;
    for (const WantedPoint& wanted : again->steps[0].wanted_points()) all += point_words(wanted) + "; ";
    return all;
  };
  EXPECT_EQ(points("```bash {id=wipe}\nrm -rf /srv/pg /srv/www\nholdfast restore --component db --at latest\n"
                   "holdfast restore --component www --point 3f0a\nholdfast restore --component db --at latest\n```\n"),
            "the recovery point of the stack for --at latest; the recovery point of www for --point 3f0a; ");
  EXPECT_EQ(points("```bash {id=wipe component=db}\nrm -rf /srv/pg\n```\n\n```bash {id=restore}\n"
                   "holdfast restore --component db --at latest --to /srv/pg\nholdfast restore --component www\n"
                   "holdfast restore --component db --point 3f0a --to /srv/before\n```\n"),
            "the recovery point of db for --at latest; the recovery point of db for --point 3f0a; ");
  EXPECT_EQ(points("```bash {id=wipe component=db}\nrm -rf /srv/pg /srv/www\nholdfast restore --component db\n"
                   "holdfast restore --component www\n```\n"),
            "the newest recovery point of db; the newest recovery point of www; ");
  EXPECT_EQ(points("```bash {id=wipe component=db}\nrm -rf /srv/pg\nholdfast restore\n```\n"),
            "the newest recovery point of db; ");
}

TEST(FrozenPlanTest, WhatOnlyLooksRestoresNothing) {
  const Plan plan = frozen(
      "## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\nholdfast restore --dry-run --point 1111aaaa\n"
      "holdfast restore --point 2222bbbb --validate-only\nholdfast restore --point 3f0a91c2\n```\n");
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].point, "3f0a91c2");
}

TEST(FrozenPlanTest, EveryWordThatNamesTheInstantCounts) {
  const auto words = [](const std::string& options) {
    const Plan plan =
        frozen("## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\nholdfast restore " + options + "\n```\n");
    const auto again = Plan::from_json(Json::parse(plan.to_json().dump()));
    return again.ok() ? which_point(again->steps[0]) : again.error().text();
  };
  EXPECT_EQ(words("--lsn 0/3000148 --exclusive --timeline 2"), "--lsn 0/3000148 --timeline 2 --exclusive");
  EXPECT_EQ(words("--xid 731"), "--xid 731");
  EXPECT_EQ(words("--name 'before the upgrade'"), "--name before the upgrade");
  EXPECT_EQ(words("--immediate"), "--immediate");
}

// The step that wipes, and then restores with these options.
Step wiping(const std::string& options, const std::map<std::string, std::string>& values = {},
            const std::string& before = "", const std::string& attributes = "") {
  const Plan plan = frozen("## Scenario 1: Lost\n\n```bash {id=wipe" + attributes + "}\nrm -rf /srv/pg\n" + before +
                               "holdfast restore " + options + "\n```\n",
                           values);
  const auto again = Plan::from_json(Json::parse(plan.to_json().dump()));
  CHECK_MSG(again.ok(), "a plan does not go through JSON");
  return again->steps[0];
}

TEST(FrozenPlanTest, KnownVariablesAreTheInstantThatIsRestored) {
  const std::map<std::string, std::string> values = {{"RECOVER_TO", "25 minutes ago"}, {"P", "3f0a"}};
  EXPECT_EQ(which_point(wiping("--at \"$RECOVER_TO\"", values)), "--at 25 minutes ago");
  EXPECT_EQ(which_point(wiping("--at=\"${RECOVER_TO}\"", values)), "--at 25 minutes ago");
  EXPECT_EQ(which_point(wiping("--point $P --name \"$P-${P}x\"", values)), "--point 3f0a --name 3f0a-3f0ax");
  EXPECT_EQ(which_point(wiping("--lsn $P --xid $P --timeline $P", values)), "--lsn 3f0a --xid 3f0a --timeline 3f0a");
  EXPECT_EQ(which_point(wiping("--at \"$RECOVER_TO\"", values, "", " env=RECOVER_TO=latest")), "--at latest");
  const Plan plan = frozen(
      "## Scenario 1: Lost\n\n```bash {id=wipe component=db}\nrm -rf /srv/pg\n```\n\n"
      "```bash {id=restore}\nholdfast restore --component \"$DB\" --at \"$RECOVER_TO\"\n```\n",
      {{"DB", "db"}, {"RECOVER_TO", "latest"}});
  EXPECT_EQ(which_point(plan.steps[0]), "--at latest");
}

TEST(FrozenPlanTest, WhatOnlyTheShellKnowsIsSaid) {
  const std::map<std::string, std::string> values = {{"RECOVER_TO", "latest"}};
  const auto unknown = [&](const std::string& options, const std::string& before = "") {
    return fmt::format("{}", fmt::join(wiping(options, values, before).unknown, " "));
  };
  EXPECT_EQ(unknown("--point \"$POINT\""), "--point");
  EXPECT_EQ(unknown("--at \"${RECOVER_TO:-now}\""), "--at");
  EXPECT_EQ(unknown("--at \"$(date)\" --xid `cat xid`"), "--at --xid");
  EXPECT_EQ(unknown("--at \"$RECOVER_TO\"", "RECOVER_TO=$(date)\n"), "--at");
  EXPECT_EQ(unknown("--at \"$RECOVER_TO\"", "read -r RECOVER_TO < instant\n"), "--at");
  EXPECT_EQ(unknown("--at \"$RECOVER_TO\"", "source ./settings\n"), "--at");
  EXPECT_EQ(unknown("--at \"$RECOVER_TO\"", "OTHER=$(date)\n"), "");

  EXPECT_FALSE(wiping("--point \"$POINT\"").instant_is_known());
  EXPECT_TRUE(wiping("--point \"$POINT\" --at latest").instant_is_known());
  EXPECT_FALSE(wiping("--point \"$POINT\" --at \"$AT\"").instant_is_known());
  EXPECT_FALSE(wiping("--timeline \"$T\" --at latest").instant_is_known());
  EXPECT_TRUE(wiping("").instant_is_known());

  const Plan plan =
      frozen("## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\nholdfast restore --at \"$AT\"\n```\n");
  const std::string words =
      "only the shell knows the value of --at: what is proven need not be what is restored, and the loss is not "
      "measured; --set gives its variables a value";
  EXPECT_EQ(plan.warnings.back(), "wipe: " + words);
  EXPECT_THAT(explain(plan.steps[0]), testing::Contains(words));
  EXPECT_THAT(
      explain(wiping("--point \"$P\" --at latest")),
      testing::Contains("only the shell knows the value of --point: the newest point that leads there is proven"));
}

TEST(FrozenPlanTest, AnotherStackThatARestoreNamesIsKnown) {
  const auto stack = [](const Step& step) { return step.config + " " + step.repository; };
  EXPECT_EQ(stack(wiping("--config other.yaml --repository /srv/other")), "other.yaml /srv/other");
  EXPECT_EQ(stack(wiping("--config \"$HOLDFAST_CONFIG\"")), " ");
  EXPECT_EQ(stack(wiping("", {}, "", " env=HOLDFAST_CONFIG=other.yaml")), "other.yaml ");
  EXPECT_EQ(wiping("", {}, "export HOLDFAST_CONFIG=$(pwd)/other.yaml\n").unknown, std::vector<std::string>{"--config"});
  EXPECT_EQ(wiping("", {}, "source ./settings\n").unknown, std::vector<std::string>());
  EXPECT_EQ(wiping("").restored_by, "wipe");

  Plan plan;
  plan.steps = {wiping("--config other.yaml")};
  EXPECT_EQ(other_stack(plan, plan.steps[0], {"/srv/run/other.yaml", "", "/srv/run", {}}), "");
  EXPECT_EQ(other_stack(plan, plan.steps[0], {"/srv/run/holdfast.yaml", "", "/srv/run", {}}), "--config other.yaml");
}

// What a plan whose only step deletes, and then does this, names beside /srv/a.yaml.
std::string other_stack_in(const std::string& script, const std::map<std::string, std::string>& values = {}) {
  const Plan plan = frozen("## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\n" + script + "\n```\n", values);
  return other_stack(plan, plan.steps[0], {"/srv/a.yaml", "", "/srv", values});
}

TEST(FrozenPlanTest, EveryRestoreOfAStepIsHeldAgainstTheStack) {
  EXPECT_EQ(other_stack_in("holdfast restore --config a.yaml\nholdfast restore --config b.yaml"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("holdfast restore --config a.yaml\nholdfast restore --config $B", {{"B", "b.yaml"}}),
            "--config b.yaml");
  EXPECT_EQ(other_stack_in("holdfast restore --config a.yaml\nholdfast restore --config b.yaml --dry-run"), "");
  const Plan plan = frozen(
      "## Scenario 1: Lost\n\n```bash {id=wipe component=db}\nrm -rf /srv/pg\n```\n\n```bash {id=restore}\n"
      "holdfast restore --component cache --config c.yaml\nholdfast restore --component db\n"
      "holdfast restore --component db --config b.yaml\n```\n");
  EXPECT_EQ(other_stack(plan, plan.steps[0], {"/srv/a.yaml", "", "/srv", {}}), "--config b.yaml");
}

TEST(FrozenPlanTest, AStackThatTheScriptNamesInAVariableIsKnown) {
  EXPECT_EQ(other_stack_in("HOLDFAST_CONFIG=b.yaml holdfast restore --delta"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("HOLDFAST_CONFIG=a.yaml holdfast restore --delta"), "");
  EXPECT_EQ(other_stack_in("export HOLDFAST_CONFIG=b.yaml\nholdfast restore --delta"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("HOLDFAST_CONFIG=b.yaml\nholdfast restore --delta"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("FILE=b.yaml\nholdfast restore --config \"$FILE\""), "--config b.yaml");
  EXPECT_EQ(other_stack_in("env HOLDFAST_CONFIG=b.yaml holdfast restore --delta"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("sudo HOLDFAST_REPOSITORY=/srv/other holdfast restore --delta"), "--repository /srv/other");
  EXPECT_EQ(other_stack_in("bash -c 'HOLDFAST_CONFIG=b.yaml holdfast restore --delta'"), "--config b.yaml");
  EXPECT_EQ(other_stack_in("HOLDFAST_CONFIG=b.yaml true\nholdfast restore --delta"), "") << "that was for `true`";
}

TEST(FrozenPlanTest, AStackThatIsNotPassedOnIsUnknown) {
  const auto unknown = [&](const std::string& script) {
    const Plan plan = frozen("## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\n" + script + "\n```\n");
    return fmt::format("{}", fmt::join(plan.steps[0].unknown, " "));
  };
  const std::string both = "--config --repository";
  EXPECT_EQ(unknown("holdfast restore --delta"), "");
  EXPECT_EQ(unknown("sudo holdfast restore --delta"), both);
  EXPECT_EQ(unknown("sudo -u postgres holdfast restore --delta"), both);
  EXPECT_EQ(unknown("sudo -E holdfast restore --delta"), "");
  EXPECT_EQ(unknown("doas holdfast restore --delta"), both);
  EXPECT_EQ(unknown("su - postgres -c 'holdfast restore --delta'"), both);
  EXPECT_EQ(unknown("bash -c \"sudo holdfast restore --delta\""), both);
  EXPECT_EQ(unknown("env -i holdfast restore --delta"), both);
  EXPECT_EQ(unknown("env LANG=C holdfast restore --delta"), "");
  EXPECT_EQ(unknown("sudo holdfast restore --delta --config \"$HOLDFAST_CONFIG\""), "--repository");
  EXPECT_EQ(unknown("holdfast restore\nsudo holdfast restore"), both) << "each of them counts";
  EXPECT_EQ(unknown("FILE=a.yaml\nFILE=b.yaml\nholdfast restore --config $FILE"), "--config");
  EXPECT_EQ(unknown("if true; then FILE=b.yaml; fi\nholdfast restore --config $FILE"), "--config");
}

TEST(FrozenPlanTest, RestoresAreWhatItsStepsRestore) {
  const std::map<std::string, std::string> values = {{"RECOVER_TO", "10 minutes ago"}};
  const Plan plan = frozen(
      "## Scenario 1: Lost\n\n```bash {id=look}\nholdfast restore --dry-run --point 1111aaaa\n```\n\n"
      "```bash {id=db}\nholdfast restore --component db --at \"$RECOVER_TO\"\n"
      "holdfast restore --component db --at \"$RECOVER_TO\"\n```\n\n"
      "```bash {id=files component=data}\nholdfast restore --delta\n```\n\n"
      "```bash {id=both}\nholdfast restore --component=a --component b\n```\n",
      values);
  const std::vector<WantedPoint> found = restores_of(plan, values);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].at, "10 minutes ago");
  EXPECT_THAT(found[0].components, testing::ElementsAre("db"));
  EXPECT_THAT(found[1].components, testing::ElementsAre("data"));
  EXPECT_THAT(found[2].components, testing::ElementsAre("a", "b"));
}

TEST(OutlookTest, HoldsMeasuredTimesAgainstWindowsAndRto) {
  Plan plan = sample();
  History history;
  history.steps = {{"restore", Duration::seconds(1200)}, {"second", Duration::hours(2)}};
  const Outlook outlook = look_ahead(plan, history);
  EXPECT_EQ(outlook.whole, Duration::seconds(1200) + Duration::hours(2));
  ASSERT_EQ(outlook.warnings.size(), 3u);
  EXPECT_EQ(outlook.warnings[0], "restore is expected to end after 20 min, its window after 15 min");
  EXPECT_EQ(outlook.warnings[2], "the steps are expected to take 2 h 20 min, the RTO is 2 h");
}

TEST(OutlookTest, StepsOfUnknownLengthTakeWhatTheyHaveTogether) {
  Plan plan = sample();
  plan.rto.reset();
  for (Step& step : plan.steps) step.expected.reset();
  plan.steps[0].expected = Duration::seconds(30);
  std::vector<std::string> ids;
  for (const Step& step : plan.steps) ids.push_back(step.id);
  EXPECT_FALSE(look_ahead(plan, {}).unknown.empty());
  plan.budgets = {{"Restore", Duration::seconds(300), ids}};
  const Outlook outlook = look_ahead(plan, {});
  EXPECT_EQ(outlook.whole, Duration::seconds(300));
  EXPECT_TRUE(outlook.unknown.empty());
}

TEST(FrozenPlanTest, KeepsWhatStepsHaveTogether) {
  Plan plan = frozen(
      "## Scenario 1: Lost\n\n### Recovery (40 minutes)\n\n```bash {id=fetch}\nls\n```\n\n"
      "```bash {id=load}\nls\n```\n");
  const auto read = Plan::from_json(plan.to_json());
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->budgets.size(), 1u);
  EXPECT_EQ(read->budgets[0].title, "Recovery");
  EXPECT_EQ(read->budgets[0].most, Duration::seconds(2400));
  EXPECT_THAT(read->budgets[0].steps, testing::ElementsAre("fetch", "load"));
  plan.budgets[0].steps.clear();
  EXPECT_EQ(Plan::from_json(plan.to_json()).error().code(), ErrorCode::kInvalidData);
}

TEST(OutlookTest, ParallelStepsCountAsTheLongest) {
  Plan plan = sample();
  plan.steps[0].parallel = plan.steps[1].parallel = "pair";
  History history;
  history.steps = {{"restore", Duration::seconds(30)}, {"second", Duration::seconds(20)}};
  EXPECT_EQ(look_ahead(plan, history).whole, Duration::seconds(30));
}

}  // namespace
}  // namespace holdfast::engine
