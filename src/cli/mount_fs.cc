#include "cli/mount_fs.h"

#define FUSE_USE_VERSION 35
#include <fuse.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace holdfast::cli {

namespace {

constexpr size_t kCacheBytes = 64u << 20;

struct Served {
  recovery::PointBrowser& browser;
  repo::Repository& repository;
  uid_t uid;
  gid_t gid;
};

Served& served() { return *static_cast<Served*>(fuse_get_context()->private_data); }

int errno_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNotFound: return -ENOENT;
    case ErrorCode::kPermission: return -EACCES;
    case ErrorCode::kInterrupted: return -EINTR;
    default: break;
  }
  // A reader sees EIO; the log says what is damaged.
  log_error("mount.error", {{"error", error.text()}});
  return -EIO;
}

// Where a path leads: above the components everything is ours, below them it is
// the snapshot's.
struct Place {
  enum Kind { kRoot, kPoints, kLatest, kPoint, kInside, kNowhere } kind = kNowhere;
  std::string point, component, path;
};

Place place_of(const char* text) {
  const std::string path = std::string(text).substr(1);
  if (path.empty()) return {Place::kRoot, "", "", ""};
  if (path == "points") return {Place::kPoints, "", "", ""};
  if (path == "latest") return {Place::kLatest, "", "", ""};
  if (!path.starts_with("points/")) return {};
  const size_t point_end = path.find('/', 7);
  const std::string point = path.substr(7, point_end == std::string::npos ? std::string::npos : point_end - 7);
  if (point_end == std::string::npos) return {Place::kPoint, point, "", ""};
  const size_t component_end = path.find('/', point_end + 1);
  const std::string component = path.substr(
      point_end + 1, component_end == std::string::npos ? std::string::npos : component_end - point_end - 1);
  return {Place::kInside, point, component, component_end == std::string::npos ? "" : path.substr(component_end + 1)};
}

Result<repo::Entry> entry_at(const Place& place) {
  auto tree = TRY(served().browser.tree(place.point, place.component));
  return tree->find(place.path);
}

mode_t type_of(repo::EntryKind kind) {
  switch (kind) {
    case repo::EntryKind::kDirectory: return S_IFDIR;
    case repo::EntryKind::kSymlink: return S_IFLNK;
    case repo::EntryKind::kFifo: return S_IFIFO;
    case repo::EntryKind::kCharDevice: return S_IFCHR;
    case repo::EntryKind::kBlockDevice: return S_IFBLK;
    case repo::EntryKind::kSocket: return S_IFSOCK;
    default: return S_IFREG;
  }
}

struct timespec timespec_of(Time time) {
  int64_t seconds = time.ns / 1'000'000'000, rest = time.ns % 1'000'000'000;
  if (rest < 0) {
    seconds--;
    rest += 1'000'000'000;
  }
  return {seconds, rest};
}

void fill_directory(struct stat* out, Time time) {
  out->st_mode = S_IFDIR | 0555;
  out->st_nlink = 2;
  out->st_uid = served().uid;
  out->st_gid = served().gid;
  out->st_mtim = out->st_ctim = out->st_atim = timespec_of(time);
}

void fill_entry(struct stat* out, const repo::Entry& entry) {
  out->st_mode = type_of(entry.kind) | entry.mode;
  out->st_nlink = entry.kind == repo::EntryKind::kDirectory ? 2 : 1;
  out->st_uid = entry.uid;
  out->st_gid = entry.gid;
  out->st_size =
      static_cast<off_t>(entry.kind == repo::EntryKind::kSymlink ? entry.link_target.size() : entry.size_bytes);
  out->st_blocks = static_cast<blkcnt_t>((entry.size_bytes + 511) / 512);
  out->st_blksize = 128 << 10;
  out->st_rdev = entry.device_number;
  out->st_mtim = out->st_atim = timespec_of(entry.modified);
  out->st_ctim = timespec_of(entry.changed);
}

Result<const repo::Point*> point_named(const std::vector<recovery::PointBrowser::Listed>& points,
                                       const std::string& name) {
  for (const auto& listed : points) {
    if (listed.name == name) return &listed.point;
  }
  return make_error(ErrorCode::kNotFound, "there is no point '{}'", name);
}

Result<void> get_attributes(const Place& place, struct stat* out) {
  const auto points = TRY(served().browser.points());
  const Time newest = points.empty() ? Time{} : points.back().point.time;
  switch (place.kind) {
    case Place::kRoot:
    case Place::kPoints: fill_directory(out, newest); return {};
    case Place::kLatest:
      if (points.empty()) break;
      fill_directory(out, newest);
      out->st_mode = S_IFLNK | 0777;
      out->st_nlink = 1;
      out->st_size = static_cast<off_t>(std::strlen("points/") + points.back().name.size());
      return {};
    case Place::kPoint: fill_directory(out, TRY(point_named(points, place.point))->time); return {};
    case Place::kInside: fill_entry(out, TRY(entry_at(place))); return {};
    case Place::kNowhere: break;
  }
  return make_error(ErrorCode::kNotFound, "no such file");
}

int on_getattr(const char* path, struct stat* out, struct fuse_file_info*) {
  std::memset(out, 0, sizeof *out);
  const auto done = get_attributes(place_of(path), out);
  return done.ok() ? 0 : errno_of(done.error());
}

int on_readlink(const char* path, char* out, size_t size) {
  const Place place = place_of(path);
  std::string target;
  if (place.kind == Place::kLatest) {
    const auto points = served().browser.points();
    if (!points.ok()) return errno_of(points.error());
    if (points->empty()) return -ENOENT;
    target = "points/" + points->back().name;
  } else if (place.kind == Place::kInside) {
    const auto entry = entry_at(place);
    if (!entry.ok()) return errno_of(entry.error());
    target = entry->link_target;
  } else {
    return -EINVAL;
  }
  const size_t length = std::min(size - 1, target.size());
  std::memcpy(out, target.data(), length);
  out[length] = '\0';
  return 0;
}

Result<std::vector<recovery::SnapshotTree::Child>> children_of(const Place& place) {
  std::vector<recovery::SnapshotTree::Child> children;
  const auto directory = [&](const std::string& name) { children.push_back({name, repo::EntryKind::kDirectory}); };
  if (place.kind == Place::kInside) {
    auto tree = TRY(served().browser.tree(place.point, place.component));
    return tree->list(place.path);
  }
  const auto points = TRY(served().browser.points());
  if (place.kind == Place::kRoot) {
    directory("points");
    if (!points.empty()) children.push_back({"latest", repo::EntryKind::kSymlink});
  } else if (place.kind == Place::kPoints) {
    for (const auto& listed : points) directory(listed.name);
  } else if (place.kind == Place::kPoint) {
    for (const auto& snapshot : TRY(point_named(points, place.point))->snapshots) directory(snapshot.component);
  }
  return children;
}

int on_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, struct fuse_file_info*,
               enum fuse_readdir_flags) {
  const auto children = children_of(place_of(path));
  if (!children.ok()) return errno_of(children.error());
  fill(buffer, ".", nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  fill(buffer, "..", nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  for (const auto& child : *children) {
    struct stat type = {};
    type.st_mode = type_of(child.kind);
    if (fill(buffer, child.name.c_str(), &type, 0, static_cast<fuse_fill_dir_flags>(0)) != 0) return -ENOMEM;
  }
  return 0;
}

// An open file with the lock that the kernel's parallel reads need.
struct Handle {
  std::mutex mutex;
  recovery::SnapshotFile file;
};

int on_open(const char* path, struct fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) return -EROFS;
  const Place place = place_of(path);
  if (place.kind != Place::kInside) return -EISDIR;
  auto entry = entry_at(place);
  if (!entry.ok()) return errno_of(entry.error());
  info->fh = reinterpret_cast<uint64_t>(new Handle{{}, recovery::SnapshotFile(served().repository, std::move(*entry))});
  info->keep_cache = 1;  // a point never changes
  return 0;
}

int on_read(const char*, char* out, size_t size, off_t offset, struct fuse_file_info* info) {
  Handle& handle = *reinterpret_cast<Handle*>(info->fh);
  std::lock_guard lock(handle.mutex);
  const auto length =
      handle.file.read_at(static_cast<uint64_t>(offset), MutableByteView(reinterpret_cast<uint8_t*>(out), size));
  return length.ok() ? static_cast<int>(*length) : errno_of(length.error());
}

int on_release(const char*, struct fuse_file_info* info) {
  delete reinterpret_cast<Handle*>(info->fh);
  return 0;
}

int on_getxattr(const char* path, const char* name, char* out, size_t size) {
  const Place place = place_of(path);
  if (place.kind != Place::kInside) return -ENODATA;
  const auto entry = entry_at(place);
  if (!entry.ok()) return errno_of(entry.error());
  for (const auto& [key, value] : entry->xattrs) {
    if (key != name) continue;
    if (size == 0) return static_cast<int>(value.size());
    if (size < value.size()) return -ERANGE;
    std::memcpy(out, value.data(), value.size());
    return static_cast<int>(value.size());
  }
  return -ENODATA;
}

int on_listxattr(const char* path, char* out, size_t size) {
  const Place place = place_of(path);
  if (place.kind != Place::kInside) return 0;
  const auto entry = entry_at(place);
  if (!entry.ok()) return errno_of(entry.error());
  std::string names;
  for (const auto& [key, value] : entry->xattrs) names += key + '\0';
  if (size == 0) return static_cast<int>(names.size());
  if (size < names.size()) return -ERANGE;
  std::memcpy(out, names.data(), names.size());
  return static_cast<int>(names.size());
}

int on_statfs(const char*, struct statvfs* out) {
  std::memset(out, 0, sizeof *out);
  out->f_bsize = out->f_frsize = 4096;
  out->f_namemax = 255;
  out->f_flag = ST_RDONLY;
  return 0;
}

void* on_init(struct fuse_conn_info*, struct fuse_config* config) {
  // A point never changes once it is there: the kernel may keep what it learned.
  config->entry_timeout = config->attr_timeout = 60;
  config->negative_timeout = 0;
  return fuse_get_context()->private_data;
}

struct fuse_operations operations() {
  struct fuse_operations table = {};
  table.init = on_init;
  table.getattr = on_getattr;
  table.readlink = on_readlink;
  table.readdir = on_readdir;
  table.open = on_open;
  table.read = on_read;
  table.release = on_release;
  table.getxattr = on_getxattr;
  table.listxattr = on_listxattr;
  table.statfs = on_statfs;
  return table;
}

// libfuse's resources, in the order in which they must go.
class Mount {
 public:
  ~Mount() {
    if (handlers_) fuse_remove_signal_handlers(fuse_get_session(fuse_));
    if (mounted_) fuse_unmount(fuse_);
    if (fuse_ != nullptr) fuse_destroy(fuse_);
    fuse_opt_free_args(&arguments_);
  }

  Result<void> run(Served& served, const MountOptions& options, const std::function<void()>& ready) {
    const struct fuse_operations table = operations();
    std::string settings = "ro,default_permissions,fsname=holdfast,subtype=holdfast";
    if (options.allow_other) settings += ",allow_other";
    for (const std::string& word : {std::string("holdfast"), std::string("-o"), settings})
      fuse_opt_add_arg(&arguments_, word.c_str());
    fuse_ = fuse_new(&arguments_, &table, sizeof table, &served);
    if (fuse_ == nullptr)
      return make_error(ErrorCode::kUnsupported, "FUSE can't be used here")
          .with_hint("is /dev/fuse there, and fusermount3 installed?");
    if (fuse_mount(fuse_, options.directory.c_str()) != 0) {
      return make_error(ErrorCode::kPermission, "{} can't be mounted on", options.directory)
          .with_hint("is it a directory of yours, and is /dev/fuse there?");
    }
    mounted_ = true;
    if (fuse_set_signal_handlers(fuse_get_session(fuse_)) != 0)
      return make_error(ErrorCode::kInternal, "can't take signals");
    handlers_ = true;
    ready();
    struct fuse_loop_config loop = {};
    loop.max_idle_threads = 4;
    // The signal that ended the loop is how a mount ends: not an error.
    if (fuse_loop_mt(fuse_, &loop) < 0) return make_error(ErrorCode::kIo, "serving {} failed", options.directory);
    return {};
  }

 private:
  struct fuse_args arguments_ = FUSE_ARGS_INIT(0, nullptr);
  struct fuse* fuse_ = nullptr;
  bool mounted_ = false, handlers_ = false;
};

}  // namespace

Result<void> serve_mount(recovery::PointBrowser& browser, repo::Repository& repository, const MountOptions& options,
                         const std::function<void()>& ready) {
  repository.set_cache_bytes(kCacheBytes);
  Served world{browser, repository, geteuid(), getegid()};
  Mount mount;
  return mount.run(world, options, ready);
}

}  // namespace holdfast::cli
