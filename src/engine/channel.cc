#include "engine/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace holdfast::engine {
namespace {
constexpr uint32_t kMaxMessage_bytes = 64u << 20;
}  // namespace

Channel& Channel::operator=(Channel&& other) noexcept {
  close();
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

Result<std::pair<Channel, Channel>> Channel::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error::from_errno(errno, "can't create a socket");
  }
  return std::pair<Channel, Channel>(Channel(ends[0]), Channel(ends[1]));
}

void Channel::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Channel::hang_up(Duration at_most) {
  ::shutdown(fd_, SHUT_WR);
  ignore(receive(at_most), "it only closes, and where it does not, nothing more can be done");
  close();
}

Result<void> Channel::send(std::string_view message) {
  CHECK(message.size() <= kMaxMessage_bytes);
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed(sizeof size, '\0');
  std::memcpy(framed.data(), &size, sizeof size);
  framed += message;
  for (size_t sent = 0; sent < framed.size();) {
    const ssize_t put = ::send(fd_, framed.data() + sent, framed.size() - sent, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno(errno, "can't send to the other process").with_code(ErrorCode::kUnavailable);
    sent += static_cast<size_t>(put);
  }
  return {};
}

Result<void> Channel::read_all(char* out, size_t size, Duration until) {
  for (size_t got = 0; got < size;) {
    const Duration left = until - system_clock().monotonic();
    pollfd watched{fd_, POLLIN, 0};
    const int ready =
        ::poll(&watched, 1, static_cast<int>(std::clamp<int64_t>(left.in_milliseconds() + 1, 0, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return make_error(ErrorCode::kTimeout, "the other process does not answer");
    const ssize_t count = ::read(fd_, out + got, size - got);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return make_error(ErrorCode::kUnavailable, "the other process has gone");
    got += static_cast<size_t>(count);
  }
  return {};
}

Result<std::string> Channel::receive(Duration wait) {
  const Duration until = system_clock().monotonic() + wait;
  uint32_t size = 0;
  TRY(read_all(reinterpret_cast<char*>(&size), sizeof size, until));
  if (size > kMaxMessage_bytes) return make_error(ErrorCode::kInvalidData, "a message of {} bytes", size);
  std::string message(size, '\0');
  TRY(read_all(message.data(), size, until));
  return message;
}

}  // namespace holdfast::engine
