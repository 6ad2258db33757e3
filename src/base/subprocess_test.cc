#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/filesystem.h"
#include "base/secret.h"
#include "base/secret_variables.h"

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

TEST(Subprocess, ASignalIsAStatusAbove128) {
  EXPECT_EQ(run_command(shell("kill -KILL $$"))->exit_status, 128 + SIGKILL);
}

TEST(Subprocess, EnvironmentAndDirectoryAreAdded) {
  ::setenv("HOLDFAST_TEST_KEPT", "kept", 1);
  auto options = shell("echo $HOLDFAST_TEST_KEPT $HOLDFAST_TEST_NEW $HOME; pwd");
  options.environment = {{"HOLDFAST_TEST_NEW", "new"}, {"HOME", "/elsewhere"}};
  options.working_directory = "/usr";
  EXPECT_EQ(run_command(options)->output, "kept new /elsewhere\n/usr\n");
  // What it gets of ours can be taken away, what is added can not.
  options.without = {"HOLDFAST_TEST_KEPT", "HOLDFAST_TEST_NEW", "HOLDFAST_TEST_NONE"};
  EXPECT_EQ(run_command(options)->output, "new /elsewhere\n/usr\n");
  options.working_directory = "/nonexistent";
  EXPECT_EQ(run_command(options).error().code(), ErrorCode::kNotFound);
}

TEST(Subprocess, VariablesThatHoldSecretsAreNotHandedOn) {
  ::setenv("HOLDFAST_TEST_PASSPHRASE", "correct horse", 1);
  auto options = shell("echo \"[$HOLDFAST_TEST_PASSPHRASE]\"");
  ASSERT_TRUE(resolve_secret("env:HOLDFAST_TEST_PASSPHRASE").ok());
  EXPECT_EQ(run_command(options)->output, "[]\n");
  for (const std::string& variable : environment_without_secrets())
    EXPECT_FALSE(variable.starts_with("HOLDFAST_TEST_PASSPHRASE"));
  options.environment = {{"HOLDFAST_TEST_PASSPHRASE", "given"}};
  EXPECT_EQ(run_command(options)->output, "[given]\n");
  options.environment.clear();
  options.with_secret_variables = true;
  EXPECT_EQ(run_command(options)->output, "[correct horse]\n");
  ::unsetenv("HOLDFAST_TEST_PASSPHRASE");
}

TEST(Subprocess, OutputBeyondTheLimitIsDroppedAndSaidSo) {
  auto options = shell("head -c 1000000 /dev/zero | tr '\\0' x; echo end >&2");
  options.output_limit_bytes = 1000;
  const auto outcome = run_command(options);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->output, std::string(1000, 'x') + "\n[999000 more bytes were dropped]\n");
  EXPECT_EQ(outcome->error_output, "end\n");
  EXPECT_EQ(outcome->exit_status, 0);
}

TEST(Subprocess, RunsAsAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  auto options = shell("id -u; id -g; id -G");
  options.uid = 65534;
  options.gid = 65534;
  EXPECT_EQ(run_command(options)->output, "65534\n65534\n65534\n");
}

// A pipe with a name, whose reading end tells when the last writer is gone.
class LifeLine {
 public:
  LifeLine() : path_(testing::TempDir() + "holdfast-lifeline-" + std::to_string(::getpid())) {
    ::unlink(path_.c_str());
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~LifeLine() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }
  // What was written, once nobody holds the writing end; "held" at the deadline.
  std::string last_words() const {
    std::string words;
    const Duration end = system_clock().monotonic() + Duration::seconds(120);
    while (system_clock().monotonic() < end) {
      char buffer[64];
      const ssize_t got = ::read(fd_, buffer, sizeof buffer);
      if (got == 0) return words;
      if (got > 0) words.append(buffer, static_cast<size_t>(got));
      std::this_thread::yield();
    }
    return "held";
  }

 private:
  std::string path_;
  int fd_ = -1;
};

// Long enough for a shell to begin on a machine that is busy elsewhere.
constexpr Duration kTimeToBegin = Duration::seconds(3);

TEST(Subprocess, TheDeadlineEndsTheWholeGroup) {
  const LifeLine line;
  auto options =
      shell("exec 3>" + line.path() + "; trap 'echo term >&3; exit 0' TERM; echo begun >&3; sleep 1000 & wait");
  options.deadline = kTimeToBegin;
  const auto outcome = run_command(options);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kTimeout);
  EXPECT_EQ(outcome.error().text(), "sh did not end within 3.00 s");
  EXPECT_EQ(line.last_words(), "begun\nterm\n");
}

TEST(Subprocess, AGroupThatIgnoresTheFirstSignalIsKilled) {
  const LifeLine line;
  auto options = shell("trap '' TERM; exec 3>" + line.path() + "; echo begun >&3; sleep 1000 & sleep 1000; sleep 1000");
  options.deadline = kTimeToBegin;
  EXPECT_EQ(run_command(options).error().code(), ErrorCode::kTimeout);
  EXPECT_EQ(line.last_words(), "begun\n");
}

TEST(Subprocess, ADaemonLeftBehindDoesNotHoldUs) {
  const auto outcome = run_command(shell("sleep 1000 & echo $!"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(::kill(std::stoi(outcome->output), SIGKILL), 0);
}

TEST(Subprocess, TheChildGetsThreeDescriptorsAndNoSignalSettings) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  ::signal(SIGPIPE, SIG_IGN);
  // One that only the kernel takes: glibc has 32 for itself.
  const std::array<uintptr_t, 8> ignored = {reinterpret_cast<uintptr_t>(SIG_IGN)};
  ASSERT_EQ(::syscall(SYS_rt_sigaction, 32, ignored.data(), nullptr, size_t{8}), 0);
  const auto outcome = run_command(shell("ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status"));
  ::signal(SIGPIPE, SIG_DFL);
  ::close(leaked);
  // 3 is the directory that ls reads.
  EXPECT_EQ(outcome->output, "0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

size_t open_descriptors() { return real_file_system().list("/proc/self/fd")->size(); }

TEST(Subprocess, LeavesNoDescriptorAndNoZombie) {
  const size_t before = open_descriptors();
  auto slow = shell("sleep 1000");
  slow.deadline = Duration::milliseconds(20);
  auto absent = shell("");
  absent.argv = {"/nonexistent"};
  for (int i = 0; i < 20; i++) {
    EXPECT_TRUE(run_command(shell("exit 1")).ok());
    EXPECT_FALSE(run_command(absent).ok());
    if (i < 3) {
      EXPECT_FALSE(run_command(slow).ok());
    }
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Subprocess, ManyThreadsRunProgramsAtOnce) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([t] {
      for (int i = 0; i < 10; i++) {
        auto options = shell("cat; exit 7");
        options.input = std::to_string(t * 100 + i);
        const auto outcome = run_command(options);
        ASSERT_TRUE(outcome.ok()) << outcome.error().text();
        EXPECT_EQ(outcome->output, options.input);
        EXPECT_EQ(outcome->exit_status, 7);
      }
    });
  }
}

TEST(Subprocess, IsEndedWhenItIsAskedTo) {
  auto options = shell("echo begun; exec sleep 1000");
  std::atomic<bool> stop{false};
  options.stop = &stop;
  std::jthread person([&] { stop = true; });
  const auto outcome = run_command(options);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kInterrupted);
  EXPECT_EQ(outcome.error().text(), "sh was stopped");
}

}  // namespace
}  // namespace holdfast
