#pragma once

#include <string>

#include "base/name_lock.h"
#include "base/result.h"

namespace holdfast::source {

// Held by who restores into a place, by its resolved path: a directory, or the one path of a
// file; every source takes the same. kLocked names the place.
Result<NameLock> lock_restore_place(const std::string& place);
// The error of whoever finds it held.
Error restore_place_is_locked(const std::string& place);

}  // namespace holdfast::source
