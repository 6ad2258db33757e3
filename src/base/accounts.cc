#include "base/accounts.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>

namespace holdfast {
namespace {

constexpr size_t kFirstBytes = 4 << 10;
constexpr size_t kMostBytes = 4 << 20;  // a group may have very many members

// `look(record, buffer, size, found)` as the getpwnam_r family, and what to take of what it finds.
template <typename Record, typename Look, typename Take>
auto look_up(const Look& look, const Take& take) -> std::optional<decltype(take(Record{}))> {
  std::string buffer(kFirstBytes, '\0');
  while (true) {
    Record record{}, *found = nullptr;
    const int error = look(&record, buffer.data(), buffer.size(), &found);
    if (error == 0 && found) return take(*found);
    if (error != ERANGE || buffer.size() >= kMostBytes) return std::nullopt;
    buffer.resize(2 * buffer.size());
  }
}

}  // namespace

std::optional<Account> find_account(const std::string& name) {
  return look_up<passwd>([&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); },
                         [](const passwd& entry) { return Account{entry.pw_uid, entry.pw_gid}; });
}

std::optional<gid_t> find_group(const std::string& name) {
  return look_up<group>([&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); },
                        [](const group& entry) { return entry.gr_gid; });
}

std::string account_name(uid_t uid) {
  return look_up<passwd>([&](auto... rest) { return ::getpwuid_r(uid, rest...); },
                         [](const passwd& entry) { return std::string(entry.pw_name); })
      .value_or("");
}

std::string group_name(gid_t gid) {
  return look_up<group>([&](auto... rest) { return ::getgrgid_r(gid, rest...); },
                        [](const group& entry) { return std::string(entry.gr_name); })
      .value_or("");
}

std::string account_label(uid_t uid) {
  std::string name = account_name(uid);
  return name.empty() ? std::to_string(uid) : name;
}

}  // namespace holdfast
