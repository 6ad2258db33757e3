#pragma once

#include "base/result.h"

namespace holdfast::files {

// kRefused in place of an error by which the system refuses one entry of the target (for
// its name, its kind, the rights of its directory) while it may take others; else the
// error itself.
Error of_entry(Error error);
Result<void> of_entry(Result<void> outcome);

}  // namespace holdfast::files
