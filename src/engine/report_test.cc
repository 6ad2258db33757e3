#include "engine/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_fakes.h"
#include "engine/words.h"

namespace holdfast::engine {
namespace {

using testing::HasSubstr;
using testing::Not;

void destroys(Step& step) { step.hazards = {{"destroys", "it deletes"}}; }

RunState state_of(const Rig& rig) {
  auto state = fold(rig.log.events());
  CHECK_MSG(state.ok(), "the journal of the test can't be folded");
  return std::move(*state);
}

std::string report(const Rig& rig) {
  const std::string directory = "/run";
  return report_of(state_of(rig), rig.log.events(), directory, nullptr).markdown();
}

Actuals actuals(const Rig& rig) { return actuals_of(state_of(rig), rig.log.events()); }

TEST(Report, TheLossIsThatOfTheOldestInstant) {
  Rig rig;
  rig.options.target_host = "db1";
  destroys(rig.add("old"));
  rig.plan.steps[0].component = "db";
  destroys(rig.add("new"));
  rig.plan.steps[1].component = "cache";
  for (Step& step : rig.plan.steps) step.restored_by = step.id;
  rig.proofs.instants = {Time::from_unix_seconds(1'772'357'000), Time::from_unix_seconds(1'772'357'300)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).loss, Duration::seconds(400));
  EXPECT_TRUE(actuals(rig).recovery.has_value());
}

TEST(Report, AnInstantThatOnlyTheShellKnowsIsNotMeasured) {
  Rig rig;
  rig.options.target_host = "db1";
  destroys(rig.add("wipe"));
  destroys(rig.add("other"));
  rig.plan.steps[1].unknown = {"--at"};
  rig.plan.steps[1].point = "3f0a";
  for (Step& step : rig.plan.steps) step.restored_by = step.id;
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).loss, std::nullopt);
  EXPECT_THAT(report(rig), HasSubstr("| Data loss (RPO) |  | not measured |"));
}

TEST(Report, NothingIsMeasuredOfWhatDidNotHappen) {
  Rig rig;
  rig.add("one");
  rig.runner.fates["one"] = {rig.runner.ended(1)};
  ASSERT_FALSE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).recovery, std::nullopt);
  EXPECT_EQ(actuals(rig).loss, std::nullopt);
}

TEST(Report, WhatAnUndoingLeftIsSaid) {
  Rig rig;
  rig.add("one").compensate = "undo one";
  rig.add("two");
  rig.add("three").compensate = "undo three";
  rig.runner.fates["three"] = {rig.runner.ended(1)};
  rig.person.answers = {{"undo", ""}, {"skip", "it did nothing"}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(report(rig), HasSubstr("two: not undone: the runbook gives no compensate= for it"));
  EXPECT_THAT(report(rig), Not(HasSubstr("one: not undone")));
  EXPECT_THAT(report(rig), Not(HasSubstr("three: not undone")));
}

TEST(Report, NothingIsLostByWhatWasNotRestored) {
  Rig rig;
  rig.options.target_host = "db1";
  destroys(rig.add("wipe"));
  destroys(rig.add("restore"));
  for (Step& step : rig.plan.steps) step.restored_by = "restore";
  rig.runner.fates["restore"] = {rig.runner.ended(1)};
  ASSERT_FALSE(rig.drive().ok());
  EXPECT_NE(rig.log.last(kind::kPointVerified), nullptr);
  EXPECT_EQ(actuals(rig).loss, std::nullopt) << "the restore failed";
  rig.options.skip["restore"] = "by hand";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).loss, std::nullopt) << "the restore was left out";

  Rig other;
  other.options.target_host = "db1";
  destroys(other.add("wipe"));
  ASSERT_TRUE(other.drive().ok());
  EXPECT_EQ(actuals(other).loss, std::nullopt) << "nothing restores";
}

TEST(Report, OfSeveralProofsTheLastCounts) {
  Rig rig;
  rig.options.target_host = "db1";
  destroys(rig.add("restore"));
  rig.plan.steps[0].restored_by = "restore";
  rig.plan.steps[0].at = "10 minutes ago";
  rig.runner.fates["restore"] = {rig.runner.ended(1)};
  rig.proofs.instants = {Time::from_unix_seconds(1'772'357'000), Time::from_unix_seconds(1'772'357'300)};
  ASSERT_FALSE(rig.drive().ok());
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).loss, Duration::seconds(100));
}

TEST(Report, TheLossOfWhatWasRestoredWithoutProofIsNotMeasured) {
  Rig rig;
  rig.options.target_host = "db1";
  destroys(rig.add("one"));
  destroys(rig.add("two"));
  for (Step& step : rig.plan.steps) step.restored_by = step.id;
  rig.plan.steps[0].component = "db";
  rig.plan.steps[1].component = "cache";
  rig.options.overrides = {{"two", "it is a cache"}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(actuals(rig).loss, std::nullopt);
}

TEST(Report, ARunInWhichNothingRanMeetsNoTarget) {
  Rig rig;
  rig.plan.rto = Objective{Duration::hours(1), "1 hour"};
  rig.add("one").skipped = "not tonight";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(report(rig), HasSubstr("| within, in part |"));
}

TEST(Report, ARunOfWhichAPersonLeftAStepOutMeetsNoTarget) {
  Rig rig;
  rig.plan.rto = Objective{Duration::hours(1), "1 hour"};
  rig.add("one");
  rig.add("two");
  rig.options.skip["two"] = "not tonight";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(report(rig), HasSubstr("| within, in part |"));
}

TEST(Report, AWindowWithAStepThatWasLateIsMissedThoughALaterOneWasLeftOut) {
  Rig rig;
  for (const char* id : {"one", "two"}) {
    Step& step = rig.add(id);
    step.phase = "Stop";
    step.window_end = Duration::seconds(1);
  }
  rig.options.skip["two"] = "not needed";
  AttemptReport late = rig.runner.ended(0);
  late.end->ended = rig.clock.now() + Duration::seconds(5);
  rig.runner.fates["one"] = {late};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(report(rig), HasSubstr("| Stop | 1.00 s | 5.00 s | missed |"));
}

TEST(Report, WhatWasBeforeTheBeginningIsNoTime) { EXPECT_EQ(clock_text(Duration::seconds(-3605)), "00:00"); }

TEST(Report, WhatWasEndedHasNoStatusOfItsOwn) {
  Rig rig;
  rig.add("one");
  AttemptReport late = rig.runner.ended(0);
  late.end->timed_out = true;
  rig.runner.fates["one"] = {late};
  ASSERT_FALSE(rig.drive().ok());
  EXPECT_THAT(report(rig), HasSubstr("| failed: it was ended by its timeout |"));
}

TEST(Report, WhatTheRunLeftOutIsADeparture) {
  Rig rig;
  rig.add("tidy").optional = true;
  rig.add("warm").when = "test -e /cache";
  rig.add("drilled").skipped = "left out in a drill";
  rig.runner.fates["tidy"] = {rig.runner.ended(3)};
  rig.runner.fates["warm~when"] = {rig.runner.ended(1)};
  ASSERT_TRUE(rig.drive().ok());
  const std::string text = report(rig);
  EXPECT_THAT(text, HasSubstr("- tidy: skipped by plan: ended with status 3; it is optional"));
  EXPECT_THAT(text, HasSubstr("- warm: skipped by plan: its condition does not hold: test -e /cache"));
  EXPECT_THAT(text, HasSubstr("- drilled: left out: left out in a drill"));
  EXPECT_THAT(text, Not(HasSubstr("drilled: skipped by plan: left out in a drill\n- ")));
}

TEST(Report, AnotherOptionIsNoDepartureAndTheChoiceIsTold) {
  Rig rig;
  rig.plan.choices = {{"recovery-procedure", "B"}};
  Step& other = rig.add("by-hand");
  other.skipped = "another option is chosen";
  other.other_option = true;
  rig.add("restore");
  ASSERT_TRUE(rig.drive().ok());
  const std::string text = report(rig);
  EXPECT_THAT(text, HasSubstr("| Chosen for recovery-procedure | B |"));
  EXPECT_THAT(text, HasSubstr("None: every step ran as it is written, once."));
}

}  // namespace
}  // namespace holdfast::engine
