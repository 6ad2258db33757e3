#include "base/name_lock.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace holdfast {
namespace {

struct Address {
  explicit Address(const std::string& name) {
    address.sun_family = AF_UNIX;
    const size_t size = std::min(name.size(), sizeof address.sun_path - 1);
    std::copy_n(name.begin(), size, address.sun_path + 1);  // a zero byte before it makes it abstract
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
  }
  const struct sockaddr* get() const { return reinterpret_cast<const struct sockaddr*>(&address); }
  struct sockaddr_un address{};
  socklen_t length = 0;
};

int new_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// Whoever likes may take any name: that must not keep root from restoring.
bool is_held_by_a_stranger(const Address& address) {
  const int asking = new_socket();
  struct ucred holder{};
  socklen_t size = sizeof holder;
  const bool known = asking >= 0 && ::connect(asking, address.get(), address.length) == 0 &&
                     ::getsockopt(asking, SOL_SOCKET, SO_PEERCRED, &holder, &size) == 0;
  if (asking >= 0) ::close(asking);
  return known && holder.uid != 0 && holder.uid != ::geteuid();
}

}  // namespace

std::optional<NameLock> NameLock::take(const std::string& name) {
  const Address address(name);
  const int socket = new_socket();
  if (socket < 0) return NameLock(-1);
  if (::bind(socket, address.get(), address.length) == 0 && ::listen(socket, 8) == 0) return NameLock(socket);
  const bool is_taken = errno == EADDRINUSE;
  ::close(socket);
  if (is_taken && !is_held_by_a_stranger(address)) return std::nullopt;
  return NameLock(-1);
}

NameLock::~NameLock() {
  if (socket_ >= 0) ::close(socket_);
}

}  // namespace holdfast
