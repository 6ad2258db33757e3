#pragma once

#include <string>

#include "base/filesystem.h"

namespace holdfast::recovery {

// Refuses (kRefused, naming both) to restore a component to a directory that lies in the
// repository that it is restored from. `whole`: all that is in the directory will be the
// component's, so that the repository must not lie in it either. `repository`: its
// directory; "" when it has none.
Result<void> check_apart(FileSystem& fs, const std::string& directory, bool whole, const std::string& repository);

}  // namespace holdfast::recovery
