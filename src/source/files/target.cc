#include "source/files/target.h"

#include <algorithm>
#include <climits>

#include "base/encoding.h"
#include "base/parallel.h"
#include "base/places.h"
#include "crypto/digest.h"
#include "source/files/refusal.h"
#include "source/files/selection.h"
#include "source/restore_lock.h"

namespace holdfast::files {
namespace {

constexpr size_t kTemporaryDigits = 32;
constexpr size_t kTemporaryNameBytes = std::string_view(".holdfast-.tmp").size() + kTemporaryDigits;
// Where the path has no room for that: as many digits as there is room for. Fewer than these might
// be another file's, too.
constexpr size_t kShortestTemporaryNameBytes = 1 + 15;

std::string prefix_of(const std::string& directory) {
  if (directory.empty()) return "";
  const std::string absolute = absolute_path(directory);
  return absolute == "/" ? "" : absolute;
}

}  // namespace

Target::Target(FileSystem& fs, const std::string& directory, bool replace, const repo::BlockId& snapshot)
    : prefix_(prefix_of(directory)), fs_(fs, prefix_.empty() ? "/" : prefix_), replace_(replace), snapshot_(snapshot) {}

Target::~Target() {
  // Only after an error: nothing half done stays behind.
  for (const auto& tree_path : ready_) ignore(fs_.remove_file(temporary_of(tree_path)), "already failing");
}

std::string Target::path_of(std::string_view tree_path) const {
  if (tree_path.empty()) return prefix_.empty() ? "/" : prefix_;
  std::string path;
  path.reserve(prefix_.size() + 1 + tree_path.size());
  return path.append(prefix_).append("/").append(tree_path);
}

std::optional<std::string> Target::tree_path_of(const std::string& path) const {
  const std::string top = prefix_.empty() ? "" : resolved_path(prefix_);
  const std::string place = resolved_path(path);
  if (!is_at_or_below(place, top)) return std::nullopt;
  return place.size() == top.size() ? std::string() : place.substr(top.size() + 1);
}

std::string Target::temporary_of(std::string_view tree_path) const {
  crypto::Sha256 hash;
  hash.update(snapshot_.bytes);
  hash.update(as_bytes(tree_path));
  const std::string digits = to_hex(hash.finish()).substr(0, kTemporaryDigits);
  const std::string directory = path_of(tree_parent(tree_path));
  if (directory.size() + 1 + kTemporaryNameBytes < PATH_MAX)
    return join_path(directory, fmt::format(".holdfast-{}.tmp", digits));
  const size_t room = PATH_MAX - 1 - std::min<size_t>(directory.size() + 1, PATH_MAX - 1);
  return join_path(directory, "." + digits.substr(0, std::max(room, kShortestTemporaryNameBytes) - 1));
}

bool Target::is_too_long(std::string_view tree_path) const {
  const size_t longest = std::max(tree_path.size(), tree_parent(tree_path).size() + 1 + kShortestTemporaryNameBytes);
  return prefix_.size() + 1 + longest >= PATH_MAX;  // with the zero byte that ends it
}

Result<std::string> Target::existing_ancestor(std::string path) const {
  while (true) {
    auto status = fs_.stat(path);
    if (status.ok()) return path;
    if (status.error().code() != ErrorCode::kNotFound || path == "/") return std::move(status).error();
    path = parent_path(path);
  }
}

Result<std::unique_ptr<File>> Target::create_temporary(const std::string& tree_path) {
  const OpenOptions options{.write = true, .create = true, .exclusive = true, .no_follow = true, .mode = 0600};
  const std::string path = temporary_of(tree_path);
  const Volume* volume = TRY(volume_of(parent_path(path)));
  auto file = fs_.open(path, options);
  if (!file.ok() && file.error().code() == ErrorCode::kAlreadyExists) {
    TRY(of_entry(fs_.remove_file(path)));
    file = fs_.open(path, options);
  }
  if (!file.ok()) return of_entry(std::move(file).error());
  if (volume->is_sure()) return file;
  return synced_when_closed(std::move(file).value());
}

Result<void> Target::clear_temporary(const std::string& tree_path) {
  auto removed = fs_.remove_file(temporary_of(tree_path));
  if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return of_entry(std::move(removed));
  return {};
}

void Target::ready(const std::string& tree_path) {
  std::lock_guard lock(mutex_);
  ready_.push_back(tree_path);
}

bool Target::was_discarded(const std::string& tree_path) const {
  std::lock_guard lock(mutex_);
  return discarded_.contains(tree_path);
}

Result<void> Target::lock(const std::vector<std::string>& roots) {
  for (const std::string& root : roots) {
    locks_.push_back(TRY(source::lock_restore_place(path_of(root))));
  }
  if (in_place()) return {};
  const std::string path = path_of("");
  if (auto lock = DirectoryLock::take(path)) {
    directory_lock_.emplace(std::move(*lock));
    return {};
  }
  return source::restore_place_is_locked(path);
}

void Target::discard(const std::string& tree_path) {
  {
    std::lock_guard lock(mutex_);
    discarded_.insert(tree_path);
  }
  ignore(fs_.remove_file(temporary_of(tree_path)), "the error that led here is the one to report");
}

Result<void> Target::publish(size_t threads, Faults& faults) {
  if (ready_.empty()) return {};
  std::string_view last = {};
  for (const std::string& tree_path : ready_) {
    const std::string_view parent = tree_parent(tree_path);
    if (last.data() == nullptr || parent != last) TRY(changed_in(path_of(parent)));
    last = parent;
  }
  TRY(sync());
  // Each thread takes a run of neighbours: two in one directory wait for each other.
  constexpr size_t kRun = 64;
  const size_t runs = (ready_.size() + kRun - 1) / kRun;
  const auto publish_run = [&](size_t run) -> Result<void> {
    for (size_t i = run * kRun; i < std::min(ready_.size(), (run + 1) * kRun); i++) {
      const std::string from = temporary_of(ready_[i]), to = path_of(ready_[i]);
      auto outcome = of_entry(replace_ ? fs_.rename(from, to) : fs_.rename_exclusive(from, to));
      if (outcome.ok() || outcome.error().code() != ErrorCode::kRefused) {
        TRY(std::move(outcome));
        continue;
      }
      discard(ready_[i]);
      faults.add(ready_[i], "not restored", outcome.error());
    }
    return {};
  };
  TRY(parallel_for(runs, threads, publish_run));
  ready_.clear();
  return {};
}

Result<void> Target::changed_in(const std::string& directory) {
  TRY(volume_of(directory));
  return {};
}

Result<const Volume*> Target::volume_of(const std::string& directory) {
  {
    std::lock_guard lock(mutex_);
    if (last_volume_ != nullptr && last_directory_ == directory) return last_volume_;
  }
  // One that could not be made is a fault that was told: what is above it was changed.
  const std::string there = TRY(existing_ancestor(directory));
  const dev_t device = TRY(fs_.stat(there)).st_dev;
  std::lock_guard lock(mutex_);
  auto& volume = volumes_[device];
  if (!volume) volume = TRY(open_volume(fs_, there));
  last_directory_ = directory;
  return last_volume_ = volume.get();
}

Result<void> Target::sync() {
  for (const auto& [device, volume] : volumes_) TRY(volume->sync());
  return {};
}

}  // namespace holdfast::files
