#include "engine/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/time.h"

namespace holdfast::engine {

Result<RunLock> RunLock::take(const std::string& path, const std::string& who) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error::from_errno(errno, path);
  RunLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    if (why != EWOULDBLOCK) return Error::from_errno(why, path);
    std::array<char, 512> text{};
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    const std::string holder = got > 0 ? std::string(text.data(), static_cast<size_t>(got)) : "another process";
    return make_error(ErrorCode::kLocked, "the run is driven by {}", holder.substr(0, holder.find('\n')))
        .with_hint("watch it with 'holdfast runbook report'; a driver that is gone holds nothing");
  }
  // Only a message: nothing depends on it being whole.
  const std::string text = fmt::format("{} (pid {}) since {}\n", who, ::getpid(), format_rfc3339(system_clock().now()));
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) < 0) {
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
