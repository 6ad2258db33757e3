#pragma once

#include <string>
#include <string_view>

#include "base/filesystem.h"

namespace holdfast {

// Absolute, with the symbolic links resolved of what exists of it. Never fails.
std::string resolved_path(std::string_view path);
// The nearest part of a path, the path itself or a directory above it, that exists and may be looked at.
std::string existing_part(FileSystem& fs, std::string path);
// Whether `path`, which need not exist, is `directory` or inside it, whatever symbolic
// links lead there, or mounts of the directory itself elsewhere.
bool lies_in(FileSystem& fs, std::string_view path, std::string_view directory);
// Something is mounted here, be it of the same file system: a bind mount has the
// device number of what lies around it. Of a symbolic link it is the link itself.
bool is_mount_point(const std::string& path);
// Opens what a path names (O_PATH), a symbolic link at its end as well, if no link in the
// middle of the path leads there; -1 with errno otherwise. Kernels before 5.6 can't be
// asked for that, and follow those.
int open_without_links(const std::string& path);
// Whether /proc/self/fd leads to what descriptors hold: not where /proc is not mounted.
bool descriptors_have_paths();

}  // namespace holdfast
