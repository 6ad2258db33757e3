#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/direct_file.h"
#include "base/result.h"

namespace holdfast {

// An open file. Closed by the destructor; close errors on written files are
// seen by whoever calls close(). Not thread-safe, but read_at may be called
// from several threads at once.
class File {
 public:
  virtual ~File() = default;

  // Reads up to out.size() bytes at `offset`; fewer only at the end of the file.
  virtual Result<size_t> read_at(uint64_t offset, MutableByteView out) = 0;
  // Writes all of `data` at `offset`.
  virtual Result<void> write_at(uint64_t offset, ByteView data) = 0;
  virtual Result<void> truncate(uint64_t size_bytes) = 0;
  // Durable content and size when it returns (fdatasync).
  virtual Result<void> sync() = 0;
  virtual Result<struct stat> stat() = 0;
  // Closes; later calls fail. Without a call the destructor closes and the
  // error, if any, is lost: call it wherever the content matters.
  virtual Result<void> close() = 0;
  // The descriptor, for calls that this interface does not have (-1 if none).
  virtual int descriptor() const = 0;
  // The file once more, for writes past the page cache; null where there can be none. A
  // file that changes, or watches, what is written to another hands on that one's.
  virtual std::unique_ptr<DirectFile> open_direct();
};

struct OpenOptions {
  bool write = false;
  bool create = false;     // create when absent
  bool exclusive = false;  // with create: fail with kAlreadyExists when present
  bool truncate = false;
  bool no_follow = false;  // refuse a symbolic link at the end of the path
  bool no_atime = false;   // try O_NOATIME (source files are not disturbed)
  bool no_wait = false;    // do not wait for the writer of a FIFO (O_NONBLOCK)
  mode_t mode = 0600;
};

struct DirectoryEntry {
  std::string name;  // bytes as the kernel gives them; not "." nor ".."
  uint8_t type;      // DT_*; DT_UNKNOWN when the file system does not say
};

// The file system, behind an interface that a fault model can replace. Repositories,
// sources and what is restored are read and written through it
// (docs/decisions/001-what-is-injected.md names what is not). Paths are bytes.
// Errors name the path. Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) = 0;
  // lstat. kNotFound when there is nothing.
  virtual Result<struct stat> stat(const std::string& path) = 0;
  // Unsorted; whole directory in memory.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  virtual Result<void> make_directory(const std::string& path, mode_t mode) = 0;
  // Replaces the target atomically.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  // Like rename but fails with kAlreadyExists when `to` exists (RENAME_NOREPLACE,
  // or link + unlink where the file system lacks it).
  virtual Result<void> rename_exclusive(const std::string& from, const std::string& to) = 0;
  virtual Result<void> hard_link(const std::string& from, const std::string& to) = 0;
  virtual Result<void> symlink(const std::string& target, const std::string& path) = 0;
  virtual Result<std::string> read_link(const std::string& path) = 0;
  virtual Result<void> remove_file(const std::string& path) = 0;
  virtual Result<void> remove_directory(const std::string& path) = 0;
  // Durable names: what was created, renamed or removed in `path` before stays so.
  virtual Result<void> sync_directory(const std::string& path) = 0;
  // Durable content and names of everything on the file system that holds `path` (syncfs).
  virtual Result<void> sync_all(const std::string& path) = 0;
  // Bytes that an unprivileged writer can still use.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
};

// The machine's file system. Lives for ever.
FileSystem& real_file_system();

// Whole content; fails with kInvalidData when larger than `limit_bytes`.
Result<Bytes> read_file(FileSystem& fs, const std::string& path, uint64_t limit_bytes = 64 << 20);

// Durable and all-or-nothing: temporary beside it, fsync, rename, fsync of the
// directory. An existing file is replaced.
Result<void> write_file_durably(FileSystem& fs, const std::string& path, ByteView content, mode_t mode = 0600);
// The same, but kAlreadyExists when the path exists; nothing is overwritten.
Result<void> create_file_durably(FileSystem& fs, const std::string& path, ByteView content, mode_t mode = 0600);

// mkdir -p; existing directories are left as they are. Each created name is durable.
Result<void> make_directories(FileSystem& fs, const std::string& path, mode_t mode = 0700);
// rm -r without following symbolic links; absent is not an error.
Result<void> remove_tree(FileSystem& fs, const std::string& path);
Result<bool> exists(FileSystem& fs, const std::string& path);
Result<bool> is_empty_directory(FileSystem& fs, const std::string& path);

std::string join_path(std::string_view directory, std::string_view name);
std::string parent_path(std::string_view path);  // "." when there is no '/'
std::string base_name(std::string_view path);
// Absolute and without "." and ".."; symbolic links stay. Never fails.
std::string absolute_path(std::string_view path);

}  // namespace holdfast
