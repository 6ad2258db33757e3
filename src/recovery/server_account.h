#pragma once

#include "recovery/restore.h"

namespace holdfast::recovery {

// Whether the account of a restored server can do what the server will do first: run
// restore_command, and so read the configuration, the passphrase and the repository.
// Tried for real, with the first segment that recovery will want, in a directory that
// is removed again. kPermission says what that account met.
Result<void> check_server_account(FileSystem& fs, const ComponentPlan& plan, uint32_t uid, uint32_t gid);

}  // namespace holdfast::recovery
