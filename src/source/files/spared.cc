#include "source/files/spared.h"

#include "source/files/capture.h"
#include "source/files/faults.h"
#include "source/files/selection.h"

namespace holdfast::files {
namespace {

constexpr const char* kRepository = "it is the repository of backups";
constexpr const char* kFault = "it could not be read when this point was taken";
constexpr const char* kUnnamed = "more could not be read when this point was taken than it names";
constexpr const char* kMounted = "another file system was mounted there when this point was taken";
constexpr const char* kMountsUnnamed = "more file systems were mounted when this point was taken than it names";
constexpr const char* kExcluded = "it is excluded from backups";

std::vector<std::string> texts_of(const nlohmann::json& source, const char* key) {
  std::vector<std::string> texts;
  if (!source.is_object() || !source.contains(key) || !source[key].is_array()) return texts;
  for (const auto& item : source[key]) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

// It or something above it.
bool is_named(const std::set<std::string, std::less<>>& shown_paths, std::string_view path) {
  if (shown_paths.empty()) return false;
  while (true) {
    if (shown_paths.contains(display_path(path))) return true;
    if (path.empty()) return false;
    path = tree_parent(path);
  }
}

}  // namespace

Result<Spared> Spared::create(const repo::Snapshot& snapshot, const std::vector<std::string>& excludes,
                              const std::optional<std::string>& repository) {
  auto then = TRY_CONTEXT(ExcludePatterns::create(texts_of(snapshot.source, kExcludesKey)), "the snapshot");
  Spared spared(std::move(then), TRY(ExcludePatterns::create(excludes)));
  for (const auto& root : texts_of(snapshot.source, kRootsKey)) {
    std::string path = path_of_display(root);
    path.erase(0, path.find_first_not_of('/'));
    spared.roots_.push_back(std::move(path));
  }
  if (repository) spared.repositories_.push_back(*repository);
  if (snapshot.source.is_object() && snapshot.source.contains(kRepositoryKey))
    spared.repositories_.push_back(path_of_display(snapshot.source.value(kRepositoryKey, "")));
  for (const auto& mount : texts_of(snapshot.source, kMountsKey)) spared.mounts_.insert(mount);
  spared.mounts_unnamed_ = snapshot.source.is_object() && snapshot.source.contains(kMountCountKey);
  for (const std::string& line : snapshot.faults) {
    if (tells_of_more(line)) spared.faults_unnamed_ = true;
    for (size_t end = line.find(": "); end != std::string::npos; end = line.find(": ", end + 1))
      spared.faults_.insert(line.substr(0, end));
  }
  return spared;
}

const char* Spared::reason(std::string_view path, bool is_directory) const {
  for (const auto& repository : repositories_) {
    if (is_at_or_below(path, repository)) return kRepository;
  }
  if (faults_unnamed_) return kUnnamed;
  if (mounts_unnamed_) return kMountsUnnamed;
  if (is_named(faults_, path)) return kFault;
  if (is_named(mounts_, path)) return kMounted;
  return is_excluded(path, is_directory) ? kExcluded : nullptr;
}

bool Spared::is_excluded(std::string_view path, bool is_directory) const {
  if (excluded_then_.empty() && excluded_now_.empty()) return false;
  std::string_view root = {};
  for (const auto& candidate : roots_) {
    if (is_at_or_below(path, candidate)) root = candidate;
  }
  // As in a capture: a root itself is never excluded, and what is in an excluded
  // directory is not looked at.
  while (path.size() > root.size()) {
    const std::string_view below_root = root.empty() ? path : path.substr(root.size() + 1);
    if (excluded_then_.excludes(path, below_root, is_directory)) return true;
    if (excluded_now_.excludes(path, below_root, is_directory)) return true;
    path = tree_parent(path);
    is_directory = true;
  }
  return false;
}

}  // namespace holdfast::files
