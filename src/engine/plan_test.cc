#include "engine/plan.h"

#include <gtest/gtest.h>

#include "engine/from_runbook.h"
#include "engine/history.h"
#include "engine/outlook.h"
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
Plan frozen(const std::string& text) {
  const auto document = runbook::read_document(text, "dr.md");
  CHECK_MSG(document.ok(), "the document of the test can't be read");
  runbook::PlanRequest request;
  request.procedure = "1";
  const auto resolved = runbook::make_plan(*document, request);
  CHECK_MSG(resolved.ok(), "the document of the test can't be planned");
  return plan_of(*resolved, {});
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

TEST(FrozenPlanTest, WhatOnlyTheShellKnowsMeansTheNewestPoint) {
  const Plan plan =
      frozen("## Scenario 1: Lost\n\n```bash {id=wipe}\nrm -rf /srv/pg\nholdfast restore --point \"$POINT\"\n```\n");
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].point, "");
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

TEST(OutlookTest, ParallelStepsCountAsTheLongest) {
  Plan plan = sample();
  plan.steps[0].parallel = plan.steps[1].parallel = "pair";
  History history;
  history.steps = {{"restore", Duration::seconds(30)}, {"second", Duration::seconds(20)}};
  EXPECT_EQ(look_ahead(plan, history).whole, Duration::seconds(30));
}

}  // namespace
}  // namespace holdfast::engine
