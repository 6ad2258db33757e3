#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_fakes.h"
#include "engine/words.h"

namespace holdfast::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Step& destroying(Rig& rig) {
  Step& step = rig.add("wipe");
  step.hazards = {{"destroys", "docker volume rm deletes the volume data"}};
  return step;
}

TEST(Rules, AStepThatDestroysIsRefusedWithoutAProvenPoint) {
  Rig rig;
  destroying(rig);
  rig.options.target_host = "db1";
  rig.proofs.problem = "there is no recovery point";
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
  EXPECT_THAT(done.error().text(),
              HasSubstr("step wipe destroys, and no recovery point is proven: there is no recovery point"));
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Rules, AProvenPointAndTheRightHostLetItRun) {
  Rig rig;
  destroying(rig).component = "db";
  rig.options.target_host = "db1";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.last(kind::kPointVerified)->payload["components"], Json({"db"}));
  EXPECT_EQ(rig.log.last(kind::kTargetAsserted)->payload["found"], "db1");
  EXPECT_THAT(rig.runner.ran, ElementsAre("wipe"));
}

TEST(Rules, HoldInADrillToo) {
  Rig rig;
  destroying(rig);
  rig.created["drill"] = true;
  rig.options.target_host = "db1";
  rig.proofs.problem = "there is no recovery point";
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kRefused);
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Rules, ThePointIsReadThatTheRestoreUses) {
  Rig rig;
  Step& wipe = destroying(rig);
  wipe.component = "db";
  wipe.point = "3f0a91c2";
  rig.add("files").hazards = {{"destroys", "rm -rf"}};
  rig.options.target_host = "db1";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.events()[2].payload["which"], "--point 3f0a91c2");
  EXPECT_EQ(rig.proofs.proofs, 2);  // the newest is another proof
  EXPECT_EQ(rig.proofs.wanted.point, "");
}

TEST(Rules, EachPointThatAStepReliesOnIsProven) {
  Rig rig;
  Step& wipe = destroying(rig);
  wipe.component = "db";
  wipe.point = "3f0a91c2";
  WantedPoint also;
  also.point = "77c1";
  also.components = {"www"};
  wipe.also_restored_from = {also};
  rig.options.target_host = "db1";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.proofs.proofs, 2);
  EXPECT_EQ(rig.proofs.wanted, also);
  EXPECT_EQ(rig.log.told("point.verified").size(), 2u);
  // And is not read again while it is known.
  Rig second;
  second.plan = rig.plan;
  second.options.target_host = "db1";
  second.runner.fates["wipe"] = {second.runner.ended(1)};
  EXPECT_FALSE(second.drive().ok());
  ASSERT_TRUE(second.drive().ok());
  EXPECT_EQ(second.proofs.proofs, 2);
}

TEST(Rules, AnInstantThatMovesIsProvenAnew) {
  Rig rig;
  destroying(rig).at = "10 minutes ago";
  Step& second = rig.add("second");
  second.hazards = {{"destroys", "again"}};
  second.at = "10 minutes ago";
  Step& third = rig.add("third");
  third.hazards = {{"destroys", "again"}};
  third.at = "10 minutes ago";
  rig.options.target_host = "db1";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.proofs.proofs, 3);
  EXPECT_EQ(rig.proofs.wanted.at, "10 minutes ago");
}

TEST(Rules, APersonMayLeaveWhileAPointIsRead) {
  Rig rig;
  destroying(rig);
  rig.options.target_host = "db1";
  rig.proofs.slow_looks = 5;
  rig.person.next_wish = Wish::kDetach;
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ErrorCode::kInterrupted);
  EXPECT_THAT(rig.runner.ran, IsEmpty());
  rig.proofs.slow_looks = 0;
  EXPECT_TRUE(rig.drive().ok());
}

TEST(Rules, AWindowIsWatchedWhileAPointIsRead) {
  Rig rig;
  destroying(rig).window_end = Duration::milliseconds(1);
  rig.options.target_host = "db1";
  rig.proofs.slow_looks = 1;
  rig.proofs.while_reading = [&] { rig.clock.sleep(Duration::seconds(1)); };
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget.overrun"), ElementsAre("budget.overrun"));
}

TEST(Rules, AStepThatWasDoneTooLateWhileNobodyDroveIsAnOverrun) {
  Rig rig;
  rig.add("first").window_end = Duration::seconds(5);
  rig.plan.rto = Objective{Duration::seconds(8), "8 s"};
  rig.runner.fates["first"] = {{AttemptReport::State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  ASSERT_FALSE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget.overrun"), IsEmpty());
  rig.clock.sleep(Duration::seconds(10));
  rig.runner.fates["first"] = {rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget.overrun"), ElementsAre("budget.overrun", "budget.overrun")) << "window and RTO";
}

TEST(Rules, AStepIsHeldAgainstItsOwnExpectedTime) {
  Rig rig;
  rig.add("first");
  rig.add("slow").expected = Duration::seconds(2);
  rig.add("quick").expected = Duration::seconds(60);
  rig.runner.fates["first"] = std::deque<AttemptReport>(20, {AttemptReport::State::kRunning, std::nullopt});
  rig.runner.fates["first"].push_back(rig.runner.ended(0));
  rig.runner.fates["slow"] = std::deque<AttemptReport>(12, {AttemptReport::State::kRunning, std::nullopt});
  rig.runner.fates["slow"].push_back(rig.runner.ended(0));
  ASSERT_TRUE(rig.drive().ok()) << "it is never ended for that";
  EXPECT_THAT(rig.log.told("budget"), ElementsAre("slow: budget.warned", "slow: budget.overrun"))
      << "from its own beginning, not from the run's";
  const auto state = fold(rig.log.events());
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(words_of(*state, *rig.log.last(kind::kBudgetWarned)),
            "slow: warning: 80 % of its expected time of 2.00 s have passed");
  EXPECT_EQ(words_of(*state, *rig.log.last(kind::kBudgetOverrun)),
            "slow: overrun: its expected time of 2.00 s has passed");
}

TEST(Rules, StepsAreHeldAgainstTheTimeThatTheyHaveTogether) {
  Rig rig;
  const Time began = rig.clock.now();
  for (const int count : {1, 2, 3}) {
    const std::string id = rig.add("step-" + std::to_string(count)).id;
    rig.runner.fates[id] = std::deque<AttemptReport>(10, {AttemptReport::State::kRunning, std::nullopt});
    rig.runner.fates[id].push_back(rig.runner.ended(0));
    rig.runner.fates[id].back().end->ended = began + Duration::seconds(2 * count);
  }
  rig.add("after");
  rig.plan.budgets = {{"Restore", Duration::seconds(3), {"step-2", "step-3"}},
                      {"Restart", Duration::hours(1), {"after"}}};
  ASSERT_TRUE(rig.drive().ok()) << "nothing is ended for that";
  EXPECT_THAT(rig.log.told("budget"), ElementsAre("budget.warned", "budget.overrun"));
  const auto state = fold(rig.log.events());
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->step("step-3").phase, StepPhase::kDone);
  const Event& warned = *rig.log.last(kind::kBudgetWarned);
  EXPECT_EQ(words_of(*state, warned), "warning: 80 % of the time for \"Restore\" of 3.00 s have passed");
  EXPECT_EQ(words_of(*state, *rig.log.last(kind::kBudgetOverrun)),
            "overrun: the time for \"Restore\" of 3.00 s has passed");
  EXPECT_GT(warned.time, began + Duration::seconds(4)) << "not from the run's beginning";
}

TEST(Rules, TimeForSeveralStepsBeginsWhenAStepBeforeThemIsSkipped) {
  Rig rig;
  rig.add("asked").kind = StepKind::kManual;
  rig.add("one");
  rig.plan.budgets = {{"Restore", Duration::seconds(3), {"one"}}};
  ASSERT_FALSE(rig.drive().ok());
  rig.clock.sleep(Duration::hours(1));
  rig.person.answers = {{"skip", "not needed"}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget"), IsEmpty());
}

TEST(Rules, AStepThatTookTooLongWhileNobodyDroveIsAnOverrun) {
  Rig rig;
  rig.add("first").expected = Duration::milliseconds(900);
  rig.runner.fates["first"] = {{AttemptReport::State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  ASSERT_FALSE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget"), IsEmpty());
  rig.runner.fates["first"] = {rig.runner.ended(0)};  // after 1 s, as it says
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("budget"), ElementsAre("first: budget.overrun"));
}

TEST(Rules, APointIsReadOnceInARun) {
  Rig rig;
  destroying(rig);
  rig.add("second").hazards = {{"destroys", "again"}};
  rig.options.target_host = "db1";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.proofs.proofs, 1);
}

TEST(Rules, AProofOfOneRepositoryIsNoneOfAnother) {
  Rig rig;
  destroying(rig);
  rig.options.target_host = "db1";
  rig.runner.fates["wipe"] = {rig.runner.ended(1)};
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kSubprocess);
  rig.proofs.in_use.clear();
  rig.proofs.problem = "there is no repository";
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kRefused) << "it can't be opened";
  EXPECT_EQ(rig.log.last(kind::kRunStopped)->payload["why"], "refused");
  rig.proofs.in_use = "other";
  rig.proofs.problem = "there is no recovery point";
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kRefused);
  EXPECT_THAT(rig.runner.ran, ElementsAre("wipe"));
  rig.proofs.problem.clear();
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.last(kind::kPointVerified)->payload["repository"], "other");
}

TEST(Rules, WhatOneRepositoryHadIsNotRestoredUnreadFromAnother) {
  Rig rig;
  destroying(rig).restored_by = "restore";
  rig.add("restore");
  rig.options.target_host = "db1";
  rig.runner.fates["restore"] = {rig.runner.ended(1)};
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kSubprocess);
  rig.proofs.in_use = "other";
  rig.proofs.problem = "a byte is wrong";
  const auto refused = rig.drive();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "step restore restores what step wipe destroyed, and no recovery point is proven: a byte is wrong");
  EXPECT_THAT(rig.runner.ran, ElementsAre("wipe", "restore"));
  rig.proofs.problem.clear();
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.proofs.proofs, 3);
}

TEST(Rules, TargetAndFenceAreAskedAnewByEveryDrive) {
  Rig rig;
  destroying(rig).hazards.push_back({"promotes", "it promotes"});
  rig.plan.steps[0].fence = "! ping -c1 old";
  rig.options.target_host = "db1";
  rig.runner.fates["wipe"] = {rig.runner.ended(1)};
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kSubprocess);
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.told("target.asserted").size(), 2u);
  EXPECT_THAT(rig.runner.ran, ElementsAre("wipe~fence", "wipe", "wipe~fence", "wipe"));
  EXPECT_EQ(rig.proofs.proofs, 1);
}

TEST(Rules, AnotherHostIsRefused) {
  Rig rig;
  destroying(rig);
  rig.options.target_host = "db2";
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(), "step wipe is meant for db2, and this is db1");
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Rules, APersonTypesTheHost) {
  Rig rig;
  destroying(rig);
  rig.person.answers = {{"", "db1"}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.person.asked, ElementsAre("target wipe"));
}

TEST(Rules, ACommandAssertsTheTarget) {
  Rig rig;
  destroying(rig).target = "test $(hostname) = db1";
  rig.runner.fates["wipe~target"] = {rig.runner.ended(1)};
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
  EXPECT_THAT(rig.runner.ran, ElementsAre("wipe~target"));
}

// A person skipped what had failed, and did a step by hand; then the journal lost all of that.
TEST(Rules, WhatAPersonSaidBeforeTheJournalLostItIsAskedAgain) {
  Rig rig;
  for (const char* id : {"failed", "skipped", "manual", "lost", "after"}) rig.add(id);
  rig.plan.steps[2].kind = StepKind::kManual;
  rig.runner.fates["failed"] = {rig.runner.ended(1)};
  EXPECT_EQ(rig.drive().error().code(), ErrorCode::kSubprocess);
  rig.options.lost = {{"lost", 1, "steps/lost/1-a", rig.runner.ended(0).end, 0}};
  rig.options.settle = {{"lost", "done"}};
  const auto refused = rig.drive();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "the journal of run test has lost events: it knows nothing of failed (failed, and the run went on), "
            "skipped (pending, and the run went on)");
  EXPECT_THAT(rig.runner.ran, ElementsAre("failed"));
  rig.options.skip = {{"failed", "by hand"}};
  rig.options.settle["skipped"] = "done";
  const auto unattended = rig.drive();
  ASSERT_FALSE(unattended.ok());
  const std::string why = "; the journal has lost events: if this was answered, the answer is among them";
  EXPECT_EQ(unattended.error().message(), "step manual is done by a person" + why);
  rig.options.lost.clear();
  rig.options.settle.clear();
  rig.options.skip.clear();
  rig.person.answers = {{"done", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.person.words.back(), "do this by hand: Do manual" + why);
  EXPECT_THAT(rig.runner.ran, ElementsAre("failed", "after"));
}

TEST(Rules, AnOverrideIsJournaledWithItsReason) {
  Rig rig;
  destroying(rig);
  rig.proofs.problem = "there is no recovery point";
  rig.options.overrides["wipe"] = "the data is worthless";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.last(kind::kStepOverridden)->payload["why"], "the data is worthless");
  EXPECT_EQ(rig.log.last(kind::kStepOverridden)->payload["who"], "alice@db1");
  EXPECT_EQ(rig.proofs.proofs, 0);
}

TEST(Rules, APromotionNeedsAFence) {
  Rig rig;
  rig.add("promote").hazards = {{"promotes", "pg_ctl promote makes a standby the primary"}};
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ErrorCode::kRefused);
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Rules, AFenceIsProvenOrAPersonSaysSo) {
  Rig proven;
  proven.add("promote").hazards = {{"promotes", "it promotes"}};
  proven.plan.steps[0].fence = "! ping -c1 old";
  ASSERT_TRUE(proven.drive().ok());
  EXPECT_EQ(proven.log.last(kind::kFenceConfirmed)->payload["how"], "! ping -c1 old");

  EXPECT_EQ(proven.log.last(kind::kFenceConfirmed)->payload["lag"], "nothing is left to replay");

  Rig said;
  said.add("promote").hazards = {{"promotes", "it promotes"}};
  said.person.answers = {{"yes", ""}};
  ASSERT_TRUE(said.drive().ok());
  EXPECT_EQ(said.log.last(kind::kFenceConfirmed)->payload["how"], "a person said so");
}

// Traffic that is switched, a script that promotes and of which nobody knows it.
TEST(Rules, AFenceIsProvenBeforeAnyStepThatHasOne) {
  Rig rig;
  rig.add("switch").hazards = {{"switches-traffic", "it changes DNS"}};
  rig.plan.steps[0].fence = "! ping -c1 old";
  rig.proofs.lag.clear();
  rig.runner.fates["switch~fence"] = {rig.runner.ended(1)};
  const auto refused = rig.drive();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "step switch starts behind a fence only, and the old primary is not proven to be fenced");
  EXPECT_THAT(rig.runner.ran, ElementsAre("switch~fence"));
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("switch~fence", "switch~fence", "switch"));
  EXPECT_THAT(rig.person.asked, IsEmpty()) << "no standby has a lag here";
  EXPECT_FALSE(rig.log.last(kind::kFenceConfirmed)->payload.contains("lag"));
}

TEST(Rules, APromotionOfAStandbyWithUnknownLagNeedsAWord) {
  Rig rig;
  rig.add("promote").hazards = {{"promotes", "it promotes"}};
  rig.plan.steps[0].fence = "! ping -c1 old";
  rig.proofs.lag.clear();
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(),
            "step promote promotes, and its replication lag is unknown: the standby does not answer");
  EXPECT_THAT(rig.person.asked, ElementsAre("fence promote"));
  rig.person.answers = {{"yes", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.log.last(kind::kFenceConfirmed)->payload["how"], "! ping -c1 old; a person said so");
}

}  // namespace
}  // namespace holdfast::engine
