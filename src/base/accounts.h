#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace holdfast {

// The machine's accounts and groups, by name and by number (passwd(5), group(5), and what else
// nsswitch.conf(5) names: a lookup may go over the network). Thread-safe. A lookup that fails
// knows of none.

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;  // of its first group
};

std::optional<Account> find_account(const std::string& name);
std::optional<gid_t> find_group(const std::string& name);
// "" when there is none of that number.
std::string account_name(uid_t uid);
std::string group_name(gid_t gid);
// For people: its number when it has no name.
std::string account_label(uid_t uid);

}  // namespace holdfast
