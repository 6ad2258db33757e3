#include "faults/volatile_disk.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>

namespace holdfast::faults {

namespace {

constexpr size_t kPageBytes = 4096;

Error failed(const std::string& what) {
  const int errno_value = errno;
  return Error::from_errno(errno_value, "fault model: can't " + what);
}

Result<Bytes> content_of(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return failed("look at a file");
  Bytes content(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::pread(fd, content.data() + done, content.size() - done, static_cast<off_t>(done));
    if (got <= 0) return failed("read a file");
    done += static_cast<size_t>(got);
  }
  return content;
}

Result<void> set_content(int fd, ByteView content) {
  for (size_t done = 0; done < content.size();) {
    const ssize_t put = ::pwrite(fd, content.data() + done, content.size() - done, static_cast<off_t>(done));
    if (put <= 0) return failed("write a file");
    done += static_cast<size_t>(put);
  }
  if (::ftruncate(fd, static_cast<off_t>(content.size())) < 0) return failed("set the size of a file");
  return {};
}

// The pages of a file after a crash: each as it was written, or as it was before
// (zero where there was nothing), or, in a new file, whatever the disk held.
Bytes mixture(ByteView before, ByteView after, bool garbage, Random& random) {
  Bytes mixed = Bytes::copy_of(after);
  for (size_t at = 0; at < mixed.size(); at += kPageBytes) {
    const MutableByteView page = mixed.mutable_view().subspan(at, std::min(kPageBytes, mixed.size() - at));
    const uint64_t choice = random.below(garbage ? 3 : 2);
    if (choice == 0) continue;
    std::fill(page.begin(), page.end(), uint8_t{0});
    if (choice == 2) random.fill(page);
    if (choice == 1 && at < before.size()) {
      const ByteView old = before.subspan(at, std::min(page.size(), before.size() - at));
      std::copy(old.begin(), old.end(), page.begin());
    }
  }
  return mixed;
}

// Every changed file and every changed directory is held open.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct VolatileDisk::Directory {
  int fd = -1;
  ~Directory() { ::close(fd); }
};

Result<std::unique_ptr<VolatileDisk>> VolatileDisk::create(const std::string& attic) {
  raise_descriptor_limit();
  TRY(real_file_system().make_directory(attic, 0700));
  return std::unique_ptr<VolatileDisk>(new VolatileDisk(attic));
}

VolatileDisk::~VolatileDisk() {
  for (const auto& [inode, file] : dirty_) ::close(file.fd);
  ignore(remove_tree(real_file_system(), attic_), "a destructor has nobody to tell");
}

Result<VolatileDisk::Place> VolatileDisk::place_of(const std::string& path) {
  const std::string parent = parent_path(path);
  const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "can't open the directory " + parent);
  auto directory = std::make_shared<Directory>();
  directory->fd = fd;
  struct stat status{};
  if (::fstat(fd, &status) < 0) return failed("look at " + parent);
  auto& known = directories_[{status.st_dev, status.st_ino}];
  if (auto same = known.lock()) return Place{same, base_name(path)};
  known = directory;
  return Place{directory, base_name(path)};
}

std::string VolatileDisk::attic_name() { return join_path(attic_, std::to_string(buried_++)); }

void VolatileDisk::record(std::vector<DirectoryRef> directories, std::function<Result<void>()> undo,
                          std::string in_attic) {
  pending_.push_back({std::move(directories), std::move(undo), std::move(in_attic)});
}

void VolatileDisk::clean(const Inode& inode) {
  const auto found = dirty_.find(inode);
  if (found == dirty_.end()) return;
  ::close(found->second.fd);
  dirty_.erase(found);
}

Result<void> VolatileDisk::created(const std::string& path, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return failed("look at " + path);
  const Inode inode{status.st_dev, status.st_ino};
  clean(inode);  // an earlier file of that number is gone for good
  Dirty& file = dirty_[inode];
  file.fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  file.is_new = true;
  if (file.fd < 0) return failed("hold " + path);
  const Place place = TRY(place_of(path));
  record({place.directory}, [place]() -> Result<void> {
    if (::unlinkat(place.directory->fd, place.name.c_str(), 0) < 0) return failed("undo the creation of " + place.name);
    return {};
  });
  return {};
}

Result<void> VolatileDisk::will_change(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return failed("look at a file");
  const Inode inode{status.st_dev, status.st_ino};
  if (dirty_.contains(inode)) return {};
  Dirty file;
  file.durable = TRY(content_of(fd));
  file.fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (file.fd < 0) return failed("hold a file");
  dirty_.emplace(inode, std::move(file));
  return {};
}

void VolatileDisk::file_synced(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) == 0) clean({status.st_dev, status.st_ino});
}

Result<void> VolatileDisk::directory_synced(const std::string& path) {
  const Place place = TRY(place_of(join_path(path, ".")));
  // What a durable operation follows in one of its directories is durable with it.
  std::set<DirectoryRef> settled;
  for (auto operation = pending_.end(); operation != pending_.begin();) {
    --operation;
    const auto& touched = operation->directories;
    const bool durable =
        touched.front() == place.directory ||
        std::any_of(touched.begin(), touched.end(), [&](const auto& d) { return settled.contains(d); });
    if (!durable) continue;
    settled.insert(touched.begin(), touched.end());
    if (!operation->in_attic.empty())
      ignore(remove_tree(real_file_system(), operation->in_attic), "it is only clutter");
    operation = pending_.erase(operation);
  }
  return {};
}

void VolatileDisk::everything_synced() {
  for (const auto& [inode, file] : dirty_) ::close(file.fd);
  dirty_.clear();
  for (const auto& operation : pending_) {
    if (!operation.in_attic.empty()) ignore(remove_tree(real_file_system(), operation.in_attic), "it is only clutter");
  }
  pending_.clear();
}

Result<void> VolatileDisk::make_directory(const std::string& path, mode_t mode) {
  TRY(real_file_system().make_directory(path, mode));
  const Place place = TRY(place_of(path));
  record({place.directory}, [this, place]() -> Result<void> {
    if (::renameat(place.directory->fd, place.name.c_str(), AT_FDCWD, attic_name().c_str()) < 0) {
      return failed("undo the directory " + place.name);
    }
    return {};
  });
  return {};
}

Result<std::string> VolatileDisk::bury(const std::string& path, bool directory) {
  const std::string grave = attic_name();
  if (directory) {
    TRY(real_file_system().rename(path, grave));
  } else {
    TRY(real_file_system().hard_link(path, grave));
  }
  return grave;
}

Result<void> VolatileDisk::rename(const std::string& from, const std::string& to, bool exclusive) {
  FileSystem& real = real_file_system();
  const Place source = TRY(place_of(from)), target = TRY(place_of(to));
  const auto moved = real.stat(from), replaced = real.stat(to);
  const bool replaces = moved.ok() && replaced.ok() && !exclusive;
  if (replaces && moved->st_dev == replaced->st_dev && moved->st_ino == replaced->st_ino) return real.rename(from, to);
  std::string grave;
  // Burying a directory takes it away, so only one that could be replaced is.
  const bool directories = replaces && S_ISDIR(moved->st_mode) && S_ISDIR(replaced->st_mode);
  const bool plain = replaces && !S_ISDIR(moved->st_mode) && !S_ISDIR(replaced->st_mode);
  if (plain || (directories && TRY(is_empty_directory(real, to)))) grave = TRY(bury(to, directories));
  TRY(exclusive ? real.rename_exclusive(from, to) : real.rename(from, to));
  record(
      {target.directory, source.directory},
      [source, target, grave, directories]() -> Result<void> {
        if (::renameat(target.directory->fd, target.name.c_str(), source.directory->fd, source.name.c_str()) < 0) {
          return failed("undo the renaming of " + source.name + " to " + target.name);
        }
        if (grave.empty()) return {};
        const int back = directories ? ::renameat(AT_FDCWD, grave.c_str(), target.directory->fd, target.name.c_str())
                                     : ::linkat(AT_FDCWD, grave.c_str(), target.directory->fd, target.name.c_str(), 0);
        if (back < 0) return failed("bring back the replaced " + target.name);
        return {};
      },
      grave);
  return {};
}

Result<void> VolatileDisk::hard_link(const std::string& from, const std::string& to) {
  TRY(real_file_system().hard_link(from, to));
  const Place place = TRY(place_of(to));
  record({place.directory}, [place]() -> Result<void> {
    if (::unlinkat(place.directory->fd, place.name.c_str(), 0) < 0) return failed("undo the link " + place.name);
    return {};
  });
  return {};
}

Result<void> VolatileDisk::symlink(const std::string& target, const std::string& path) {
  TRY(real_file_system().symlink(target, path));
  const Place place = TRY(place_of(path));
  record({place.directory}, [place]() -> Result<void> {
    if (::unlinkat(place.directory->fd, place.name.c_str(), 0) < 0) return failed("undo the link " + place.name);
    return {};
  });
  return {};
}

Result<void> VolatileDisk::remove_file(const std::string& path) {
  const auto status = TRY(real_file_system().stat(path));
  const Place place = TRY(place_of(path));
  if (S_ISDIR(status.st_mode)) return real_file_system().remove_file(path);  // the kernel's own refusal
  const std::string grave = TRY(bury(path, false));
  TRY(real_file_system().remove_file(path));
  record(
      {place.directory},
      [place, grave]() -> Result<void> {
        if (::linkat(AT_FDCWD, grave.c_str(), place.directory->fd, place.name.c_str(), 0) < 0) {
          return failed("undo the removal of " + place.name);
        }
        return {};
      },
      grave);
  return {};
}

Result<void> VolatileDisk::remove_directory(const std::string& path) {
  const auto status = TRY(real_file_system().stat(path));
  const Place place = TRY(place_of(path));
  if (!S_ISDIR(status.st_mode) || !TRY(is_empty_directory(real_file_system(), path))) {
    return real_file_system().remove_directory(path);  // the kernel's own refusal
  }
  // Moved rather than removed: what was removed in it before may come back too.
  const std::string grave = TRY(bury(path, true));
  record({place.directory}, [place, grave]() -> Result<void> {
    if (::renameat(AT_FDCWD, grave.c_str(), place.directory->fd, place.name.c_str()) < 0) {
      return failed("undo the removal of " + place.name);
    }
    return {};
  });
  return {};
}

Result<void> VolatileDisk::undo_names(Random& random) {
  // A third of the seeds keeps no name, a third keeps all, a third some.
  const uint64_t mood = random.below(3);
  std::set<DirectoryRef> cut;
  std::vector<const Operation*> undone;
  for (const auto& operation : pending_) {
    const bool follows = std::any_of(operation.directories.begin(), operation.directories.end(),
                                     [&](const auto& directory) { return cut.contains(directory); });
    const bool kept = !follows && (mood == 0 ? false : mood == 1 ? true : random.below(4) > 0);
    if (kept) continue;
    cut.insert(operation.directories.begin(), operation.directories.end());
    undone.push_back(&operation);
  }
  for (auto operation = undone.rbegin(); operation != undone.rend(); ++operation) TRY((*operation)->undo());
  pending_.clear();
  return {};
}

Result<void> VolatileDisk::roll_back(const Dirty& file, Random& random) {
  const Bytes now = TRY(content_of(file.fd));
  const uint64_t choice = random.below(4);
  if (choice == 0) return {};  // it had been written in time after all
  if (choice == 1) return set_content(file.fd, mixture(file.durable, now, file.is_new, random));
  return set_content(file.fd, file.durable);
}

Result<void> VolatileDisk::lose_power(uint64_t seed) {
  const auto random = seeded_random(seed);
  TRY(undo_names(*random));
  for (const auto& [inode, file] : dirty_) TRY(roll_back(file, *random));
  everything_synced();
  return {};
}

}  // namespace holdfast::faults
