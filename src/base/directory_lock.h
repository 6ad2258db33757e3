#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/name_lock.h"

namespace holdfast {

// A directory that one process can hold at a time (flock), also from another machine where its
// file system passes locks on. Whoever may read it may lock it: what an account of this machine
// other than ours and root holds does not count, beside that our own keep each other out.
class DirectoryLock {
 public:
  // None when another holds it, or it is not known who does. Where the system has no locks, or
  // the directory can't be opened, it is one that keeps nobody out.
  static std::optional<DirectoryLock> take(const std::string& path);
  DirectoryLock(DirectoryLock&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), among_our_own_(std::move(other.among_our_own_)) {}
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  DirectoryLock(int descriptor, std::optional<NameLock> among_our_own)
      : descriptor_(descriptor), among_our_own_(std::move(among_our_own)) {}
  int descriptor_;
  std::optional<NameLock> among_our_own_;
};

}  // namespace holdfast
