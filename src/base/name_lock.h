#pragma once

#include <optional>
#include <string>
#include <utility>

namespace holdfast {

// A name that one process of this machine can hold at a time, whatever files there are: an
// abstract unix socket, which ends with its process. Anybody may make one, so the system is
// asked whose those are that stand for the name (sock_diag): a stranger's count for nothing.
// Containers with a network of their own have names of their own.
class NameLock {
 public:
  // None when another process of this account, or of root, holds it; of two that begin at the same
  // instant both may get none. Where the system has no such names, or does not tell whose they
  // are (UDIAG_SHOW_UID, Linux 5.3), it is one that keeps nobody out. `name`: up to 80 bytes.
  static std::optional<NameLock> take(const std::string& name);
  NameLock(NameLock&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  NameLock& operator=(NameLock&&) = delete;
  ~NameLock();

 private:
  explicit NameLock(int socket) : socket_(socket) {}
  int socket_;
};

}  // namespace holdfast
