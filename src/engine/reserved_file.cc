#include "engine/reserved_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/filesystem.h"

namespace holdfast::engine {

Result<ReservedFile> ReservedFile::create(const std::string& path, const std::string& final_path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error::from_errno(errno, path);
  ReservedFile file(fd, path, final_path);
  const int why = ::posix_fallocate(fd, 0, kReserved_bytes);
  // Where a file system can't reserve, it is tried all the same.
  if (why != 0 && why != EOPNOTSUPP && why != EINVAL) return Error::from_errno(why, path);
  return file;
}

ReservedFile::ReservedFile(ReservedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), final_path_(std::move(other.final_path_)) {}

ReservedFile::~ReservedFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(path_.c_str());
}

Result<void> ReservedFile::publish(std::string_view content) {
  content = content.substr(0, kReserved_bytes);
  for (size_t put = 0; put < content.size();) {
    const ssize_t count = ::pwrite(fd_, content.data() + put, content.size() - put, static_cast<off_t>(put));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, path_);
    put += static_cast<size_t>(count);
  }
  if (::ftruncate(fd_, static_cast<off_t>(content.size())) != 0 || ::fsync(fd_) != 0 ||
      ::rename(path_.c_str(), final_path_.c_str()) != 0) {
    return Error::from_errno(errno, path_);
  }
  ::close(std::exchange(fd_, -1));
  return real_file_system().sync_directory(parent_path(final_path_));
}

}  // namespace holdfast::engine
