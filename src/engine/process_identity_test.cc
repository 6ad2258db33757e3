#include "engine/process_identity.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

// A leader of a session that waits, and a child of it that waits too.
class SessionOfTwo {
 public:
  SessionOfTwo() {
    int ready[2];
    if (::pipe(ready) != 0) return;
    leader_ = ::fork();
    if (leader_ == 0) {
      ::setsid();
      if (::fork() != 0) {
        const char done = 1;
        [[maybe_unused]] const ssize_t told = ::write(ready[1], &done, 1);
      }
      for (;;) ::pause();
    }
    char done = 0;
    [[maybe_unused]] const ssize_t heard = ::read(ready[0], &done, 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~SessionOfTwo() {
    for (const pid_t pid : descendants_of(leader_)) ::kill(pid, SIGKILL);
    ::kill(leader_, SIGKILL);
    ::waitpid(leader_, nullptr, 0);
  }
  ProcessIdentity leader() const {
    ProcessIdentity identity = ProcessIdentity::of_self();
    identity.pid = leader_;
    const auto stat = read_file(real_file_system(), "/proc/" + std::to_string(leader_) + "/stat");
    std::string text(as_text(*stat));
    text = text.substr(text.rfind(')') + 2);
    for (int field = 0; field < 19; field++) text = text.substr(text.find(' ') + 1);
    identity.start = text.substr(0, text.find(' '));
    return identity;
  }

 private:
  pid_t leader_ = -1;
};

TEST(ProcessIdentityTest, ASessionHasItsMembers) {
  const SessionOfTwo session;
  EXPECT_EQ(liveness_of(session.leader()), Liveness::kAlive);
  EXPECT_EQ(session_members(session.leader()).size(), 1u);
}

TEST(ProcessIdentityTest, ASessionOfAnotherProcessWithTheSameNumberHasNoneOfOurs) {
  const SessionOfTwo session;
  ProcessIdentity earlier = session.leader();
  earlier.start = "1";
  EXPECT_EQ(liveness_of(earlier), Liveness::kDead);
  EXPECT_TRUE(session_members(earlier).empty());
}

TEST(ProcessIdentityTest, AnEnvironmentIsReadWholeEntries) {
  // What this process was started with: PATH is among it wherever tests are run.
  const char* path = ::getenv("PATH");
  ASSERT_NE(path, nullptr);
  EXPECT_TRUE(has_in_environment(::getpid(), "PATH", path));
  EXPECT_FALSE(has_in_environment(::getpid(), "PATH", std::string(path) + "x"));
  EXPECT_FALSE(has_in_environment(::getpid(), "ATH", path));
}

}  // namespace
}  // namespace holdfast::engine
