#pragma once

#include <string>

#include "base/result.h"
#include "source/files/target.h"

namespace holdfast::files {

// Where a hard link can't be made, as the two names lie on different file systems or
// theirs knows no links: makes a file of its own at `tree_path`, equal to the one that
// was restored as `first`, ready for Target::publish().
Result<void> copy_for_link(Target& target, const std::string& first, const std::string& tree_path, OwnerNames& names,
                           Faults& faults);

}  // namespace holdfast::files
