#include "base/filesystem.h"

#include <dirent.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "base/random.h"

namespace holdfast {

namespace {

// Beside the final file, hidden, and never the name of another writer's.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  const std::string name =
      fmt::format(".{}.{:016x}{:x}.tmp", base_name(path).substr(0, 200), system_random().u64(), counter++);
  return join_path(parent_path(path), name);
}

Result<void> write_and_sync(FileSystem& fs, const std::string& path, ByteView content, mode_t mode) {
  OpenOptions options;
  options.write = options.create = options.exclusive = true;
  options.mode = mode;
  auto file = TRY(fs.open(path, options));
  TRY(file->write_at(0, content));
  TRY(file->sync());
  return file->close();
}

Result<void> put_durably(FileSystem& fs, const std::string& path, ByteView content, mode_t mode, bool replace) {
  const std::string temporary = temporary_name(path);
  auto outcome = write_and_sync(fs, temporary, content, mode);
  if (outcome.ok()) outcome = replace ? fs.rename(temporary, path) : fs.rename_exclusive(temporary, path);
  if (!outcome.ok()) {
    ignore(fs.remove_file(temporary), "the first error is the one to report");
    return std::move(outcome).context(fmt::format("writing {}", path));
  }
  return fs.sync_directory(parent_path(path));
}

bool is_directory(const struct stat& status) { return S_ISDIR(status.st_mode); }

Result<bool> leads_to_directory(FileSystem& fs, const std::string& path) {
  // list() follows a symbolic link, which stat() does not: a link to a directory will do.
  const auto status = TRY(fs.stat(path));
  if (is_directory(status)) return true;
  return S_ISLNK(status.st_mode) && fs.list(path).ok();
}

}  // namespace

Result<Bytes> read_file(FileSystem& fs, const std::string& path, uint64_t limit_bytes) {
  auto file = TRY(fs.open(path, {}));
  const auto status = TRY(file->stat());
  const auto too_large = [&] {
    return make_error(ErrorCode::kInvalidData, "{} is larger than {} bytes", path, limit_bytes);
  };
  if (status.st_size > 0 && static_cast<uint64_t>(status.st_size) > limit_bytes) return too_large();

  // One byte of room more than expected shows whether the file grew, or says
  // nothing of its size (as in /proc).
  Bytes content(static_cast<size_t>(status.st_size) + 1);
  size_t size = 0;
  while (true) {
    const size_t got = TRY(file->read_at(size, content.mutable_view().subspan(size)));
    size += got;
    if (size > limit_bytes) return too_large();
    if (size < content.size()) break;
    content.resize(content.size() * 2 + 4096);
  }
  content.resize(size);
  return content;
}

Result<void> write_file_durably(FileSystem& fs, const std::string& path, ByteView content, mode_t mode) {
  return put_durably(fs, path, content, mode, true);
}

Result<void> create_file_durably(FileSystem& fs, const std::string& path, ByteView content, mode_t mode) {
  return put_durably(fs, path, content, mode, false);
}

Result<void> make_directories(FileSystem& fs, const std::string& path, mode_t mode) {
  if (path.empty()) return {};
  if (TRY(exists(fs, path))) {
    if (TRY(leads_to_directory(fs, path))) return {};
    return make_error(ErrorCode::kAlreadyExists, "{} exists and is not a directory", path);
  }
  const std::string parent = parent_path(path);
  TRY(make_directories(fs, parent, mode));
  auto made = fs.make_directory(path, mode);
  if (!made.ok() && made.error().code() != ErrorCode::kAlreadyExists) return made;
  return fs.sync_directory(parent);
}

Result<void> remove_tree(FileSystem& fs, const std::string& path) {
  const auto status = fs.stat(path);
  if (!status.ok()) {
    if (status.error().code() == ErrorCode::kNotFound) return {};
    return status.error().clone();
  }
  if (!is_directory(*status)) return fs.remove_file(path);
  for (const auto& entry : TRY(fs.list(path))) {
    const std::string inner = join_path(path, entry.name);
    // A type that the file system does not tell is looked up by the inner call.
    const bool maybe_directory = entry.type == DT_DIR || entry.type == DT_UNKNOWN;
    TRY(maybe_directory ? remove_tree(fs, inner) : fs.remove_file(inner));
  }
  return fs.remove_directory(path);
}

Result<bool> exists(FileSystem& fs, const std::string& path) {
  const auto status = fs.stat(path);
  if (status.ok()) return true;
  if (status.error().code() == ErrorCode::kNotFound) return false;
  return status.error().clone();
}

Result<bool> is_empty_directory(FileSystem& fs, const std::string& path) { return TRY(fs.list(path)).empty(); }

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path += '/';
  while (name.starts_with('/')) name.remove_prefix(1);
  return path.append(name);
}

std::string parent_path(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  path = path.substr(0, slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.empty() ? "/" : std::string(path);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return "/";
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string absolute_path(std::string_view path) {
  std::string full(path);
  if (!full.starts_with('/')) {
    const std::unique_ptr<char, void (*)(void*)> current(::getcwd(nullptr, 0), ::free);
    full = join_path(current ? current.get() : "/", path);
  }
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin < full.size();) {
    const size_t end = std::min(full.find('/', begin), full.size());
    const std::string_view part = std::string_view(full).substr(begin, end - begin);
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    begin = end + 1;
  }
  std::string out;
  for (const auto part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

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

}  // namespace holdfast
