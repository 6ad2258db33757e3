#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "recovery/restore.h"

namespace holdfast::recovery {

// Whether the account of a restored server gets to its places (the data directory, tablespaces) and can do what the
// server will do first: run restore_command, and so read the configuration, the passphrase and the repository. Tried
// for real, with the first segment that recovery will want, in a directory that is removed again. Another account than
// ours, without the variables of secrets that restore_command does not refer to: its server will not have them.
// kPermission says what that account met. No account: ours. root's is not tried, as no server will run under it. Of our
// own account a failure is no error, but what is returned to be said: nothing is in the way of a restore then that
// could not be set right afterwards. "": nothing speaks against it.
Result<std::string> check_server_account(FileSystem& fs, const StackConfig& stack, const ComponentPlan& plan,
                                         const std::vector<std::string>& places, std::optional<uint32_t> uid,
                                         std::optional<uint32_t> gid);

}  // namespace holdfast::recovery
