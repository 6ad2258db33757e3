#include "cli/run_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/terminal.h"

namespace holdfast::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

engine::RunState sample(size_t steps) {
  engine::RunState state;
  state.id = "20260301-0930-7f3a";
  state.plan.title = "Database Corruption/Loss";
  state.plan.rto = engine::Objective{Duration::hours(2), "2 hours"};
  state.began = Time::from_unix_seconds(1'772'357'400);
  state.created = engine::Json::object();
  for (size_t i = 0; i < steps; i++) {
    engine::Step step;
    step.id = "step-" + std::to_string(i + 1);
    step.title = "Do the thing number " + std::to_string(i + 1) +
                 " with a title that is really much too long for a narrow terminal";
    step.kind = engine::StepKind::kShell;
    step.phase = "Restore";
    step.window_end = Duration::seconds(900);
    state.plan.steps.push_back(step);
  }
  state.steps["step-1"].phase = engine::StepPhase::kDone;
  state.steps["step-2"].phase = engine::StepPhase::kRunning;
  state.steps["step-2"].started = state.began + Duration::seconds(60);
  return state;
}

FrameInput input_for(const engine::RunState& state, size_t width, size_t height) {
  FrameInput input;
  input.now = state.began + Duration::seconds(761);
  input.width = width;
  input.height = height;
  input.running = "step-2";
  input.output = {"restoring \x1b[31mtable\x1b[0m 1", "restoring table 2"};
  return input;
}

std::string text_of(const std::vector<FrameLine>& lines) {
  std::string text;
  for (const FrameLine& line : lines) text += line.text + "\n";
  return text;
}

TEST(RunFrame, FitsEveryTerminal) {
  for (const size_t steps : {1u, 5u, 60u}) {
    const auto state = sample(steps);
    for (const size_t width : {40u, 80u, 200u}) {
      for (const size_t height : {6u, 12u, 24u, 60u}) {
        const auto lines = draw_frame(state, input_for(state, width, height));
        EXPECT_LT(lines.size(), height);
        for (const FrameLine& line : lines) EXPECT_LE(display_width(line.text), width) << line.text;
      }
    }
  }
}

TEST(RunFrame, ShowsThatAStepTakesLongerThanTheDocumentSays) {
  auto state = sample(5);
  state.plan.steps[1].expected = Duration::seconds(660);
  const auto shown = [&] { return text_of(draw_frame(state, input_for(state, 100, 30))); };
  EXPECT_THAT(shown(), testing::Not(HasSubstr("11 min")));
  state.budgets.insert("warn:step step-2");
  EXPECT_THAT(shown(), HasSubstr("11:41 of 11 min"));
  state.budgets.insert("over:step step-2");
  EXPECT_THAT(shown(), HasSubstr("11:41, overrun: 11 min"));
}

TEST(RunFrame, ShowsTheClockOfStepsThatHaveTheirTimeTogether) {
  auto state = sample(5);
  state.plan.budgets = {{"Restore", Duration::hours(2), {"step-2", "step-3"}},
                        {"Later", Duration::hours(1), {"step-5"}}};
  state.steps["step-1"].ended = state.began + Duration::seconds(61);
  const std::string text = text_of(draw_frame(state, input_for(state, 120, 30)));
  EXPECT_THAT(text, AllOf(HasSubstr("   Restore 2 h: 1:48:20 left"), testing::Not(HasSubstr("Later"))));
}

TEST(RunFrame, ShowsClocksStepsOutputAndKeys) {
  const auto state = sample(5);
  const std::string text = text_of(draw_frame(state, input_for(state, 100, 30)));
  EXPECT_THAT(text, AllOf(HasSubstr("Database Corruption/Loss"), HasSubstr("elapsed 12:41"),
                          HasSubstr("RTO 2 h: 1:47:19 left"), HasSubstr("Restore 15 min: 02:19 left"),
                          HasSubstr("✓  1"), HasSubstr("▶  2"), HasSubstr("restoring table 2"),
                          HasSubstr("next: Do the thing number 3"), HasSubstr("[x] [x] stop"), HasSubstr("[q] leave")));
}

TEST(RunFrame, OnePressOfXOnlyAsks) {
  const auto state = sample(5);
  FrameInput input = input_for(state, 100, 30);
  input.stop_armed = true;
  EXPECT_THAT(text_of(draw_frame(state, input)), HasSubstr("[x] again: stop the running step now"));
}

TEST(RunFrame, WhatAStepSaysCannotDriveTheTerminal) {
  const auto state = sample(5);
  EXPECT_EQ(text_of(draw_frame(state, input_for(state, 100, 30))).find('\x1b'), std::string::npos);
}

TEST(RunFrame, AQuestionShowsItsDetailsAndKeys) {
  const auto state = sample(3);
  FrameInput input = input_for(state, 80, 24);
  engine::Question question{engine::Question::Kind::kFailed,
                            &state.plan.steps[1],
                            "step step-2 ended with status 3",
                            {"last words\nof it"},
                            {"retry", "skip", "undo", "stop"}};
  input.question = &question;
  EXPECT_THAT(text_of(draw_frame(state, input)),
              AllOf(HasSubstr("step step-2 ended with status 3"), HasSubstr("last words"), HasSubstr("of it"),
                    HasSubstr("[r] retry   [k] skip   [u] undo   [s] stop")));
}

TEST(RunFrame, TheStepThatIsAskedAboutIsMarked) {
  auto state = sample(3);
  state.steps.clear();
  FrameInput input = input_for(state, 80, 24);
  engine::Question question{engine::Question::Kind::kManual, &state.plan.steps[0], "by hand", {}, {"done"}};
  input.question = &question;
  EXPECT_THAT(text_of(draw_frame(state, input)), HasSubstr("▶  1"));
}

TEST(RunFrame, WhatBelongsToAStepIsNotFarFromIt) {
  const auto state = sample(5);
  for (const FrameLine& line : draw_frame(state, input_for(state, 200, 30))) {
    if (line.text.find("Do the thing") != std::string::npos && line.text.find("next:") == std::string::npos) {
      EXPECT_LE(display_width(line.text), 110u) << line.text;
    }
  }
}

}  // namespace
}  // namespace holdfast::cli
