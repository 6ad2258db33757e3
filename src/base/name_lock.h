#pragma once

#include <optional>
#include <string>
#include <utility>

namespace holdfast {

// A name that one process of this machine can hold at a time, whatever files there are: an
// abstract unix socket, which ends with its process. Containers with a network of their own
// have names of their own.
class NameLock {
 public:
  // None when another process of this account, or of root, holds it. Where the system has no
  // such names, or a stranger has taken this one, it is one that keeps nobody out.
  static std::optional<NameLock> take(const std::string& name);
  NameLock(NameLock&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  NameLock& operator=(NameLock&&) = delete;
  ~NameLock();

 private:
  explicit NameLock(int socket) : socket_(socket) {}
  int socket_;
};

}  // namespace holdfast
