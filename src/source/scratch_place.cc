#include "source/scratch_place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "base/workers.h"

namespace holdfast::source {
namespace {

constexpr std::string_view kPrefix = "holdfast-aside-";
constexpr const char* kLockName = "lock";
// A directory without a lock file is one that is being made, or was when its maker died.
constexpr Duration kBeingMade = Duration::seconds(600);

// The lock, or -1 when a living process has it or it can't be had.
int try_lock(const std::string& directory, int flags) {
  const int fd = ::open(join_path(directory, kLockName).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

bool is_young(FileSystem& fs, Clock& clock, const std::string& path) {
  const auto status = fs.stat(path);
  return !status.ok() || clock.now() - Time::from_unix_seconds(status.value().st_mtime) < kBeingMade;
}

// The lock goes last: by it the next one knows what was left by a removal that was cut off.
Result<void> remove_place(FileSystem& fs, const std::string& path) {
  for (const DirectoryEntry& entry : TRY(fs.list(path)))
    if (entry.name != kLockName) TRY(remove_tree(fs, join_path(path, entry.name)));
  return remove_tree(fs, path);
}

void remove_left_over(FileSystem& fs, Clock& clock, const std::string& path) {
  const auto status = fs.stat(path);
  if (!status.ok() || !S_ISDIR(status.value().st_mode) || status.value().st_uid != ::geteuid()) return;
  const bool made = exists(fs, join_path(path, kLockName)).ok() && exists(fs, join_path(path, kLockName)).value();
  if (!made && is_young(fs, clock, path)) return;
  const int lock = made ? try_lock(path, 0) : -1;
  if (made && lock < 0) return;
  auto removed = end_workers(fs, clock, path);
  if (removed.ok()) removed = remove_place(fs, path);
  if (lock >= 0) ::close(lock);
  if (removed.ok())
    log_info("source.scratch.swept", {{"path", path}});
  else
    log_warn("source.scratch.not_removed", {{"path", path}, {"error", removed.error().text()}});
}

}  // namespace

bool sweep_scratch_places(FileSystem& fs, Clock& clock, const std::string& below) {
  const auto entries = fs.list(below);
  if (!entries.ok()) return entries.error().code() == ErrorCode::kNotFound;
  bool is_clean = true;
  for (const DirectoryEntry& entry : entries.value()) {
    if (!entry.name.starts_with(kPrefix)) continue;
    const std::string path = join_path(below, entry.name);
    remove_left_over(fs, clock, path);
    const auto status = fs.stat(path);
    if (status.ok() || status.error().code() != ErrorCode::kNotFound) is_clean = false;
  }
  return is_clean;
}

std::string scratch_directory(const std::string& directory) {
  if (!directory.empty()) return absolute_path(directory);
  const char* temporary = ::getenv("TMPDIR");
  return temporary != nullptr && *temporary != '\0' ? temporary : "/tmp";
}

Result<ScratchPlace> ScratchPlace::make(FileSystem& fs, Clock& clock, const std::string& directory) {
  const std::string below = scratch_directory(directory);
  TRY(make_directories(fs, below, 0755));
  sweep_scratch_places(fs, clock, below);
  std::string path = join_path(below, std::string(kPrefix) + "XXXXXX");
  if (!::mkdtemp(path.data())) return Error::from_errno(errno, "making a directory below " + below);
  ScratchPlace place(fs, path, try_lock(path, O_CREAT));
  if (place.lock_ < 0) return Error::from_errno(errno, join_path(path, kLockName));
  // The account of a server that root starts must get through to its part.
  if (::geteuid() == 0 && ::chmod(path.c_str(), 0711) != 0) return Error::from_errno(errno, path);
  return place;
}

ScratchPlace::ScratchPlace(ScratchPlace&& other) noexcept
    : fs_(other.fs_), path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}

ScratchPlace::~ScratchPlace() {
  if (!path_.empty()) {
    const auto removed = remove_place(*fs_, path_);
    if (!removed.ok()) log_warn("source.scratch.not_removed", {{"path", path_}, {"error", removed.error().text()}});
  }
  if (lock_ >= 0) ::close(lock_);
}

Result<std::string> ScratchPlace::folder(const std::string& name) const {
  const std::string path = join_path(path_, name);
  TRY(fs_->make_directory(path, 0700));
  return path;
}

}  // namespace holdfast::source
