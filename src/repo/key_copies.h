#pragma once

#include "repo/access.h"

namespace holdfast::repo {

// Makes the second object of config, key slots and epochs where a command came to make, or a
// store came to keep, only one of the two. Only what is proven good is copied, and what is
// there is left as it is. The caller holds a collector's lease: the removal of a key takes
// its objects one after another.
Result<void> complete_key_objects(RepositoryAccess& repository);

}  // namespace holdfast::repo
