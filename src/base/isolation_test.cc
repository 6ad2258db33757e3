#include "base/isolation.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/filesystem.h"

namespace holdfast {
namespace {

class IsolationTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-isolation-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    ASSERT_TRUE(make_directories(fs_, own()).ok());
    ASSERT_TRUE(write_file_durably(fs_, root_ + "/secret", as_bytes("x")).ok());
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }

  std::string own() const { return root_ + "/own"; }
  Result<std::unique_ptr<IsolatedProcess>> start(const std::string& script,
                                                 IsolationLevel strictest = IsolationLevel::kSealed) {
    IsolationOptions options;
    options.argv = {"/bin/sh", "-c", script};
    options.environment = {{"PATH", "/usr/bin:/bin"}};
    options.directory = own();
    options.working_directory = own();
    options.log_path = own() + "/log";
    options.strictest = strictest;
    options.programs = programs_;
    return IsolatedProcess::start(fs_, options);
  }
  std::string log() {
    const auto content = read_file(fs_, own() + "/log");
    return content.ok() ? std::string(as_text(*content)) : content.error().text();
  }
  static void wait_for(IsolatedProcess& process) {
    while (process.running()) system_clock().sleep(Duration::milliseconds(5));
  }

  FileSystem& fs_ = real_file_system();
  std::string root_;
  std::vector<std::string> programs_;
};

TEST_F(IsolationTest, ASealedProcessSeesItsOwnDirectoryAndNothingElseOfOurs) {
  auto started =
      start("ls " + root_ + "; cat " + root_ + "/secret; touch /etc/x /usr/x /x; echo pid $$; touch made; ls /dev");
  ASSERT_TRUE(started.ok()) << started.error().text();
  wait_for(**started);
  if ((*started)->level() != IsolationLevel::kSealed) GTEST_SKIP() << (*started)->why_not_more();
  EXPECT_NE(log().find("\npid 1\n"), std::string::npos) << log();
  EXPECT_EQ(log().find("secret\n"), std::string::npos) << log();
  EXPECT_NE(log().find("/secret: No such file"), std::string::npos) << log();
  EXPECT_NE(log().find("/etc/x"), std::string::npos) << log();
  EXPECT_NE(log().find("/usr/x"), std::string::npos) << log();
  EXPECT_NE(log().find("\nnull\n"), std::string::npos) << log();
  EXPECT_TRUE(exists(fs_, own() + "/made").value());
  EXPECT_FALSE(exists(fs_, "/etc/x").value());
}

TEST_F(IsolationTest, OfAProgramsPlaceASealedProcessSeesTheProgramAlone) {
  ASSERT_TRUE(make_directories(fs_, root_ + "/place/lib").ok());
  for (const char* name : {"/place/program", "/place/secret", "/place/lib/code"})
    ASSERT_TRUE(write_file_durably(fs_, root_ + name, as_bytes("of"), 0755).ok());
  ASSERT_EQ(0, ::symlink((root_ + "/place/lib").c_str(), (root_ + "/libraries").c_str()));
  programs_ = {root_ + "/place/program", root_ + "/libraries", root_ + "/nothing", "/usr/bin/env"};
  auto started =
      start("cd " + root_ + "; ls . libraries place | tr '\\n' ' '; echo; echo x >> place/program; cat place/program");
  ASSERT_TRUE(started.ok()) << started.error().text();
  wait_for(**started);
  if ((*started)->level() != IsolationLevel::kSealed) GTEST_SKIP() << (*started)->why_not_more();
  EXPECT_NE(log().find(".: libraries own place  libraries: code  place: program"), std::string::npos) << log();
  EXPECT_NE(log().find("Read-only file system"), std::string::npos) << log();
  EXPECT_EQ(as_text(*read_file(fs_, root_ + "/place/program")), "of");
}

TEST_F(IsolationTest, ANetworkOfItsOwnHasLoopbackAlone) {
  auto started = start("tail -n +3 /proc/net/dev | cut -d: -f1; echo end");
  ASSERT_TRUE(started.ok()) << started.error().text();
  wait_for(**started);
  if ((*started)->level() == IsolationLevel::kNone) GTEST_SKIP() << (*started)->why_not_more();
  if (log() == "end\n") GTEST_SKIP() << "/proc can't be mounted here";
  EXPECT_EQ(log(), "    lo\nend\n");
}

TEST_F(IsolationTest, IsToldToEndAndKilledWhenItDoesNot) {
  auto started = start("exec sleep 600");
  ASSERT_TRUE(started.ok()) << started.error().text();
  EXPECT_TRUE((*started)->running());
  // The first process of a namespace is told nothing by a signal that it does not handle.
  const auto ended = (*started)->end(SIGINT, Duration::milliseconds(50), system_clock());
  if ((*started)->level() == IsolationLevel::kSealed) {
    EXPECT_FALSE(ended.ok());
  }
  EXPECT_FALSE((*started)->running());
}

TEST_F(IsolationTest, IsAskedToQuitBeforeItIsThrownAway) {
  auto started = start("trap 'echo quit; exit' QUIT; echo ready; while :; do sleep 0.01; done", IsolationLevel::kNone);
  ASSERT_TRUE(started.ok()) << started.error().text();
  while (log() != "ready\n") system_clock().sleep(Duration::milliseconds(5));
  started->reset();
  EXPECT_EQ(log(), "ready\nquit\n");
}

TEST_F(IsolationTest, LeavesNoCoreDump) {
  auto started = start("ulimit -Hc; ulimit -Sc", IsolationLevel::kNone);
  ASSERT_TRUE(started.ok()) << started.error().text();
  wait_for(**started);
  // In blocks of 512 bytes, of which a limit of one byte is none.
  EXPECT_EQ(log(), "0\n0\n");
}

TEST_F(IsolationTest, AProgramThatIsNotThereIsAnError) {
  IsolationOptions options;
  options.argv = {"/nowhere/program"};
  options.directory = options.working_directory = own();
  options.log_path = own() + "/log";
  const auto started = IsolatedProcess::start(fs_, options);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code(), ErrorCode::kNotFound);
}

TEST_F(IsolationTest, AskedForLessItGivesLess) {
  auto started = start("ls " + root_, IsolationLevel::kNone);
  ASSERT_TRUE(started.ok()) << started.error().text();
  wait_for(**started);
  EXPECT_EQ((*started)->level(), IsolationLevel::kNone);
  EXPECT_NE(log().find("secret\n"), std::string::npos) << log();
}

class IsolationLifeTest : public IsolationTest, public testing::WithParamInterface<IsolationLevel> {};

TEST_P(IsolationLifeTest, DiesWithWhoeverStartedIt) {
  int ends[2];
  ASSERT_EQ(0, ::pipe(ends));
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto started = start("exec sleep 600", GetParam());
    const pid_t pid = started.ok() ? (*started)->pid() : 0;
    if (::write(ends[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    ::pause();
  }
  pid_t isolated = 0;
  ASSERT_EQ(ssize_t{sizeof isolated}, ::read(ends[0], &isolated, sizeof isolated));
  ASSERT_GT(isolated, 0);
  EXPECT_EQ(0, ::kill(isolated, 0));
  EXPECT_EQ(0, ::kill(parent, SIGKILL));
  EXPECT_EQ(parent, ::waitpid(parent, nullptr, 0));
  // Gone, or a zombie that whoever took it over has not waited for yet.
  const auto gone = [&] {
    const auto stat = read_file(fs_, fmt::format("/proc/{}/stat", isolated), 4096);
    return !stat.ok() || as_text(*stat).find(") Z") != std::string_view::npos;
  };
  while (!gone()) system_clock().sleep(Duration::milliseconds(5));
  ::close(ends[0]);
  ::close(ends[1]);
}

INSTANTIATE_TEST_SUITE_P(Levels, IsolationLifeTest,
                         testing::Values(IsolationLevel::kSealed, IsolationLevel::kNetwork, IsolationLevel::kNone));

}  // namespace
}  // namespace holdfast
