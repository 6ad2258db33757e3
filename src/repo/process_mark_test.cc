#include "repo/process_mark.h"

#include <gtest/gtest.h>
#include <signal.h>
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

TEST(ProcessMark, AProcessThatNobodyWaitedForIsDead) {
  if (own_process_mark().empty()) GTEST_SKIP() << "/proc says nothing here";
  const pid_t child = ::fork();
  if (child == 0) ::pause();
  const std::string mark = process_mark_of(child);
  EXPECT_FALSE(is_proven_dead(child, mark));
  EXPECT_EQ(0, ::kill(child, SIGKILL));
  siginfo_t info{};
  EXPECT_EQ(0, ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));  // it stays a zombie
  EXPECT_TRUE(is_proven_dead(child, mark));
  EXPECT_EQ(child, ::waitpid(child, nullptr, 0));
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
