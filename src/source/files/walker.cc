#include "source/files/walker.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/log.h"
#include "base/places.h"
#include "repo/tree.h"

namespace holdfast::files {
namespace {

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return true;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

std::string child_path(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path += directory;
  path += '/';
  path += name;
  return path;
}

}  // namespace

Result<std::vector<std::string>> resolve_roots(const std::vector<std::string>& paths) {
  std::vector<std::string> roots;
  for (const auto& path : paths) {
    const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
    if (!real)
      return Error::from_errno(errno, fmt::format("'{}'", display_path(path)))
          .with_hint("each path to protect must exist; correct 'paths' of the component");
    roots.emplace_back(real.get() + 1);  // without the leading '/'
  }
  std::sort(roots.begin(), roots.end(), [](const auto& a, const auto& b) { return repo::compare_paths(a, b) < 0; });
  std::vector<std::string> outermost;
  for (auto& root : roots) {
    const bool covered = !outermost.empty() && (root == outermost.back() || is_below(root, outermost.back()));
    if (!covered) outermost.push_back(std::move(root));
  }
  return outermost;
}

Walker::Walker(FileSystem& fs, Options options, const ExcludePatterns& excludes, Faults& faults)
    : fs_(fs), options_(std::move(options)), excludes_(excludes), faults_(faults) {
  if (options_.repository.empty()) return;
  const auto status = fs_.stat(resolved_path(options_.repository));
  if (status.ok()) repository_ = status.value();
}

// By what it is, not by its name: it may be mounted in several places.
bool Walker::is_repository(const Found& found) {
  if (!repository_ || !S_ISDIR(found.status.st_mode) || found.status.st_dev != repository_->st_dev ||
      found.status.st_ino != repository_->st_ino)
    return false;
  log_info("files.repository_left_out", {{"path", "/" + display_path(found.path)}});
  repository_met_ = found.path;
  return true;
}

bool Walker::is_root(const std::string& path) const {
  return std::find(options_.roots.begin(), options_.roots.end(), path) != options_.roots.end();
}

std::optional<Found> Walker::next() {
  if (!started_) {
    started_ = true;
    auto status = fs_.stat("/");
    if (status.ok()) return to_enter_ = Found{.path = "", .status = status.value(), .is_parent = !is_root("")};
    faults_.add("", "not read", status.error());
    return std::nullopt;
  }
  if (to_enter_) {
    const Found found = std::move(*to_enter_);
    to_enter_.reset();
    if (found.is_parent)
      enter_parent(found.path);
    else
      enter(found);
  }
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.position == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    auto found = look_at(level, level.names[level.position++]);
    if (!found) continue;
    const bool is_directory = S_ISDIR(found->status.st_mode);
    if (!is_elsewhere(level, *found)) {
      if (is_directory) note_mount(level, *found);
      if (is_directory) to_enter_ = *found;
      return found;
    }
    if (mount_count_++ < kMostMounts) mounts_met_.push_back(found->path);
    if (is_directory) return found;
  }
  return std::nullopt;
}

void Walker::enter_parent(const std::string& path) {
  Level level{.path = path, .is_parent = true};
  for (const auto& root : options_.roots) {
    if (!is_below(root, path)) continue;
    const size_t begin = path.empty() ? 0 : path.size() + 1;
    const std::string name = root.substr(begin, root.find('/', begin) - begin);
    if (level.names.empty() || level.names.back().name != name) level.names.push_back({name, DT_UNKNOWN});
  }
  levels_.push_back(std::move(level));
}

// The names may be those of another directory, if a symbolic link had the place of this
// one for a moment: what they name is looked at by itself.
Result<std::vector<DirectoryEntry>> Walker::list(const std::string& path) {
  auto names = fs_.list("/" + path);
  const int place = open_without_links("/" + path);
  if (place < 0) return names.ok() ? Error::from_errno(errno, "can't list /" + path) : std::move(names).error();
  struct stat status{};
  const bool is_directory = ::fstat(place, &status) == 0 && S_ISDIR(status.st_mode);
  ::close(place);
  if (is_directory) return names;
  return make_error(ErrorCode::kIo, "something else has taken the place of /{}", path);
}

void Walker::enter(const Found& found) {
  auto names = list(found.path);
  if (!names.ok()) {
    if (names.error().code() == ErrorCode::kNotFound)
      vanished_++;
    else
      faults_.add(found.path, "directory not read", names.error());
    return;
  }
  Level level{.path = found.path, .names = std::move(names).value()};
  std::sort(level.names.begin(), level.names.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  // While names come and go a file system may give one twice.
  const auto same = [](const auto& a, const auto& b) { return a.name == b.name; };
  level.names.erase(std::unique(level.names.begin(), level.names.end(), same), level.names.end());
  const bool begins_root = levels_.empty() || levels_.back().is_parent;
  level.device = begins_root ? found.status.st_dev : levels_.back().device;
  level.own_device = found.status.st_dev;
  level.below_root = !begins_root ? levels_.back().below_root : found.path.empty() ? 0 : found.path.size() + 1;
  levels_.push_back(std::move(level));
}

std::optional<Found> Walker::look_at(const Level& level, const DirectoryEntry& name) {
  Found found{.path = child_path(level.path, name.name)};
  const auto excluded = [&](bool is_directory) {
    return !level.is_parent &&
           excludes_.excludes(found.path, std::string_view(found.path).substr(level.below_root), is_directory);
  };
  const bool check_excludes = !excludes_.empty();
  if (check_excludes && name.type != DT_UNKNOWN && excluded(name.type == DT_DIR)) return std::nullopt;
  auto status = fs_.stat("/" + found.path);
  if (!status.ok()) {
    if (status.error().code() == ErrorCode::kNotFound && !level.is_parent)
      vanished_++;
    else
      faults_.add(found.path, "not read", status.error());
    return std::nullopt;
  }
  found.status = status.value();
  if (check_excludes && name.type == DT_UNKNOWN && excluded(S_ISDIR(found.status.st_mode))) return std::nullopt;
  if (is_repository(found)) return std::nullopt;
  found.is_parent = level.is_parent && !is_root(found.path);
  return found;
}

void Walker::note_mount(const Level& level, const Found& directory) {
  if (level.is_parent || directory.status.st_dev == level.own_device) return;
  if (mounts_entered_.size() < kMostMounts) mounts_entered_.push_back(directory.path);
}

// Of files the device number alone means little: an overlay gives them that of a layer.
bool Walker::is_elsewhere(const Level& level, const Found& found) {
  if (!options_.one_file_system || level.is_parent || found.status.st_dev == level.device) return false;
  return S_ISDIR(found.status.st_mode) || is_mount_point("/" + found.path);
}

}  // namespace holdfast::files
