#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace holdfast {
namespace {

CommandOptions shell(const std::string& script) {
  CommandOptions options;
  options.argv = {"sh", "-c", script};
  return options;
}

TEST(Subprocess, CollectsBothStreamsAndTheStatus) {
  const auto outcome = run_command(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->exit_status, 3);
  EXPECT_EQ(outcome->output, "out\n");
  EXPECT_EQ(outcome->error_output, "err\n");
}

TEST(Subprocess, CheckedFailureTellsTheEndOfTheErrorOutput) {
  const auto outcome = run_command_checked(shell("echo 'no such table' >&2; exit 4"));
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kSubprocess);
  EXPECT_EQ(outcome.error().text(), "sh ended with status 4: no such table");
}

TEST(Subprocess, GivesInputAndSurvivesAReaderThatStopsEarly) {
  auto options = shell("cat");
  options.input = std::string(3 << 20, 'x');
  const auto outcome = run_command(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->output, options.input);

  options = shell("head -c 10; exit 0");
  options.input = std::string(3 << 20, 'y');
  EXPECT_EQ(run_command(options)->output, std::string(10, 'y'));
}

TEST(Subprocess, AnAbsentProgramIsNotFound) {
  CommandOptions options;
  options.argv = {"holdfast-no-such-program"};
  const auto outcome = run_command(options);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().text(),
            "the program holdfast-no-such-program was not found (install it, or add its folder to PATH)");
  options.argv = {"/nonexistent/program"};
  EXPECT_EQ(run_command(options).error().text(), "can't run /nonexistent/program: no such file or directory");
}

}  // namespace
}  // namespace holdfast
