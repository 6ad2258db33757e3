#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::engine {

// Whole messages over a connected stream socket: a 32-bit length, then the bytes.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  ~Channel() { close(); }
  Channel(Channel&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Channel& operator=(Channel&& other) noexcept;
  Channel(const Channel&) = delete;

  // The two ends of a new socket; both are closed on exec.
  static Result<std::pair<Channel, Channel>> pair();

  int descriptor() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close();
  // Lets the other side read the end of the stream, and waits until it has closed its own.
  void hang_up(Duration at_most);

  // Never raises SIGPIPE: kUnavailable when the other side has gone.
  Result<void> send(std::string_view message);
  // kUnavailable at the end of the stream, kTimeout after `wait`, kInvalidData for
  // a message larger than this protocol has.
  Result<std::string> receive(Duration wait);

 private:
  Result<void> read_all(char* out, size_t size, Duration until);

  int fd_ = -1;
};

}  // namespace holdfast::engine
