#include "base/name_lock.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/random.h"

// Whoever holds a name has a socket of his own, of the name and a number that nobody can
// guess: so nobody can take it before him.

namespace holdfast {
namespace {

constexpr uint32_t kNoUid = UINT32_MAX;

struct Named {
  std::string name;  // less the zero byte that makes it abstract
  uint32_t uid = kNoUid;
};

bool bind_abstract(int socket, const std::string& name) {
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t size = std::min(name.size(), sizeof address.sun_path - 1);
  std::copy_n(name.begin(), size, address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
  return ::bind(socket, reinterpret_cast<const struct sockaddr*>(&address), length) == 0;
}

bool ask_for_sockets(int netlink) {
  struct {
    struct nlmsghdr header;
    struct unix_diag_req request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = AF_UNIX;
  message.request.udiag_states = UINT32_MAX;
  message.request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID;
  return ::send(netlink, &message, sizeof message, 0) == static_cast<ssize_t>(sizeof message);
}

Named named_in(const struct nlmsghdr* header) {
  Named named;
  const auto* attribute = reinterpret_cast<const struct rtattr*>(static_cast<const char*>(NLMSG_DATA(header)) +
                                                                 NLMSG_ALIGN(sizeof(struct unix_diag_msg)));
  auto left = static_cast<int>(NLMSG_PAYLOAD(header, sizeof(struct unix_diag_msg)));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    const auto* const data = static_cast<const char*>(RTA_DATA(attribute));
    const auto size = static_cast<size_t>(RTA_PAYLOAD(attribute));
    if (attribute->rta_type == UNIX_DIAG_NAME && size > 1 && data[0] == 0) named.name.assign(data + 1, size - 1);
    if (attribute->rta_type == UNIX_DIAG_UID && size == sizeof named.uid) std::memcpy(&named.uid, data, size);
  }
  return named;
}

// The sockets with abstract names that there are; fewer where the system does not tell.
std::vector<Named> named_sockets() {
  std::vector<Named> all;
  const int netlink = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (netlink < 0) return all;
  alignas(struct nlmsghdr) char buffer[32768];
  bool more = ask_for_sockets(netlink);
  while (more) {
    const ssize_t got = ::recv(netlink, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    auto left = static_cast<unsigned>(got);
    for (const auto* header = reinterpret_cast<const struct nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      more = header->nlmsg_type == SOCK_DIAG_BY_FAMILY;
      if (!more) break;
      if (Named named = named_in(header); !named.name.empty()) all.push_back(std::move(named));
    }
  }
  ::close(netlink);
  return all;
}

}  // namespace

std::optional<NameLock> NameLock::take(const std::string& name) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return NameLock(-1);
  NameLock lock(socket);
  const std::string prefix = name + "/";
  const std::string own = fmt::format("{}{:016x}", prefix, system_random().u64());
  if (!bind_abstract(socket, own)) return lock;
  for (const Named& other : named_sockets()) {
    const bool counts = other.uid == 0 || other.uid == ::geteuid();
    if (counts && other.name != own && other.name.starts_with(prefix)) return std::nullopt;
  }
  return lock;
}

NameLock::~NameLock() {
  if (socket_ >= 0) ::close(socket_);
}

}  // namespace holdfast
