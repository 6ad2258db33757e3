#include "source/redis/scratch_folder.h"

#include <cerrno>
#include <cstdlib>

#include "base/log.h"

namespace holdfast::redis {

Result<ScratchFolder> ScratchFolder::make(FileSystem& fs, const std::string& below) {
  TRY(make_directories(fs, below, 0755));
  std::string pattern = join_path(below, "holdfast-redis-XXXXXX");
  if (!::mkdtemp(pattern.data())) return Error::from_errno(errno, "making a directory below " + below);
  return ScratchFolder(fs, pattern);
}

ScratchFolder::~ScratchFolder() {
  if (path_.empty()) return;
  const auto removed = remove_tree(fs_, path_);
  if (!removed.ok()) log_warn("redis.scratch.not_removed", {{"path", path_}, {"error", removed.error().text()}});
}

}  // namespace holdfast::redis
