#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/filesystem.h"
#include "base/volume.h"

namespace holdfast {

namespace {

Error failed(std::string_view what, const std::string& path) {
  const int errno_value = errno;
  return Error::from_errno(errno_value, fmt::format("can't {} {}", what, path));
}

Error failed_between(std::string_view what, const std::string& from, const std::string& to) {
  const int errno_value = errno;
  return Error::from_errno(errno_value, fmt::format("can't {} {} to {}", what, from, to));
}

// Runs a system call again when a signal cut it short.
template <typename Call>
auto retrying(const Call& call) {
  while (true) {
    const auto outcome = call();
    if (outcome >= 0 || errno != EINTR) return outcome;
  }
}

class RealFile final : public File {
 public:
  RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~RealFile() override {
    if (fd_ >= 0) ::close(fd_);
  }
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;

  Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = retrying(
          [&] { return ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
      if (got < 0) return failed("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<void> write_at(uint64_t offset, ByteView data) override {
    while (!data.empty()) {
      const ssize_t put = retrying([&] { return ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset)); });
      if (put < 0) return failed("write", path_);
      offset += static_cast<uint64_t>(put);
      data = data.subspan(static_cast<size_t>(put));
    }
    return {};
  }

  Result<void> truncate(uint64_t size_bytes) override {
    if (retrying([&] { return ::ftruncate(fd_, static_cast<off_t>(size_bytes)); }) < 0)
      return failed("set the size of", path_);
    return {};
  }

  Result<void> sync() override {
    // fdatasync covers the size too: the file can't be read without it.
    if (retrying([&] { return ::fdatasync(fd_); }) < 0) return failed("sync", path_).with_data_loss();
    return {};
  }

  Result<struct stat> stat() override {
    struct stat status{};
    if (::fstat(fd_, &status) < 0) return failed("read the attributes of", path_);
    return status;
  }

  Result<void> close() override {
    if (fd_ < 0) return make_error(ErrorCode::kInternal, "{} is closed already", path_);
    const int fd = std::exchange(fd_, -1);
    // Linux closes the descriptor even when it reports EINTR.
    if (::close(fd) < 0 && errno != EINTR) return failed("close", path_);
    return {};
  }

  int descriptor() const override { return fd_; }

 private:
  int fd_;
  const std::string path_;
};

// Before Linux 5.8 syncfs() told nobody of writes that failed.
bool kernel_tells_errors() {
  struct utsname system{};
  int major = 0, minor = 0;
  if (::uname(&system) < 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 8);
}

class RealVolume final : public Volume {
 public:
  RealVolume(int fd, std::string path) : fd_(fd), path_(std::move(path)) {
    struct statfs status{};
    is_sure_ = kernel_tells_errors() && ::fstatfs(fd_, &status) == 0 && status.f_type != FUSE_SUPER_MAGIC;
  }
  ~RealVolume() override { ::close(fd_); }
  RealVolume(const RealVolume&) = delete;
  RealVolume& operator=(const RealVolume&) = delete;

  Result<void> sync() override {
    if (retrying([&] { return ::syncfs(fd_); }) < 0) return failed("sync the file system of", path_).with_data_loss();
    return {};
  }
  bool is_sure() const override { return is_sure_; }

 private:
  const int fd_;
  const std::string path_;
  bool is_sure_ = false;
};

int open_flags(const OpenOptions& options) {
  int flags = O_CLOEXEC | O_NOCTTY | (options.write ? O_RDWR : O_RDONLY);
  if (options.create) flags |= O_CREAT;
  if (options.create && options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  if (options.no_follow) flags |= O_NOFOLLOW;
  if (options.no_atime) flags |= O_NOATIME;
  if (options.no_wait) flags |= O_NONBLOCK;
  return flags;
}

// A lease that another process holds on a regular file is refused to who does not wait
// (EWOULDBLOCK), and is given up within the system's lease-break-time to who does. It
// can't be a FIFO, for whose writer there would be no end to the waiting.
int open_leased(const std::string& path, int flags) {
  const int place = ::openat(AT_FDCWD, path.c_str(), O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW));
  if (place < 0) return -1;
  struct stat status{};
  int fd = -1;
  errno = EWOULDBLOCK;
  if (::fstat(place, &status) == 0 && S_ISREG(status.st_mode)) {
    const std::string again = fmt::format("/proc/self/fd/{}", place);
    fd = retrying([&] { return ::openat(AT_FDCWD, again.c_str(), flags & ~(O_NONBLOCK | O_NOFOLLOW)); });
  }
  const int error = errno;
  ::close(place);
  errno = error;
  return fd;
}

class RealFileSystem final : public FileSystem, public VolumeOpener {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    int flags = open_flags(options);
    int fd = retrying([&] { return ::openat(AT_FDCWD, path.c_str(), flags, options.mode); });
    if (fd < 0 && errno == EPERM && options.no_atime) {  // allowed to the owner alone
      flags &= ~O_NOATIME;
      fd = retrying([&] { return ::openat(AT_FDCWD, path.c_str(), flags, options.mode); });
    }
    if (fd < 0 && errno == EWOULDBLOCK && options.no_wait && !options.create) fd = open_leased(path, flags);
    if (fd < 0) return failed(options.create ? "create" : "open", path);
    return std::unique_ptr<File>(std::make_unique<RealFile>(fd, path));
  }

  Result<struct stat> stat(const std::string& path) override {
    struct stat status{};
    if (::fstatat(AT_FDCWD, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
      return failed("read the attributes of", path);
    return status;
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    DIR* const directory = ::opendir(path.c_str());
    if (!directory) return failed("list", path);
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(directory, ::closedir);
    std::vector<DirectoryEntry> entries;
    while (true) {
      errno = 0;
      const dirent* const entry = ::readdir(directory);
      if (!entry && errno != 0) return failed("list", path);
      if (!entry) return entries;
      std::string name = entry->d_name;
      if (name != "." && name != "..") entries.push_back({std::move(name), entry->d_type});
    }
  }

  Result<void> make_directory(const std::string& path, mode_t mode) override {
    if (::mkdirat(AT_FDCWD, path.c_str(), mode) < 0) return failed("create the directory", path);
    return {};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::renameat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str()) < 0) return failed_between("rename", from, to);
    return {};
  }

  Result<void> rename_exclusive(const std::string& from, const std::string& to) override {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EINVAL && errno != ENOSYS) return failed_between("rename", from, to);
    // The file system does not know RENAME_NOREPLACE; link() never replaces either.
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) < 0) return failed_between("rename", from, to);
    if (::unlinkat(AT_FDCWD, from.c_str(), 0) < 0) return failed("remove", from);
    return {};
  }

  Result<void> hard_link(const std::string& from, const std::string& to) override {
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) < 0) return failed_between("link", from, to);
    return {};
  }

  Result<void> symlink(const std::string& target, const std::string& path) override {
    if (::symlinkat(target.c_str(), AT_FDCWD, path.c_str()) < 0) return failed("create the symbolic link", path);
    return {};
  }

  Result<std::string> read_link(const std::string& path) override {
    std::string target(256, '\0');
    while (true) {
      const ssize_t got = ::readlinkat(AT_FDCWD, path.c_str(), target.data(), target.size());
      if (got < 0) return failed("read the symbolic link", path);
      if (static_cast<size_t>(got) < target.size()) {
        target.resize(static_cast<size_t>(got));
        return target;
      }
      target.resize(target.size() * 2);  // it may have been cut off
    }
  }

  Result<void> remove_file(const std::string& path) override {
    if (::unlinkat(AT_FDCWD, path.c_str(), 0) < 0) return failed("remove", path);
    return {};
  }

  Result<void> remove_directory(const std::string& path) override {
    if (::unlinkat(AT_FDCWD, path.c_str(), AT_REMOVEDIR) < 0) return failed("remove the directory", path);
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    return with_directory(path, "sync the directory", [](int fd) { return ::fsync(fd); });
  }

  Result<void> sync_all(const std::string& path) override {
    return with_directory(path, "sync the file system of", [](int fd) { return ::syncfs(fd); });
  }

  Result<std::unique_ptr<Volume>> open_volume(const std::string& path) override {
    const int fd = retrying([&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); });
    if (fd < 0) return failed("open", path);
    return std::unique_ptr<Volume>(std::make_unique<RealVolume>(fd, path));
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs status{};
    if (retrying([&] { return ::statvfs(path.c_str(), &status); }) < 0) return failed("read the free space of", path);
    return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  }

 private:
  template <typename Call>
  static Result<void> with_directory(const std::string& path, std::string_view what, const Call& call) {
    const int fd = retrying([&] { return ::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC); });
    if (fd < 0) return failed(what, path);
    const bool done = retrying([&] { return call(fd); }) >= 0;
    Result<void> outcome;
    if (!done) outcome = failed(what, path).with_data_loss();
    ::close(fd);
    return outcome;
  }
};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem* const file_system = new RealFileSystem;
  return *file_system;
}

}  // namespace holdfast
