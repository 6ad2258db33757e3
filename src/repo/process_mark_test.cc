#include "repo/process_mark.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::repo {
namespace {

// A child that has ended and whose number is free again.
pid_t ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  EXPECT_EQ(child, ::waitpid(child, nullptr, 0));
  return child;
}

TEST(ProcessMark, SaysWhereAndSinceWhenWeRun) {
  const std::string mark = own_process_mark();
  if (mark.empty()) GTEST_SKIP() << "/proc says nothing here";
  EXPECT_EQ(mark, own_process_mark());
  EXPECT_FALSE(is_proven_dead(::getpid(), mark));
}

TEST(ProcessMark, AProcessThatEndedIsDead) {
  const std::string mark = own_process_mark();
  if (mark.empty()) GTEST_SKIP() << "/proc says nothing here";
  EXPECT_TRUE(is_proven_dead(ended_process(), mark));
}

TEST(ProcessMark, ANumberThatIsAnothersNowMeansDead) {
  const std::string mark = own_process_mark();
  if (mark.empty()) GTEST_SKIP() << "/proc says nothing here";
  EXPECT_TRUE(is_proven_dead(::getpid(), mark + "0"));
}

TEST(ProcessMark, WhatIsElsewhereOrUnknownMayBeAlive) {
  const pid_t ended = ended_process();
  EXPECT_FALSE(is_proven_dead(ended, ""));
  EXPECT_FALSE(is_proven_dead(ended, "another boot" + own_process_mark()));
  EXPECT_FALSE(is_proven_dead(0, own_process_mark()));
}

}  // namespace
}  // namespace holdfast::repo
