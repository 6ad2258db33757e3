#pragma once

#include <cstddef>
#include <string>

#include "base/filesystem.h"

namespace holdfast {

// The last `bytes` of a log, for a message; "(no log)" when it can't be read.
std::string tail_of_log(FileSystem& fs, const std::string& path, size_t bytes);

}  // namespace holdfast
