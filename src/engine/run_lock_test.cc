#include "engine/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

// Holds the lock as a child of `holder` would, and lets go when somebody has waited.
class HeldBy : public Clock {
 public:
  HeldBy(const std::string& path, const std::string& holder) {
    EXPECT_TRUE(write_file_durably(real_file_system(), path, as_bytes(holder)).ok());
    fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_EQ(::flock(fd_, LOCK_EX), 0);
  }
  ~HeldBy() override { release(); }
  Time now() override { return Time() + passed_; }
  Duration monotonic() override { return passed_; }
  void sleep(Duration duration) override {
    passed_ = passed_ + duration;
    waited++;
    if (waited == lets_go_after) release();
  }
  int waited = 0;
  int lets_go_after = 3;

 private:
  void release() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  Duration passed_;
  int fd_ = -1;
};

// No process has this number.
constexpr const char* kDead = "ada (pid 1073741824) since 2026-03-01T09:30:00Z\n";

class RunLockTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/holdfast-lock-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = join_path(directory_, "lock");
  }
  void TearDown() override { ignore(remove_tree(real_file_system(), directory_), "scratch"); }
  std::string directory_, path_;
};

TEST_F(RunLockTest, WaitsForWhatAKilledDriverLeftBehind) {
  HeldBy clock(path_, kDead);
  const auto lock = RunLock::take(path_, "grace", clock);
  EXPECT_TRUE(lock.ok()) << lock.error().text();
  EXPECT_EQ(clock.waited, 3);
}

TEST_F(RunLockTest, WaitsForTheNameOfOneThatHasJustBegun) {
  HeldBy clock(path_, "");
  const auto lock = RunLock::take(path_, "grace", clock);
  EXPECT_TRUE(lock.ok()) << lock.error().text();
  EXPECT_EQ(clock.waited, 3);
}

TEST_F(RunLockTest, ALongerNameOfBeforeIsNotLeftBehind) {
  ASSERT_TRUE(write_file_durably(real_file_system(), path_, as_bytes(std::string(200, 'x') + kDead)).ok());
  {
    const RunLock lock = RunLock::take(path_, "grace").value();
  }
  const Bytes text = read_file(real_file_system(), path_, 1000).value();
  EXPECT_TRUE(as_text(text).starts_with("grace (pid ")) << as_text(text);
  EXPECT_EQ(as_text(text).find('\n'), text.size() - 1);
}

TEST_F(RunLockTest, DoesNotWaitForEver) {
  HeldBy clock(path_, kDead);
  clock.lets_go_after = 0;
  const auto lock = RunLock::take(path_, "grace", clock);
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().code(), ErrorCode::kLocked);
}

TEST_F(RunLockTest, SaysAtOnceWhoElseDrives) {
  HeldBy clock(path_, fmt::format("ada (pid {}) since now\n", ::getpid()));
  const auto lock = RunLock::take(path_, "grace", clock);
  ASSERT_FALSE(lock.ok());
  EXPECT_NE(lock.error().text().find("driven by ada (pid"), std::string::npos) << lock.error().text();
  EXPECT_EQ(clock.waited, 0);
}

}  // namespace
}  // namespace holdfast::engine
