#include "base/name_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/directory_lock.h"
#include "base/filesystem.h"

namespace holdfast {
namespace {

std::string own_name(const char* what) { return fmt::format("holdfast-test-{}-{}", what, getpid()); }

// Another process, of another account if `uid` is not ours, which has done something, and ends with this.
class Other {
 public:
  Other(uid_t uid, const std::function<bool()>& act) {
    int ready[2], ended[2];
    EXPECT_TRUE(pipe(ready) == 0 && pipe(ended) == 0);
    child_ = fork();
    if (child_ == 0) {
      close(ended[1]);
      char sign = (uid == geteuid() || setuid(uid) == 0) && act() ? 'y' : 'n';
      if (write(ready[1], &sign, 1) != 1 || read(ended[0], &sign, 1) != 0) _exit(1);
      _exit(0);
    }
    char sign = 0;
    EXPECT_EQ(read(ready[0], &sign, 1), 1);
    EXPECT_EQ(sign, 'y');
    for (const int end : {ready[0], ready[1], ended[0]}) close(end);
    end_ = ended[1];
  }
  ~Other() {
    close(end_);
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    EXPECT_EQ(status, 0);
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;

 private:
  pid_t child_ = -1;
  int end_ = -1;
};

constexpr uid_t kNobody = 65534;

TEST(NameLock, OneHoldsAName) {
  auto first = NameLock::take(own_name("a"));
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(NameLock::take(own_name("a")).has_value());
  EXPECT_TRUE(NameLock::take(own_name("b")).has_value());
  EXPECT_TRUE(NameLock::take(own_name("")).has_value()) << "a name that others begin with";
  first.reset();
  EXPECT_TRUE(NameLock::take(own_name("a")).has_value());
}

TEST(NameLock, AnotherProcessOfTheAccountKeepsUsOut) {
  const std::string name = own_name("process");
  const Other other(geteuid(), [&] {
    static std::optional<NameLock> held;
    held.emplace(*NameLock::take(name));
    return held.has_value();
  });
  EXPECT_FALSE(NameLock::take(name).has_value());
}

TEST(NameLock, AStrangerKeepsNobodyOut) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another account";
  const std::string name = own_name("stranger");
  const Other other(kNobody, [&] {
    static std::optional<NameLock> held;
    held.emplace(*NameLock::take(name));
    // Nor by the bare name, bound and never listened to.
    const int bare = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    return bind(bare, reinterpret_cast<const struct sockaddr*>(&address), length) == 0;
  });
  for (int i = 0; i < 3; i++) EXPECT_TRUE(NameLock::take(name).has_value()) << i;
  auto ours = NameLock::take(name);
  EXPECT_FALSE(NameLock::take(name).has_value()) << "our own keep each other out all the same";
}

class DirectoryLockTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-lock-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  }
  void TearDown() override { EXPECT_EQ(rmdir(directory_.c_str()), 0); }
  bool lock_plainly() const { return flock(open(directory_.c_str(), O_RDONLY | O_DIRECTORY), LOCK_EX | LOCK_NB) == 0; }

  std::string directory_;
};

TEST_F(DirectoryLockTest, OneHoldsADirectory) {
  auto first = DirectoryLock::take(directory_);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(DirectoryLock::take(directory_).has_value());
  first.reset();
  EXPECT_TRUE(DirectoryLock::take(directory_).has_value());
}

TEST_F(DirectoryLockTest, AnotherProcessOfTheAccountKeepsUsOut) {
  const Other other(geteuid(), [&] { return lock_plainly(); });
  EXPECT_FALSE(DirectoryLock::take(directory_).has_value());
}

TEST_F(DirectoryLockTest, AStrangerKeepsNobodyOut) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another account";
  const Other other(kNobody, [&] { return lock_plainly(); });
  auto ours = DirectoryLock::take(directory_);
  ASSERT_TRUE(ours.has_value());
  EXPECT_FALSE(DirectoryLock::take(directory_).has_value()) << "our own keep each other out all the same";
}

TEST_F(DirectoryLockTest, NorWhatIsLeftOfAStrangerThatHasEnded) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another account";
  const Other other(kNobody, [&] {
    int status = 0;
    const int descriptor = open(directory_.c_str(), O_RDONLY | O_DIRECTORY);
    const pid_t taker = fork();
    if (taker == 0) _exit(flock(descriptor, LOCK_EX | LOCK_NB));
    return waitpid(taker, &status, 0) == taker && status == 0;
  });
  EXPECT_TRUE(DirectoryLock::take(directory_).has_value());
}

}  // namespace
}  // namespace holdfast
