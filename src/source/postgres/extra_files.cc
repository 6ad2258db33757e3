#include "source/postgres/extra_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "source/postgres/file_list.h"
#include "source/postgres/materialise_plan.h"
#include "source/postgres/some_of.h"

namespace holdfast::postgres {

namespace {

constexpr size_t kMostNamesShown = 10;

repo::EntryKind kind_of(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return repo::EntryKind::kDirectory;
  return S_ISLNK(status.st_mode) ? repo::EntryKind::kSymlink : repo::EntryKind::kFile;
}

// What a restore writes anew, and what no backup has (WAL, caches), need not be told.
bool is_told(const std::string& path, bool is_directory) {
  if (path == "recovery.signal" || path == "standby.signal" || path == "postgresql.auto.conf") return false;
  return treatment_of(path, is_directory) == Treatment::kCapture &&
         treatment_of(parent_path(path), true) == Treatment::kCapture;
}

}  // namespace

// Whether this name at the top of the data directory is neither PostgreSQL's nor ours.
bool ExtraFiles::stays(const std::string& name) const {
  return !options_.others_too && !is_servers_own(name) && !name.starts_with(fmt::format(".{}", kRestoreMarker));
}

Result<void> ExtraFiles::remove(const std::string& place, const std::string& path) {
  const struct stat status = TRY(fs_.stat(place));
  if (is_told(path, S_ISDIR(status.st_mode))) removed_.push_back({kind_of(status), path});
  return options_.look_only ? Result<void>() : remove_tree(fs_, place);
}

Result<void> ExtraFiles::walk(const std::string& directory, const std::string& tree_path) {
  const auto listed = TRY(fs_.list(directory));
  for (const DirectoryEntry& entry : listed) {
    const std::string path = tree_path.empty() ? entry.name : tree_path + "/" + entry.name;
    const std::string full = join_path(directory, entry.name);
    if (path == kRestoreMarker) continue;
    if (tree_path.empty() && stays(entry.name)) {
      if (!expected_.contains(path)) left_.push_back(path);
      continue;
    }
    if (!expected_.contains(path)) {
      TRY(remove(full, path));
      continue;
    }
    const struct stat status = TRY(fs_.stat(full));
    // A link to a directory is a tablespace, which is seen to apart, or the WAL's place.
    if (S_ISDIR(status.st_mode) || (S_ISLNK(status.st_mode) && path == "pg_wal")) TRY(walk(full, path));
  }
  return {};
}

Result<void> ExtraFiles::go_through(const std::string& data_directory,
                                    const std::map<std::string, std::string>& tablespaces) {
  TRY(walk(data_directory, ""));
  for (const auto& [oid, location] : tablespaces) {
    if (options_.look_only && !TRY(exists(fs_, location))) continue;
    for (const DirectoryEntry& entry : TRY(fs_.list(location))) {
      const std::string path = "pg_tblspc/" + oid + "/" + entry.name;
      if (expected_.contains(path)) TRY(walk(join_path(location, entry.name), path));
    }
  }
  std::sort(removed_.begin(), removed_.end(), [](const Removed& a, const Removed& b) { return a.path < b.path; });
  std::sort(left_.begin(), left_.end());
  return {};
}

std::vector<std::string> ExtraFiles::notes() const {
  std::vector<std::string> notes;
  if (!left_.empty())
    notes.push_back(fmt::format("{}left in place, since it is not PostgreSQL's (--remove-extra removes it): {}",
                                options_.look_only ? "will be " : "", some_of(left_, kMostNamesShown)));
  if (!removed_.empty() && !options_.look_only) {
    std::vector<std::string> paths;
    for (const Removed& each : removed_) paths.push_back(each.path);
    notes.push_back("removed, since the point does not have it: " + some_of(paths, kMostNamesShown));
  }
  return notes;
}

}  // namespace holdfast::postgres
