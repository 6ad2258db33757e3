#pragma once

#include <string>

namespace holdfast {

// Whether the file system that holds `path`, or would, takes no further file though it has room
// for bytes: then ENOSPC means its inodes.
bool is_out_of_inodes(const std::string& path);
// What a person can do about it.
std::string hint_of_inodes(const std::string& path);

}  // namespace holdfast
