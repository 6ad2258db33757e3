#include "base/process_stat.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace holdfast {
namespace {

TEST(ProcessStat, WhateverAProgramIsCalled) {
  const auto self = process_stat("self");
  ASSERT_TRUE(self);
  EXPECT_EQ(self->parent, ::getppid());
  EXPECT_EQ(self->session, ::getsid(0));
  EXPECT_FALSE(self->ended());
  char before[16];
  ASSERT_EQ(0, ::prctl(PR_GET_NAME, before));
  ASSERT_EQ(0, ::prctl(PR_SET_NAME, "a) Z 1 (b)"));
  const auto renamed = process_stat(std::to_string(::getpid()));
  EXPECT_EQ(0, ::prctl(PR_SET_NAME, before));
  ASSERT_TRUE(renamed);
  EXPECT_EQ(renamed->start, self->start);
  EXPECT_EQ(renamed->parent, self->parent);
}

TEST(ProcessStat, OneThatNobodyHasWaitedForHasEnded) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(0, ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));
  EXPECT_TRUE(process_stat(std::to_string(child))->ended());
  ASSERT_EQ(child, ::waitpid(child, nullptr, 0));
  EXPECT_FALSE(process_stat(std::to_string(child)));
}

}  // namespace
}  // namespace holdfast
