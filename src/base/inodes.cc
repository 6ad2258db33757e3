#include "base/inodes.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include "base/places.h"

namespace holdfast {

bool is_out_of_inodes(const std::string& path) {
  const std::string place = existing_part(real_file_system(), absolute_path(path));
  struct statvfs figures;
  if (::statvfs(place.c_str(), &figures) != 0) return false;
  // A file system that makes inodes as it needs them tells of none at all.
  return figures.f_files > 0 && figures.f_favail == 0 && figures.f_bavail > 0;
}

std::string hint_of_inodes(const std::string& path) {
  return fmt::format(
      "there is room for bytes, but the file system of '{}' takes no more files: its inodes are used up (df -i). "
      "Remove "
      "files there, or use another file system",
      path);
}

}  // namespace holdfast
