#include "base/places.h"

#include <cstdlib>

namespace holdfast {

std::string resolved_path(std::string_view path) {
  std::string there(path), missing;
  while (true) {
    if (char* real = ::realpath(there.empty() ? "." : there.c_str(), nullptr)) {
      const std::string resolved = missing.empty() ? std::string(real) : join_path(real, missing);
      std::free(real);
      return absolute_path(resolved);
    }
    const std::string parent = parent_path(there);
    if (parent == there || base_name(there).empty()) return absolute_path(path);
    missing = missing.empty() ? base_name(there) : join_path(base_name(there), missing);
    there = parent;
  }
}

bool lies_in(FileSystem& fs, std::string_view path, std::string_view directory) {
  const std::string place = resolved_path(directory);
  std::string at = resolved_path(path);
  const auto wanted = fs.stat(place);
  while (at != place) {
    const auto status = wanted.ok() ? fs.stat(at) : Result<struct stat>(wanted.error().clone());
    if (status.ok() && status->st_dev == wanted->st_dev && status->st_ino == wanted->st_ino) return true;
    if (at == "/") return false;
    at = parent_path(at);
  }
  return true;
}

}  // namespace holdfast
