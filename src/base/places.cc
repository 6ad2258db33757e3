#include "base/places.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
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

std::string existing_part(FileSystem& fs, std::string path) {
  while (path != "/" && path != ".") {
    const auto found = exists(fs, path);
    if (found.ok() && found.value()) break;
    path = parent_path(path);
  }
  return path;
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

bool is_mount_point(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status) != 0) return false;
  return (status.stx_attributes & status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0;
}

int open_without_links(const std::string& path) {
  struct open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const auto fd = static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  return ::openat(AT_FDCWD, path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

bool descriptors_have_paths() {
  static const bool have = ::access("/proc/self/fd", X_OK) == 0;
  return have;
}

}  // namespace holdfast
