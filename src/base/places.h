#pragma once

#include <string>
#include <string_view>

#include "base/filesystem.h"

namespace holdfast {

// Absolute, with the symbolic links resolved of what exists of it. Never fails.
std::string resolved_path(std::string_view path);
// Whether `path`, which need not exist, is `directory` or inside it, whatever symbolic
// links lead there, or mounts of the directory itself elsewhere.
bool lies_in(FileSystem& fs, std::string_view path, std::string_view directory);

}  // namespace holdfast
