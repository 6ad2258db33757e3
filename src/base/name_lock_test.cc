#include "base/name_lock.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {
namespace {

std::string own_name(const char* what) { return fmt::format("holdfast-test-{}-{}", what, getpid()); }

TEST(NameLock, OneHoldsAName) {
  auto first = NameLock::take(own_name("a"));
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(NameLock::take(own_name("a")).has_value());
  EXPECT_TRUE(NameLock::take(own_name("b")).has_value());
  first.reset();
  EXPECT_TRUE(NameLock::take(own_name("a")).has_value());
}

TEST(NameLock, AStrangerKeepsNobodyOut) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another account";
  int ready[2], ended[2];
  ASSERT_TRUE(pipe(ready) == 0 && pipe(ended) == 0);
  const std::string name = own_name("stranger");
  const pid_t child = fork();
  if (child == 0) {
    close(ended[1]);
    const bool is_other = setuid(65534) == 0;
    const auto held = NameLock::take(name);
    char sign = is_other && held ? 'y' : 'n';
    if (write(ready[1], &sign, 1) != 1 || read(ended[0], &sign, 1) != 0) _exit(1);
    _exit(0);
  }
  char sign = 0;
  ASSERT_EQ(read(ready[0], &sign, 1), 1);
  EXPECT_EQ(sign, 'y');
  EXPECT_TRUE(NameLock::take(name).has_value());
  for (const int end : {ready[0], ready[1], ended[0], ended[1]}) close(end);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace holdfast
