#include "source/postgres/capture_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/log.h"

namespace holdfast::postgres {
namespace {

// Longer than any file system's tick: within it a file may change twice with one time.
constexpr Duration kTimestampDoubt = Duration::seconds(2);
constexpr size_t kMostLinks = 100;  // that are remembered, for people

Time time_of(const struct timespec& time) { return {time.tv_sec * 1'000'000'000 + time.tv_nsec}; }

// When the file was made, as text; "" where the file system does not say. Inode
// numbers are used again soon after a drop, birth times are not.
std::string birth_of(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BTIME, &status) != 0) return "";
  if (!(status.stx_mask & STATX_BTIME)) return "";
  return std::to_string(status.stx_btime.tv_sec * 1'000'000'000 + status.stx_btime.tv_nsec);
}

}  // namespace

repo::Entry entry_of(const std::string& path, const struct stat& status) {
  repo::Entry entry;
  entry.path = path;
  entry.kind = S_ISDIR(status.st_mode)   ? repo::EntryKind::kDirectory
               : S_ISLNK(status.st_mode) ? repo::EntryKind::kSymlink
                                         : repo::EntryKind::kFile;
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.modified = time_of(status.st_mtim);
  entry.changed = time_of(status.st_ctim);
  entry.inode = status.st_ino;
  if (entry.kind == repo::EntryKind::kFile) entry.size_bytes = static_cast<uint64_t>(status.st_size);
  return entry;
}

// Sets what the file has in common with the previous snapshot.
Result<void> DirectorySource::compare(CapturedFile& file) {
  PreviousSnapshot* const previous = options_.previous;
  if (!previous) return {};
  auto before = TRY(previous->next_at(file.entry.path));
  if (!before || before->kind != repo::EntryKind::kFile) return {};
  const repo::Entry& now = file.entry;
  const bool same = before->size_bytes == now.size_bytes && before->modified == now.modified &&
                    before->changed == now.changed && before->inode == now.inode;
  const bool settled = std::max(now.modified, now.changed) + kTimestampDoubt <= before->captured;
  file.compare = previous->had_bad_pages(now.path) || previous->had_torn_pages(now.path);
  if (same && settled && !file.compare) {
    file.take_over = true;
    file.entry.source_data = before->source_data;
    file.previous = std::move(before);
    return {};
  }
  if (!file.relation) return {};
  // What the log names, and page LSNs, mean something only within one life of a file: a
  // relation dropped and made again under the same number may bring pages with old LSNs.
  file.entry.source_data = birth_of(file.full_path);
  if (before->inode != now.inode || before->source_data != file.entry.source_data) return {};
  file.previous = std::move(before);
  const auto database = database_of(file.relation->directory);
  file.by_log = options_.by_log && database && file.relation->fork == Fork::kMain && !file.compare;
  file.database = database.value_or(0);
  return {};
}

Result<std::shared_ptr<CapturedFile>> DirectorySource::prepare(FoundFile found) {
  auto file = std::make_shared<CapturedFile>();
  file->entry = entry_of(found.path, found.status);
  file->entry.link_target = std::move(found.link_target);
  file->entry.captured = world_.clock.now();
  file->full_path = std::move(found.full_path);
  if (!found.tablespace_location.empty()) {
    tablespaces_.emplace_back(found.path.substr(found.path.rfind('/') + 1), found.tablespace_location);
  }
  if (!found.followed_link.empty() && links_.size() < kMostLinks) links_.push_back({found.path, found.followed_link});
  if (file->entry.kind != repo::EntryKind::kFile) return file;
  if (options_.with_pages) file->relation = parse_relation_path(found.path);
  TRY(compare(*file));
  if (file->relation && file->entry.source_data.empty()) file->entry.source_data = birth_of(file->full_path);
  world_.progress.files_total++;
  return file;
}

Result<std::optional<CaptureTask>> DirectorySource::next() {
  while (!current_) {
    auto found = TRY(walk_.next());
    if (!found) return std::optional<CaptureTask>();
    if (found->path == "global/pg_control") continue;
    current_ = TRY(prepare(std::move(*found)));
    offset_ = 0;
  }
  CaptureTask task{current_, offset_, 0, false, std::nullopt};
  const uint64_t size = current_->entry.size_bytes;
  task.length = current_->take_over ? size : std::min(kRegionBytes, size - offset_);
  offset_ += task.length;
  task.last = offset_ == size;
  if (task.last) current_.reset();
  return std::optional<CaptureTask>(std::move(task));
}

Result<void> add_small_file(repo::WriteSession& session, EntrySpool& entries, repo::Entry entry, ByteView content) {
  entry.size_bytes = content.size();
  if (!content.empty()) {
    entry.content.extents.push_back({content.size(), TRY(session.put(repo::BlockKind::kData, content)), 0});
  }
  entries.add(entry);
  return {};
}

std::vector<std::string> configuration_files(ServerSession& server) {
  // A file of which every setting is overridden elsewhere stands in pg_file_settings alone.
  const auto may_list = server.value(
      "select has_table_privilege('pg_file_settings', 'select') and"
      " has_function_privilege('pg_show_all_file_settings()', 'execute')");
  std::string query =
      "select setting from pg_settings where name in ('config_file', 'hba_file', 'ident_file') and setting is not null"
      " union select sourcefile from pg_settings where sourcefile is not null";
  if (may_list.ok() && may_list.value() == "t")
    query += " union select sourcefile from pg_file_settings where sourcefile is not null";
  const auto rows = server.exec(query);
  if (!rows.ok()) return {};  // not for our eyes; the cluster's data is what matters
  std::vector<std::string> files;
  for (size_t i = 0; i < rows.value().size(); i++) files.emplace_back(rows.value().at(i, 0));
  return files;
}

Result<std::vector<std::string>> capture_outside_configuration(source::World& world, repo::WriteSession& session,
                                                               const std::vector<std::string>& files,
                                                               const std::string& data_directory, EntrySpool& entries) {
  std::set<std::string> names;
  std::vector<std::string> not_read;
  for (const std::string& path : files) {
    if (path.empty() || path.starts_with(data_directory + "/")) continue;
    auto content = read_file(world.fs, path);
    auto status = world.fs.stat(path);
    if (!content.ok() || !status.ok()) {
      log_warn("postgres.capture.configuration_not_read", {{"path", path}});
      not_read.push_back(path);
      continue;
    }
    // conf.d/x.conf keeps its folder, so that an include_dir still finds it.
    const std::string parent = base_name(parent_path(path));
    const std::string name = parent == "conf.d" ? "conf.d/" + base_name(path) : base_name(path);
    if (!names.insert(name).second) continue;
    TRY(add_small_file(session, entries, entry_of(kConfigPrefix + name, status.value()), content.value()));
  }
  return not_read;
}

}  // namespace holdfast::postgres
