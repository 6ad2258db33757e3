#pragma once

#include <sys/types.h>

#include <string>

#include "recovery/restore.h"

namespace holdfast::recovery {

// "postgres"; its number when it has no name.
std::string account_name(uid_t uid);

// Whether the account of a restored server gets to its place and can do what the server will do first: run
// restore_command, and so read the configuration, the passphrase and the repository.
// Tried for real, with the first segment that recovery will want, in a directory that
// is removed again, without the variables of secrets that restore_command does not refer to: the
// server will not have them. kPermission says what that account met.
Result<void> check_server_account(FileSystem& fs, const StackConfig& stack, const ComponentPlan& plan, uint32_t uid,
                                  uint32_t gid);

}  // namespace holdfast::recovery
