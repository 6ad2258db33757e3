#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/test_fakes.h"

namespace holdfast::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = AttemptReport::State;

ErrorCode code_of(const Result<void>& result) { return result.ok() ? ErrorCode::kInternal : result.error().code(); }

TEST(Engine, RunsStepsInOrderAndEnds) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second"));
  EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "recovered");
}

TEST(Engine, CommitsAStartBeforeTheStepMayRun) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  rig.log.fails_after = 4;  // created, driven, started, finished; not the second start
  const auto done = rig.drive();
  EXPECT_EQ(code_of(done), ErrorCode::kNoSpace);
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
  EXPECT_EQ(rig.runner.abandoned.size(), 1u);
}

TEST(Engine, WhatIsNotDurableIsNotShown) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  rig.log.fails_after = 4;  // the end of the first is appended with the start of the second
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNoSpace);
  EXPECT_THAT(rig.observer.shown, ElementsAre(1, 2, 3));
  EXPECT_EQ(rig.durable.step("first").phase, StepPhase::kRunning);
  EXPECT_EQ(rig.durable.step("second").phase, StepPhase::kPending);
  rig.log.crash();
  rig.log.fails_after.reset();
  rig.observer.shown.clear();
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.observer.shown.front(), 4u) << "what was shown before is not shown again";
  EXPECT_EQ(rig.observer.shown.back(), rig.log.events().size());
}

TEST(Engine, WhatIsNotDurableIsNotShownWhileAPersonIsAsked) {
  Rig rig;
  rig.add("left").parallel = "pair";
  rig.add("right").parallel = "pair";
  rig.plan.steps[1].approve = "dba";
  rig.log.fails_after = 3;  // created, driven, the start of the left one; not its end
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNoSpace);
  EXPECT_NE(rig.observer.ticked.step("left").phase, StepPhase::kDone);
  EXPECT_EQ(rig.durable.step("left").phase, StepPhase::kRunning);
}

TEST(Engine, AJournalThatHasLostEventsIsRefusedUntilAPersonSaysWhatBecomesOfTheSteps) {
  Rig rig;
  for (const char* id : {"first", "second", "third"}) rig.add(id);
  rig.log.fails_after = 2;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNoSpace);
  rig.log.crash();
  rig.log.fails_after.reset();
  rig.options.lost = {{"first", 1, "steps/first/1-a", rig.runner.ended(0).end, 0},
                      {"second", 1, "steps/second/1-b", std::nullopt, 0}};
  const auto refused = rig.drive();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(
      refused.error().message(),
      "the journal of run test has lost events: it knows nothing of first (steps/first/1-a, ended with status 0), "
      "second (steps/second/1-b, no end)");
  rig.options.settle = {{"first", "done"}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInvalidData);
  EXPECT_THAT(rig.runner.ran, IsEmpty());
  rig.options.settle["second"] = "retry";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("second", "third"));
  EXPECT_EQ(rig.log.last(kind::kStepUnknown)->payload["directory"], "steps/second/1-b");
  EXPECT_EQ(rig.durable.step("second").attempts, 2);
}

TEST(Engine, ARunWhoseUndoingTheJournalHasLostIsUndoneToTheEnd) {
  for (const std::string as : {"done", "retry"}) {
    Rig rig;
    for (const char* id : {"first", "second"}) rig.add(id).compensate = std::string("undo ") + id;
    rig.add("third");
    rig.runner.fates["third"] = {rig.runner.ended(1)};
    EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
    rig.options.lost = {{"second~undo", 1, "steps/second~undo/1-a", std::nullopt, 0}};
    const auto refused = rig.drive();
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().hint(), HasSubstr("the run was being undone"));
    rig.options.settle["second~undo"] = as;
    ASSERT_TRUE(rig.drive().ok());
    EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "undone");
    EXPECT_EQ(rig.runner.ran.back(), "first~undo");
    EXPECT_EQ(std::count(rig.runner.ran.begin(), rig.runner.ran.end(), "second~undo"), as == "retry" ? 1 : 0);
    EXPECT_EQ(std::count(rig.runner.ran.begin(), rig.runner.ran.end(), "third"), 1);
  }
}

TEST(Engine, AStepThatTheJournalHasLostAndThatStillRunsIsNotRunBeside) {
  Rig rig;
  rig.add("first");
  rig.options.lost = {{"first", 1, "steps/first/1-a", std::nullopt, 4711}};
  rig.options.settle = {{"first", "retry"}};
  const auto refused = rig.drive();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "the journal of run test has lost events, and step first still runs (pid 4711)");
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Engine, AFinishedStepIsNeverRunAgain) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  rig.runner.fates["second"] = {rig.runner.ended(3)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second", "second"));
}

TEST(Engine, CollectsAStepThatEndedWhileNobodyWatched) {
  Rig rig;
  rig.add("first");
  rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
  rig.runner.fates["first"] = {rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
}

TEST(Engine, AVoidAttemptIsSimplyRun) {
  Rig rig;
  rig.add("first").on_crash = OnCrash::kFail;
  rig.runner.fates["first"] = {{State::kVoid, std::nullopt}, rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first"));
}

TEST(Engine, WaitsForWhatAKilledSupervisorLeft) {
  Rig rig;
  rig.add("first").on_crash = OnCrash::kRetry;
  rig.runner.fates["first"] = {{State::kOrphaned, std::nullopt},
                               {State::kOrphaned, std::nullopt},
                               {State::kUnknown, std::nullopt},
                               rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first"));
  EXPECT_THAT(rig.log.told("step.orphaned"), ElementsAre("first: step.orphaned"));  // said once
}

struct CrashCase {
  OnCrash on_crash;
  std::vector<std::string> ran;
  ErrorCode code;  // kInternal: done
};

class UnknownEnd : public testing::TestWithParam<CrashCase> {};

TEST_P(UnknownEnd, IsSettledAsOnCrashSays) {
  Rig rig;
  rig.add("first").on_crash = GetParam().on_crash;
  rig.plan.steps[0].verify = GetParam().on_crash == OnCrash::kProbe ? "true" : "";
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
  EXPECT_EQ(code_of(rig.drive()), GetParam().code);
  EXPECT_EQ(rig.runner.ran, GetParam().ran);
}

INSTANTIATE_TEST_SUITE_P(Engine, UnknownEnd,
                         testing::Values(CrashCase{OnCrash::kRetry, {"first", "first"}, ErrorCode::kInternal},
                                         CrashCase{OnCrash::kSkip, {"first"}, ErrorCode::kInternal},
                                         CrashCase{OnCrash::kFail, {"first"}, ErrorCode::kSubprocess},
                                         CrashCase{OnCrash::kProbe, {"first", "first~verify"}, ErrorCode::kInternal},
                                         CrashCase{OnCrash::kAsk, {"first"}, ErrorCode::kNeedsPerson}));

TEST(Engine, AProbeThatFailsRunsTheStepAgain) {
  Rig rig;
  Step& step = rig.add("first");
  step.on_crash = OnCrash::kProbe;
  step.verify = "test -e done";
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}, rig.runner.ended(0)};
  rig.runner.fates["first~verify"] = {rig.runner.ended(1), rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first", "first~verify"));
}

TEST(Engine, AProbeWithoutACommandAsks) {
  Rig rig;
  rig.add("first").on_crash = OnCrash::kProbe;
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  EXPECT_THAT(rig.person.asked, ElementsAre("unknown first"));
}

TEST(Engine, ACommandThatGivesNoAnswerStopsTheRunAndIsAskedAgain) {
  Rig rig;
  rig.add("first").verify = "chekc";
  rig.runner.fates["first~verify"] = {rig.runner.ended(127)};
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(), "first~verify gave no answer: ended with status 127");
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first~verify"));
}

TEST(Engine, ATimeoutOfAConditionIsNoNo) {
  Rig rig;
  rig.add("first").when = "slow";
  AttemptReport late = rig.runner.ended(143);
  late.end->timed_out = true;
  rig.runner.fates["first~when"] = {late};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  EXPECT_EQ(rig.log.last(kind::kStepSkipped), nullptr);
}

// What was there before the drive: an unknown end, with each on_crash, or a failure.
class SettledByCommandLine : public testing::TestWithParam<OnCrash> {};

TEST_P(SettledByCommandLine, WhateverOnCrashSays) {
  Rig rig;
  rig.add("first").on_crash = GetParam();
  rig.plan.steps[0].verify = "check";
  rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
  rig.options.settle["first"] = "done";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
  EXPECT_EQ(rig.log.last(kind::kStepSettled)->payload["by"], "alice@db1");
}

INSTANTIATE_TEST_SUITE_P(Engine, SettledByCommandLine,
                         testing::Values(OnCrash::kAsk, OnCrash::kRetry, OnCrash::kSkip, OnCrash::kFail,
                                         OnCrash::kProbe));

TEST(Engine, TheCommandLineSettlesAFailureAsDone) {
  Rig rig;
  rig.add("first");
  rig.runner.fates["first"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.settle["first"] = "done";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
}

TEST(Engine, AVerificationThatFailedCanBeAskedAgainAlone) {
  Rig rig;
  rig.add("first").verify = "check";
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.settle["first~verify"] = "retry";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first~verify"));
}

TEST(Engine, WhatHasNoOpenEndIsNotSettled) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  rig.runner.fates["second"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.settle["first"] = "retry";
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(), "step first is done: there is nothing to settle");
  rig.options.settle = {{"third", "done"}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNotFound);
}

TEST(Engine, AStepThatStillRunsIsNotSettled) {
  Rig rig;
  rig.add("first");
  rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
  rig.options.settle["first"] = "done";
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kRefused);
}

TEST(Engine, WhatAKilledSupervisorLeftIsEndedBeforeTheStepIsRunAgain) {
  Rig rig;
  rig.add("first");
  rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
  rig.runner.fates["first"] = {{State::kOrphaned, std::nullopt},
                               {State::kOrphaned, std::nullopt},
                               {State::kUnknown, std::nullopt},
                               rig.runner.ended(0)};
  rig.options.settle["first"] = "retry";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.runner.stops, 1);
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first"));
}

TEST(Engine, AnOrphanCountsAsDoneWithoutBeingEnded) {
  Rig rig;
  rig.add("first");
  rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
  rig.person.next_wish = Wish::kDetach;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
  rig.runner.fates["first"] = {{State::kOrphaned, std::nullopt}, {State::kOrphaned, std::nullopt}};
  rig.options.settle["first"] = "done";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.runner.stops, 0);
}

TEST(Engine, AStepThatAPersonStoppedIsNotBegunAgainByItself) {
  Rig rig;
  rig.add("first").retries = 5;
  AttemptReport stopped = rig.runner.ended(143);
  stopped.end->stopped = true;
  rig.runner.fates["first"] = {stopped};
  const auto done = rig.drive();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(), "step first was stopped");
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
}

TEST(Engine, RetriesWithGrowingPauses) {
  Rig rig;
  rig.add("first").retries = 2;
  rig.runner.fates["first"] = {rig.runner.ended(1), rig.runner.ended(1), rig.runner.ended(0)};
  const Time before = rig.clock.now();
  // The fake's ends carry the time at which they were made: the pauses count from there.
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.runner.ran.size(), 3u);
  EXPECT_GE(rig.clock.now() - before, Duration::seconds(4));
}

TEST(Engine, ADeclaredVerificationDecides) {
  Rig rig;
  rig.add("first").verify = "check";
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify"));
}

TEST(Engine, NeighboursOfAGroupRunTogether) {
  Rig rig;
  rig.add("left").parallel = "pair";
  rig.add("right").parallel = "pair";
  rig.add("after");
  rig.runner.fates["left"] = {{State::kRunning, std::nullopt}, {State::kRunning, std::nullopt}, rig.runner.ended(0)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("step."), ElementsAre("left: step.started", "right: step.started", "right: step.finished",
                                                 "left: step.finished", "after: step.started", "after: step.finished"));
}

TEST(Engine, APersonIsAskedWhatToDoWithAFailure) {
  Rig rig;
  rig.add("first");
  rig.add("second");
  rig.runner.fates["first"] = {rig.runner.ended(1), rig.runner.ended(1)};
  rig.person.answers = {{"retry", ""}, {"skip", "not needed tonight"}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.person.asked, ElementsAre("failed first", "failed first"));
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first", "second"));
  EXPECT_EQ(rig.log.last(kind::kStepSkipped)->payload["why"], "not needed tonight");
}

TEST(Engine, UndoesInReverseOrder) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  rig.add("second").compensate = "undo second";
  rig.add("third");
  rig.runner.fates["third"] = {rig.runner.ended(1)};
  rig.person.answers = {{"undo", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second", "third", "second~undo", "first~undo"));
  EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "undone");
}

TEST(Engine, WhatMayHaveHadAnEffectIsUndoneOrSettledByAPerson) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  rig.add("second").compensate = "undo second";
  rig.plan.steps[1].verify = "check";
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  rig.options.undo = true;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  EXPECT_EQ(rig.log.last(kind::kRunFinished), nullptr);
  rig.person.answers = {{"undo", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~undo"));
}

TEST(Engine, AStepWhoseVerificationFailedIsUndone) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  rig.plan.steps[0].verify = "check";
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  rig.person.answers = {{"undo", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first~undo"));
}

TEST(Engine, AnEffectThatAnAttemptHadIsUndoneWhenTheStepWasToBeRunAgain) {
  Rig rig;
  Step& step = rig.add("first");
  step.compensate = "undo first";
  step.verify = "check";
  step.fence = "fenced";
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.runner.fates["first~fence"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kRefused);
  rig.options.undo = true;
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.runner.ran.back(), "first~undo");
}

TEST(Engine, AnEffectThatAnAttemptHadIsUndoneWhenALaterOneFailed) {
  Rig rig;
  Step& step = rig.add("first");
  step.compensate = "undo first";
  step.verify = "check";
  step.retries = 1;
  rig.runner.fates["first"] = {rig.runner.ended(0), rig.runner.ended(1)};
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.undo = true;
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first", "first~undo"));
}

TEST(Engine, AnEffectThatAnAttemptMayHaveHadIsAskedForWhenTheStepWasToBeRunAgain) {
  for (const bool undone : {true, false}) {
    Rig rig;
    Step& step = rig.add("first");
    step.compensate = "undo first";
    step.on_crash = OnCrash::kRetry;
    step.fence = "fenced";
    rig.runner.fates["first~fence"] = {rig.runner.ended(0), rig.runner.ended(1)};
    rig.runner.fates["first"] = {{State::kRunning, std::nullopt}};
    rig.person.quiet_turns = 2;  // the fence has spoken by then
    rig.person.next_wish = Wish::kDetach;
    EXPECT_EQ(code_of(rig.drive()), ErrorCode::kInterrupted);
    rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
    EXPECT_EQ(code_of(rig.drive()), ErrorCode::kRefused);
    rig.options.undo = true;
    EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
    if (undone)
      rig.options.settle["first"] = "done";
    else
      rig.options.skip["first"] = "it did nothing";
    ASSERT_TRUE(rig.drive().ok());
    EXPECT_EQ(rig.runner.ran.back(), undone ? "first~undo" : "first~fence");
    EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "undone");
  }
}

// By a status of its own, a timeout, a signal, or a person: what it did before is there.
TEST(Engine, AnEffectThatAnAttemptMayHaveHadBeforeItFailedIsAskedFor) {
  for (const auto& spoil : std::vector<std::function<void(AttemptEnd&)>>{
           [](AttemptEnd& end) { end.exit_status = 3; }, [](AttemptEnd& end) { end.timed_out = true; },
           [](AttemptEnd& end) { end.stopped = true; }, [](AttemptEnd& end) { end.signal = 9; }}) {
    for (const bool undone : {true, false}) {
      Rig rig;
      rig.add("first").compensate = "undo first";
      AttemptReport report = rig.runner.ended(137);
      spoil(*report.end);
      rig.runner.fates["first"] = {report};
      EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
      rig.options.undo = true;
      const auto asks = rig.drive();
      ASSERT_FALSE(asks.ok());
      EXPECT_EQ(asks.error().code(), ErrorCode::kNeedsPerson);
      EXPECT_EQ(asks.error().message(),
                "step first " + end_words(*report.end) + ", and may have done something before");
      if (undone)
        rig.options.settle["first"] = "done";
      else
        rig.options.skip["first"] = "it did nothing";
      ASSERT_TRUE(rig.drive().ok());
      EXPECT_EQ(rig.runner.ran.back(), undone ? "first~undo" : "first");
      EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "undone");
    }
  }
}

TEST(Engine, AStepWhoseProgramCouldNotBeStartedHasNoEffect) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  AttemptReport report = rig.runner.ended(127);
  report.end->failure = "python3: no such file";
  rig.runner.fates["first"] = {report};
  rig.person.answers = {{"undo", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first"));
}

TEST(Engine, AnEffectOfAStepThatWasLeftOutIsNotUndoneWhenAPersonSaysSo) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  rig.add("second");
  rig.runner.fates["first"] = {{State::kUnknown, std::nullopt}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  rig.options.skip["first"] = "not needed";
  rig.runner.fates["second"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.skip.clear();
  rig.options.undo = true;
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  rig.options.skip["first"] = "it did nothing";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second"));
  EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "undone");
}

TEST(Engine, AnEffectOfAStepThatWasLeftOutAfterwardsIsUndone) {
  Rig rig;
  Step& step = rig.add("first");
  step.compensate = "undo first";
  step.verify = "check";
  step.optional = true;
  rig.add("second");
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  rig.runner.fates["second"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  rig.options.undo = true;
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_EQ(rig.runner.ran.back(), "first~undo");
}

TEST(Engine, AnUnknownEndOfAnUndoingAsks) {
  Rig rig;
  rig.add("first").compensate = "undo first";
  rig.add("second");
  rig.runner.fates["second"] = {rig.runner.ended(1)};
  rig.runner.fates["first~undo"] = {{State::kUnknown, std::nullopt}};
  rig.person.answers = {{"undo", ""}};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  rig.options.settle["first~undo"] = "done";
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second", "first~undo"));
}

TEST(Engine, ApprovalAndManualStepsAreJournaledWithTheirPerson) {
  Rig rig;
  rig.add("first").approve = "dba";
  rig.add("second").kind = StepKind::kManual;
  rig.person.answers = {{"yes", "agreed on the phone"}, {"done", ""}};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.log.told("step.answered"), ElementsAre("first: step.answered", "second: step.answered"));
  EXPECT_EQ(rig.log.last(kind::kStepAnswered)->payload["who"], "alice@db1");
}

TEST(Engine, WhoeverIsAskedSeesWhatTheDocumentSays) {
  Rig rig;
  Step& first = rig.add("first");
  first.approve = "dba";
  first.prose = "- the number is on the wall";
  rig.add("second").kind = StepKind::kManual;
  rig.plan.steps.back().prose = "- say the contract number";
  rig.person.answers = {{"yes", ""}, {"done", ""}};
  ASSERT_TRUE(rig.drive().ok());
  ASSERT_EQ(rig.person.details.size(), 2u);
  EXPECT_EQ(rig.person.details[0].front(), "- the number is on the wall");
  EXPECT_EQ(rig.person.details[1].front(), "- say the contract number");
}

TEST(Engine, NobodyThereStopsAtWhatNeedsAPerson) {
  Rig rig;
  rig.add("first").approve = "dba";
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kNeedsPerson);
  EXPECT_THAT(rig.runner.ran, IsEmpty());
}

TEST(Engine, SkipsWhenTheConditionDoesNotHold) {
  Rig rig;
  rig.add("first").when = "test -e x";
  rig.runner.fates["first~when"] = {rig.runner.ended(1)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first~when"));
}

TEST(Engine, AFailureOfAnOptionalStepStopsNothing) {
  Rig rig;
  rig.add("first").optional = true;
  rig.add("second");
  rig.runner.fates["first"] = {rig.runner.ended(1)};
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "second"));
}

TEST(Engine, BudgetsWarnAndAreMarkedButEndNothing) {
  Rig rig;
  Step& step = rig.add("first");
  step.phase = "Immediate";
  step.window_end = Duration::seconds(10);
  rig.plan.rto = Objective{Duration::seconds(20), "20 s"};
  for (int i = 0; i < 100; i++) rig.runner.fates["first"].push_back({State::kRunning, std::nullopt});
  rig.runner.fates["first"].push_back(rig.runner.ended(0));
  ASSERT_TRUE(rig.drive().ok());
  std::vector<std::string> told;
  for (const Event& event : rig.log.events()) {
    if (event.kind.starts_with("budget."))
      told.push_back(event.kind + " " + event.payload["budget"].get<std::string>());
  }
  EXPECT_THAT(told, ElementsAre("budget.warned Immediate", "budget.overrun Immediate", "budget.warned RTO",
                                "budget.overrun RTO"));
  EXPECT_EQ(rig.runner.stops, 0);
}

TEST(Engine, ASecretIsInNoEvent) {
  Rig rig;
  rig.add("first");
  rig.secrets.push_back({"TOKEN", Secret::from_text("hunter2hunter2")});
  rig.runner.fates["first"] = {rig.runner.ended(1)};
  rig.person.answers = {{"skip", "the token hunter2hunter2 is wrong"}};
  ASSERT_TRUE(rig.drive().ok());
  for (const Event& event : rig.log.events()) EXPECT_THAT(event.payload.dump(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(rig.runner.orders["first"], HasSubstr("hunter2hunter2"));
}

TEST(Engine, ASecretThatIsAStepsNameChangesNothingThatTheFoldReads) {
  Rig rig;
  rig.add("first").verify = "check";
  rig.secrets.push_back({"TOKEN", Secret::from_text("first")});
  rig.secrets.push_back({"PIN", Secret::from_text("done")});
  rig.runner.fates["first~verify"] = {rig.runner.ended(1)};
  EXPECT_EQ(code_of(rig.drive()), ErrorCode::kSubprocess);
  EXPECT_THAT(rig.log.last(kind::kStepStarted)->payload["directory"].get<std::string>(),
              HasSubstr("steps/first~verify/"));
  EXPECT_EQ(rig.log.last(kind::kRunStopped)->payload["words"].get<std::string>().find("step first"), std::string::npos);
  ASSERT_TRUE(rig.drive().ok());
  EXPECT_THAT(rig.runner.ran, ElementsAre("first", "first~verify", "first", "first~verify"));
}

TEST(Engine, GoesOnFromEveryPrefixOfAJournal) {
  // Whatever was committed last before a crash, the end is the same and no step runs twice.
  Rig whole;
  const auto plan_of = [](Rig& rig) {
    rig.add("first");
    rig.add("left").parallel = "pair";
    rig.add("right").parallel = "pair";
    rig.add("last").verify = "check";
  };
  plan_of(whole);
  ASSERT_TRUE(whole.drive().ok());
  const auto events = whole.log.events();
  for (size_t length = 1; length < events.size(); length++) {
    Rig rig;
    plan_of(rig);
    std::map<std::string, int> begun;
    for (size_t i = 0; i < length; i++) {
      rig.log.append(events[i]);
      if (events[i].kind == kind::kStepStarted) begun[events[i].step]++;
    }
    ASSERT_TRUE(rig.log.commit().ok());
    ASSERT_TRUE(rig.drive().ok()) << length;
    for (const std::string& id : rig.runner.ran) begun[id]++;
    for (const char* id : {"first", "left", "right", "last"})
      EXPECT_EQ(begun[id], 1) << id << " after event " << length;
    EXPECT_EQ(rig.log.last(kind::kRunFinished)->payload["outcome"], "recovered");
  }
}

}  // namespace
}  // namespace holdfast::engine
