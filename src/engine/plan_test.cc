#include "engine/plan.h"

#include <gtest/gtest.h>

#include "engine/history.h"
#include "engine/outlook.h"

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
