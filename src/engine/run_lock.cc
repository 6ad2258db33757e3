#include "engine/run_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace holdfast::engine {

namespace {

// A driver that was killed while it started a supervisor leaves a child that holds its
// descriptors until it becomes the supervisor. Who has just got the lock has not yet
// written its name.
constexpr Duration kMostWait = Duration::seconds(5), kPause = Duration::milliseconds(5);

std::string holder_of(int fd) {
  std::array<char, 512> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  const std::string holder(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
  return holder.substr(0, holder.find('\n'));
}

// Whether the lock's text names nobody, or a process that is no more.
bool names_nobody(const std::string& holder) {
  if (holder.empty()) return true;
  constexpr std::string_view kBefore = "(pid ";
  const size_t at = holder.find(kBefore);
  if (at == std::string::npos) return false;
  pid_t pid = 0;
  const char* first = holder.data() + at + kBefore.size();
  const auto parsed = std::from_chars(first, holder.data() + holder.size(), pid);
  return parsed.ec == std::errc{} && pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH;
}

// 0 or an errno; EWOULDBLOCK when somebody who lives has it.
int lock_exclusively(int fd, Clock& clock) {
  const Duration until = clock.monotonic() + kMostWait;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    if (why == EINTR) continue;
    if (why != EWOULDBLOCK || clock.monotonic() > until || !names_nobody(holder_of(fd))) return why;
    clock.sleep(kPause);
  }
  return 0;
}

}  // namespace

Result<RunLock> RunLock::take(const std::string& path, const std::string& who, Clock& clock) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error::from_errno(errno, path);
  RunLock lock(fd);
  if (const int why = lock_exclusively(fd, clock); why != 0) {
    if (why != EWOULDBLOCK) return Error::from_errno(why, path);
    const std::string holder = holder_of(fd);
    return make_error(ErrorCode::kLocked, "the run is driven by {}", holder.empty() ? "another process" : holder)
        .with_hint("watch it with 'holdfast runbook report'; a driver that is gone holds nothing");
  }
  // Only a message: nothing depends on it being whole. Whoever looks meanwhile finds the
  // line of before, of who is gone, or ours: never none, once there was one.
  const std::string text = fmt::format("{} (pid {}) since {}\n", who, ::getpid(), format_rfc3339(clock.now()));
  if (::pwrite(fd, text.data(), text.size(), 0) < 0 || ::ftruncate(fd, static_cast<off_t>(text.size())) != 0) {
    const int why = errno;
    if (why != ENOSPC && why != EDQUOT) return Error::from_errno(why, path);
  }
  return lock;
}

RunLock::RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace holdfast::engine
