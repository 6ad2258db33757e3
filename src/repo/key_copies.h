#pragma once

#include "repo/access.h"
#include "repo/lease.h"

namespace holdfast::repo {

// Makes the second object of config, key slots and epochs where a command came to make, or a
// store came to keep, only one of the two. Only what is proven good is copied, and what is
// there is left as it is. `lease` is a collector's: the removal of a key takes its objects one
// after another, and a copy made after the lease was lost is removed again.
Result<void> complete_key_objects(RepositoryAccess& repository, Lease& lease);

}  // namespace holdfast::repo
