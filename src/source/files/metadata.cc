#include "source/files/metadata.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/accounts.h"
#include "base/places.h"
#include "repo/point_dates.h"

namespace holdfast::files {
namespace {

// Of statfs(2); the kernel keeps these four to itself.
constexpr uint64_t kCifs = 0xff534d42, kGfs2 = 0x01161970, kLustre = 0x0bd00bd0, kVirtualBox = 0x786f4256;
constexpr uint64_t kOfAnother[] = {
    NFS_SUPER_MAGIC, SMB_SUPER_MAGIC,  SMB2_SUPER_MAGIC,  kCifs, FUSE_SUPER_MAGIC, V9FS_MAGIC, CEPH_SUPER_MAGIC,
    AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, OCFS2_SUPER_MAGIC, kGfs2, kLustre,          kVirtualBox};

constexpr int64_t kSecond = 1'000'000'000;

Time time_of(const struct timespec& value) {
  if (value.tv_sec >= kLatestTime.ns / kSecond) return kLatestTime;
  if (value.tv_sec <= kEarliestTime.ns / kSecond) return kEarliestTime;
  return {int64_t{value.tv_sec} * kSecond + value.tv_nsec};
}

bool same_time(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

struct timespec timespec_of(Time time) {
  int64_t seconds = time.ns / 1'000'000'000, rest = time.ns % 1'000'000'000;
  if (rest < 0) {  // before 1970
    rest += 1'000'000'000;
    seconds--;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

ssize_t list_attributes(const Handle& handle, char* out, size_t size) {
  if (handle.descriptor >= 0) return flistxattr(handle.descriptor, out, size);
  return llistxattr(handle.path.c_str(), out, size);
}

ssize_t get_attribute(const Handle& handle, const char* name, char* out, size_t size) {
  if (handle.descriptor >= 0) return fgetxattr(handle.descriptor, name, out, size);
  return lgetxattr(handle.path.c_str(), name, out, size);
}

int set_attribute(const Handle& handle, const std::string& name, const std::string& value) {
  if (handle.descriptor >= 0) return fsetxattr(handle.descriptor, name.c_str(), value.data(), value.size(), 0);
  return lsetxattr(handle.path.c_str(), name.c_str(), value.data(), value.size(), 0);
}

int remove_attribute(const Handle& handle, const std::string& name) {
  if (handle.descriptor >= 0) return fremovexattr(handle.descriptor, name.c_str());
  return lremovexattr(handle.path.c_str(), name.c_str());
}

// Calls `get(buffer, size)` until its answer fits. Nothing when the answer is
// gone or there are no attributes here.
template <typename Get>
Result<std::optional<std::string>> sized_answer(const Get& get, const std::string& path) {
  char small[512];
  ssize_t size = get(small, sizeof small);
  if (size >= 0) return std::optional(std::string(small, static_cast<size_t>(size)));
  while (errno == ERANGE) {
    const ssize_t wanted = get(nullptr, 0);
    if (wanted < 0) break;
    std::string out(static_cast<size_t>(wanted) + 256, '\0');
    size = get(out.data(), out.size());
    if (size < 0) continue;
    out.resize(static_cast<size_t>(size));
    return std::optional(std::move(out));
  }
  if (errno == ENOTSUP || errno == ENODATA) return std::optional<std::string>();
  return Error::from_errno(errno, fmt::format("extended attributes of '{}'", path));
}

// False when the object stays another's than the entry's.
bool set_owner(const repo::Entry& entry, const Handle& handle, const ApplyOptions& options, OwnerNames& names,
               const struct stat& now, Faults& faults) {
  const uid_t uid = options.numeric_ids ? entry.uid : names.uid_of(entry.user, entry.uid);
  const gid_t gid = options.numeric_ids ? entry.gid : names.gid_of(entry.group, entry.gid);
  const auto change = [&](uid_t to_uid, gid_t to_gid) {
    if (handle.descriptor >= 0) return fchown(handle.descriptor, to_uid, to_gid);
    return lchown(handle.path.c_str(), to_uid, to_gid);
  };
  if (now.st_uid == uid && now.st_gid == gid) return true;
  if (change(uid, gid) == 0) return true;
  const int error = errno;
  // A user who may not give files away may still choose among their own groups.
  if (now.st_gid != gid && change(static_cast<uid_t>(-1), gid) == 0 && now.st_uid == uid) return true;
  if (error != EPERM || geteuid() == 0)
    faults.add(entry.path, fmt::format("owner {}:{} not set", uid, gid), Error::from_errno(error, "chown"));
  else if (!options.made_on_the_way)
    faults.add_owner_left();
  return false;
}

bool has_attribute(const repo::Entry& entry, std::string_view name) {
  return std::any_of(entry.xattrs.begin(), entry.xattrs.end(), [&](const auto& own) { return own.first == name; });
}

void drop_attribute(const repo::Entry& entry, const Handle& handle, const std::string& name, Faults& faults) {
  if (remove_attribute(handle, name) == 0 || errno == ENODATA) return;
  faults.add(entry.path, fmt::format("attribute {} not removed", display_path(name)),
             Error::from_errno(errno, "removexattr"));
}

void set_attributes(const repo::Entry& entry, const Handle& handle, bool remove_others, Faults& faults) {
  if (remove_others) {
    std::vector<std::string> present;
    const auto unread = [&](const std::string& name, const Error&) { present.push_back(name); };
    for (const auto& [name, value] : read_attributes(handle, unread)) present.push_back(name);
    for (const auto& name : present) {
      if (!name.empty() && !has_attribute(entry, name)) drop_attribute(entry, handle, name, faults);
    }
  }
  // What is made in a directory with a default ACL begins with it.
  for (const char* acl : {"system.posix_acl_access", "system.posix_acl_default"}) {
    const bool may_have = entry.kind == repo::EntryKind::kDirectory || std::string_view(acl).ends_with("_access");
    if (may_have && !has_attribute(entry, acl) && get_attribute(handle, acl, nullptr, 0) >= 0)
      drop_attribute(entry, handle, acl, faults);
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (set_attribute(handle, name, value) != 0)
      faults.add(entry.path, fmt::format("attribute {} not set", display_path(name)),
                 Error::from_errno(errno, "setxattr"));
  }
}

// chmod() would follow a symbolic link that has taken the place of what is meant.
int change_mode(const std::string& path, mode_t mode) {
  if (!descriptors_have_paths()) return ::chmod(path.c_str(), mode);
  const int place = ::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (place < 0) return -1;
  struct stat status{};
  int outcome = ::fstat(place, &status);
  if (outcome == 0 && S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    outcome = -1;
  } else if (outcome == 0) {
    outcome = ::chmod(fmt::format("/proc/self/fd/{}", place).c_str(), mode);
  }
  const int error = errno;
  ::close(place);
  errno = error;
  return outcome;
}

void set_mode(const repo::Entry& entry, const Handle& handle, bool owner_is_right, Faults& faults) {
  if (entry.kind == repo::EntryKind::kSymlink) return;  // has none on Linux
  // Setuid gives the owner's rights away: those of the right owner only.
  const bool gives_rights = entry.kind == repo::EntryKind::kFile && !owner_is_right;
  const mode_t mode = entry.mode & (gives_rights ? 01777 : 07777);
  const int outcome = handle.descriptor >= 0 ? fchmod(handle.descriptor, mode) : change_mode(handle.path, mode);
  if (outcome != 0) faults.add(entry.path, fmt::format("mode {:04o} not set", mode), Error::from_errno(errno, "chmod"));
}

void set_times(const repo::Entry& entry, const Handle& handle, Faults& faults) {
  const struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, timespec_of(entry.modified)};
  const int outcome = handle.descriptor >= 0 ? futimens(handle.descriptor, times)
                                             : utimensat(AT_FDCWD, handle.path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  if (outcome != 0) faults.add(entry.path, "modification time not set", Error::from_errno(errno, "utimensat"));
}

}  // namespace

std::string OwnerNames::user(uid_t uid) {
  std::lock_guard lock(mutex_);
  if (auto known = users_.find(uid); known != users_.end()) return known->second;
  return users_[uid] = account_name(uid);
}

std::string OwnerNames::group(gid_t gid) {
  std::lock_guard lock(mutex_);
  if (auto known = groups_.find(gid); known != groups_.end()) return known->second;
  return groups_[gid] = group_name(gid);
}

uid_t OwnerNames::uid_of(const std::string& name, uid_t fallback) {
  if (name.empty()) return fallback;
  std::lock_guard lock(mutex_);
  auto [known, fresh] = uids_.try_emplace(name);
  if (const auto account = fresh ? find_account(name) : std::nullopt) known->second = account->uid;
  return known->second.value_or(fallback);
}

gid_t OwnerNames::gid_of(const std::string& name, gid_t fallback) {
  if (name.empty()) return fallback;
  std::lock_guard lock(mutex_);
  auto [known, fresh] = gids_.try_emplace(name);
  if (fresh) known->second = find_group(name);
  return known->second.value_or(fallback);
}

repo::EntryKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return repo::EntryKind::kFile;
  if (S_ISDIR(mode)) return repo::EntryKind::kDirectory;
  if (S_ISLNK(mode)) return repo::EntryKind::kSymlink;
  if (S_ISFIFO(mode)) return repo::EntryKind::kFifo;
  if (S_ISCHR(mode)) return repo::EntryKind::kCharDevice;
  if (S_ISBLK(mode)) return repo::EntryKind::kBlockDevice;
  return repo::EntryKind::kSocket;
}

bool has_times_of_another(uint64_t type) {
  return std::find(std::begin(kOfAnother), std::end(kOfAnother), type) != std::end(kOfAnother);
}

Duration clock_margin_of(const std::string& path) {
  const int place = open_without_links(path);
  if (place < 0) return repo::kClockTolerance;
  struct statfs status{};
  const bool is_known = ::fstatfs(place, &status) == 0;
  ::close(place);
  if (!is_known) return repo::kClockTolerance;
  return has_times_of_another(static_cast<uint64_t>(status.f_type) & 0xffffffff) ? repo::kClockTolerance : Duration{};
}

Time modified_of(const struct stat& status) { return time_of(status.st_mtim); }
Time changed_of(const struct stat& status) { return time_of(status.st_ctim); }

repo::Entry entry_of(std::string path, const struct stat& status, OwnerNames& names) {
  repo::Entry entry;
  entry.path = std::move(path);
  entry.kind = kind_of(status.st_mode);
  if (entry.kind == repo::EntryKind::kFile) entry.size_bytes = static_cast<uint64_t>(status.st_size);
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.user = names.user(status.st_uid);
  entry.group = names.group(status.st_gid);
  entry.modified = modified_of(status);
  entry.changed = changed_of(status);
  entry.inode = status.st_ino;
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) entry.device_number = status.st_rdev;
  return entry;
}

bool same_state(const struct stat& before, const struct stat& after) {
  return before.st_dev == after.st_dev && before.st_ino == after.st_ino && before.st_mode == after.st_mode &&
         before.st_size == after.st_size && same_time(before.st_mtim, after.st_mtim) &&
         same_time(before.st_ctim, after.st_ctim);
}

bool may_have_holes(const struct stat& status) {
  return static_cast<uint64_t>(status.st_blocks) * 512 < static_cast<uint64_t>(status.st_size);
}

Attributes read_attributes(const Handle& handle, const OnUnread& unread) {
  Attributes attributes;
  const auto list = [&](char* out, size_t size) { return list_attributes(handle, out, size); };
  const auto names = sized_answer(list, handle.path);
  if (!names.ok()) unread("", names.error());
  if (!names.ok() || !names.value()) return attributes;
  for (size_t at = 0; at < names.value()->size();) {
    std::string name = names.value()->c_str() + at;
    at += name.size() + 1;
    const auto get = [&](char* out, size_t size) { return get_attribute(handle, name.c_str(), out, size); };
    auto value = sized_answer(get, handle.path);
    if (!value.ok())
      unread(name, value.error());
    else if (value.value())
      attributes.emplace_back(std::move(name), std::move(*value.value()));
  }
  std::sort(attributes.begin(), attributes.end());
  // While attributes come and go a file system may give one twice.
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  attributes.erase(std::unique(attributes.begin(), attributes.end(), same), attributes.end());
  return attributes;
}

void apply_metadata(const repo::Entry& entry, const Handle& handle, const ApplyOptions& options, OwnerNames& names,
                    Faults& faults) {
  struct stat now{};
  const int known = handle.descriptor >= 0 ? fstat(handle.descriptor, &now) : lstat(handle.path.c_str(), &now);
  if (known != 0) {
    faults.add(entry.path, "metadata not set", Error::from_errno(errno, "stat"));
    return;
  }
  // chown clears setuid and capabilities, an ACL changes the mode's group bits,
  // and each of them the change time alone: hence this order.
  const bool owner_is_right = set_owner(entry, handle, options, names, now, faults);
  set_attributes(entry, handle, options.remove_other_attributes, faults);
  set_mode(entry, handle, owner_is_right, faults);
  set_times(entry, handle, faults);
}

std::vector<std::string> metadata_differences(const repo::Entry& entry, const struct stat& status, const Handle& handle,
                                              OwnerNames& names) {
  std::vector<std::string> differences;
  const bool has_mode = entry.kind != repo::EntryKind::kSymlink;
  if (has_mode && (status.st_mode & 07777) != entry.mode)
    differences.push_back(fmt::format("mode is {:04o}, not {:04o}", status.st_mode & 07777, entry.mode));
  const uid_t uid = names.uid_of(entry.user, entry.uid);
  const gid_t gid = names.gid_of(entry.group, entry.gid);
  if (status.st_uid != uid || status.st_gid != gid)
    differences.push_back(fmt::format("owner is {}:{}, not {}:{}", status.st_uid, status.st_gid, uid, gid));
  if (modified_of(status) != entry.modified)
    differences.push_back(
        fmt::format("modified {}, not {}", format_rfc3339(modified_of(status)), format_rfc3339(entry.modified)));
  const size_t others = differences.size();
  const auto unread = [&](const std::string&, const Error& error) {
    differences.push_back(display_path(error.text()));
  };
  const Attributes attributes = read_attributes(handle, unread);
  if (differences.size() == others && attributes != entry.xattrs) differences.push_back("extended attributes differ");
  return differences;
}

}  // namespace holdfast::files
