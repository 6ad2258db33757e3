#include "source/postgres/file_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/places.h"

namespace holdfast::postgres {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  if (!is_number(text)) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "16384", "16384_fsm", "16384.3", "16384_init.1"
std::optional<RelationFile> parse_relation_name(std::string_view name) {
  RelationFile file;
  const size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const auto segment = number(name.substr(dot + 1));
    if (!segment || *segment == 0) return std::nullopt;
    file.segment = *segment;
    name = name.substr(0, dot);
  }
  const size_t underscore = name.find('_');
  if (underscore != std::string_view::npos) {
    const std::string_view fork = name.substr(underscore + 1);
    if (fork == "fsm")
      file.fork = Fork::kFreeSpace;
    else if (fork == "vm")
      file.fork = Fork::kVisibility;
    else if (fork == "init")
      file.fork = Fork::kInit;
    else
      return std::nullopt;
    name = name.substr(0, underscore);
  }
  const auto relation = number(name);
  if (!relation) return std::nullopt;
  file.relation = *relation;
  return file;
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path = path.substr(slash + 1);
  }
}

bool is_relation_directory(std::string_view directory) {
  if (directory == "global") return true;
  const auto parts = split(directory);
  if (parts.size() == 2) return parts[0] == "base" && is_number(parts[1]);
  return parts.size() == 4 && parts[0] == "pg_tblspc" && is_number(parts[1]) && parts[2].starts_with("PG_") &&
         is_number(parts[3]);
}

constexpr std::array<std::string_view, 8> kEmptiedDirectories = {
    "pg_dynshmem",  "pg_notify",   "pg_replslot", "pg_serial",
    "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_wal/archive_status"};
// Files of the data directory itself that belong to a running server or to another copy.
constexpr std::array<std::string_view, 9> kRunningFiles = {
    "postmaster.pid",   "postmaster.opts",          "backup_label",
    "backup_label.old", "tablespace_map",           "tablespace_map.old",
    "backup_manifest",  "postgresql.auto.conf.tmp", "current_logfiles.tmp"};

// Everything else at the top of a data directory that is the server's, beside the above.
// From PostgreSQL's source: initdb.c (subdirs, and the files it writes), xlog.h (the signal
// files, backup_label, tablespace_map), pidfile.h and pg_ctl.c (postmaster.*), syslogger.h
// (current_logfiles, logrotate), guc.h (postgresql.auto.conf), backup_manifest.c;
// recovery.conf is refused by xlogrecovery.c since 12; autoprewarm.c of contrib/pg_prewarm.
// The directory `log` is not here: its name is a setting, and what it holds is evidence.
constexpr std::string_view kOwnNames[] = {
    // directories
    "base", "global", "pg_commit_ts", "pg_logical", "pg_multixact", "pg_stat", "pg_tblspc", "pg_twophase", "pg_wal",
    "pg_xact",
    // files
    "PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "current_logfiles",
    "logrotate", "promote", "fallback_promote", "recovery.signal", "standby.signal", "recovery.conf",
    "backup_manifest.tmp", "autoprewarm.blocks", "autoprewarm.blocks.tmp"};

// Far below what a data directory needs: links that lead to each other go on for ever.
constexpr size_t kDeepestLink = 32;

template <typename List>
bool contains(const List& list, std::string_view item) {
  return std::find(std::begin(list), std::end(list), item) != std::end(list);
}

}  // namespace

std::optional<RelationFile> parse_relation_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !is_relation_directory(path.substr(0, slash))) return std::nullopt;
  auto file = parse_relation_name(path.substr(slash + 1));
  if (file) file->directory = path.substr(0, slash);
  return file;
}

std::optional<uint32_t> database_of(std::string_view directory) {
  if (directory == "global") return 0;
  return number(directory.substr(directory.rfind('/') + 1));
}

bool is_temporary_relation(std::string_view name) {
  if (name.size() < 4 || name[0] != 't') return false;
  const size_t underscore = name.find('_');
  return underscore != std::string_view::npos && is_number(name.substr(1, underscore - 1)) &&
         parse_relation_name(name.substr(underscore + 1)).has_value();
}

Treatment treatment_of(std::string_view path, bool is_directory) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name.starts_with("pgsql_tmp")) return Treatment::kSkip;
  if (name == ".holdfast" && slash == std::string_view::npos) return Treatment::kSkip;
  if (is_directory) {
    if (contains(kEmptiedDirectories, path)) return Treatment::kDirectoryOnly;
    return Treatment::kCapture;
  }
  if (path.starts_with("pg_wal/")) return Treatment::kSkip;
  if (name.starts_with("pg_internal.init")) return Treatment::kSkip;
  if (contains(kRunningFiles, path)) return Treatment::kSkip;
  if (slash != std::string_view::npos && is_relation_directory(path.substr(0, slash)) && is_temporary_relation(name)) {
    return Treatment::kSkip;
  }
  return Treatment::kCapture;
}

bool is_servers_own(std::string_view name) {
  return contains(kOwnNames, name) || contains(kEmptiedDirectories, name) || contains(kRunningFiles, name) ||
         name.starts_with("pgsql_tmp");
}

bool is_below_servers_own(std::string_view path) { return is_servers_own(path.substr(0, path.find('/'))); }

bool may_be_settings(std::string_view path) { return path.ends_with(".conf") || !is_below_servers_own(path); }

struct FileWalk::Level {
  std::string path, full_path;
  std::vector<std::string> names;  // sorted, the last one first
  std::set<uint32_t> unlogged;     // relations that have an init fork here
};

FileWalk::FileWalk(FileSystem& fs, std::string data_directory, std::string version_directory,
                   std::vector<std::string> configuration)
    : fs_(fs),
      root_(std::move(data_directory)),
      version_directory_(std::move(version_directory)),
      configuration_(std::move(configuration)) {}
FileWalk::~FileWalk() = default;

Result<void> FileWalk::enter(const FoundFile& directory) {
  Level level;
  level.path = directory.path;
  level.full_path = directory.full_path;
  if (treatment_of(directory.path, true) != Treatment::kDirectoryOnly) {
    auto listed = fs_.list(directory.full_path);
    if (!listed.ok() && listed.error().code() != ErrorCode::kNotFound) return std::move(listed).error();
    if (listed.ok()) {
      for (DirectoryEntry& entry : listed.value()) level.names.push_back(std::move(entry.name));
    }
  }
  if (!directory.tablespace_location.empty()) {
    std::erase_if(level.names, [&](const std::string& name) { return name != version_directory_; });
  }
  // The WAL itself is stored apart; directories in it are made anew when empty.
  std::sort(level.names.begin(), level.names.end(), std::greater<>());
  if (is_relation_directory(level.path)) {
    for (const std::string& name : level.names) {
      const auto file = parse_relation_name(name);
      if (file && file->fork == Fork::kInit) level.unlogged.insert(file->relation);
    }
  }
  levels_.push_back(std::move(level));
  return {};
}

bool FileWalk::is_followed(const std::string& path) const {
  if (is_below_servers_own(path)) return true;
  return std::any_of(configuration_.begin(), configuration_.end(), [&](const std::string& file) {
    return file.starts_with(path) && (file.size() == path.size() || file[path.size()] == '/');
  });
}

// Restored as a link, it would be without content elsewhere, and the original's own here.
Result<void> FileWalk::look_behind_link(const Level& level, FoundFile& found) {
  if (level.path == "pg_tblspc" && is_number(base_name(found.path))) {
    const std::string location =
        found.link_target.starts_with('/') ? found.link_target : join_path(level.full_path, found.link_target);
    found.full_path = found.tablespace_location = location;
    found.status = TRY_CONTEXT(fs_.stat(location + "/."), "{} points to {}", found.path, location);
    found.link_target.clear();
    return {};
  }
  if (!is_followed(found.path)) {
    found.is_symlink = true;
    return {};
  }
  found.followed_link = std::exchange(found.link_target, {});
  found.full_path = resolved_path(found.full_path);
  auto status = fs_.stat(found.full_path);
  if (!status.ok() || S_ISLNK(status.value().st_mode)) return take_dangling_link(found);
  found.status = std::move(status).value();
  if (!S_ISDIR(found.status.st_mode) || levels_.size() < kDeepestLink) return {};
  return make_error(ErrorCode::kUnsupported, "{} is a link to {}, and links there lead round in a circle", found.path,
                    found.followed_link);
}

// Sets full_path to "" where the point does without.
Result<void> FileWalk::take_dangling_link(FoundFile& found) {
  if (treatment_of(found.path, true) == Treatment::kDirectoryOnly) {
    found.status.st_mode = S_IFDIR | 0700;
    return {};
  }
  const std::string problem =
      fmt::format("{} is a link to {}, where nothing can be found", found.path, found.followed_link);
  const bool is_settings = found.path.ends_with(".conf") && found.path.find('/') == std::string::npos;
  if (!is_settings && is_below_servers_own(found.path))
    return make_error(ErrorCode::kNotFound, "{}", problem).with_hint("put back what it led to, or remove the link");
  faults_.push_back(problem);
  found.full_path.clear();
  return {};
}

Result<std::optional<FoundFile>> FileWalk::examine(Level& level, const std::string& name) {
  FoundFile found;
  found.path = level.path.empty() ? name : level.path + "/" + name;
  found.full_path = join_path(level.full_path, name);
  auto status = fs_.stat(found.full_path);
  if (!status.ok() && status.error().code() == ErrorCode::kNotFound) return std::optional<FoundFile>();
  found.status = TRY(std::move(status));
  if (S_ISLNK(found.status.st_mode)) {
    if (treatment_of(found.path, false) == Treatment::kSkip) return std::optional<FoundFile>();
    found.link_target = TRY(fs_.read_link(found.full_path));
    TRY(look_behind_link(level, found));
    if (found.full_path.empty()) return std::optional<FoundFile>();
  }
  found.is_directory = S_ISDIR(found.status.st_mode);
  if (!found.is_directory && !found.is_symlink && !S_ISREG(found.status.st_mode)) return std::optional<FoundFile>();
  if (treatment_of(found.path, found.is_directory) == Treatment::kSkip) return std::optional<FoundFile>();
  if (!level.unlogged.empty()) {
    const auto file = parse_relation_name(name);
    if (file && file->fork != Fork::kInit && level.unlogged.contains(file->relation)) return std::optional<FoundFile>();
  }
  return std::optional<FoundFile>(std::move(found));
}

Result<std::optional<FoundFile>> FileWalk::next() {
  if (!started_) {
    started_ = true;
    FoundFile root;
    root.full_path = root_;
    root.status = TRY(fs_.stat(root_));
    if (S_ISLNK(root.status.st_mode)) root.status = TRY(fs_.stat(root_ + "/."));
    root.is_directory = true;
    TRY(enter(root));
    return std::optional<FoundFile>(std::move(root));
  }
  while (!levels_.empty()) {
    if (levels_.back().names.empty()) {
      levels_.pop_back();
      continue;
    }
    const std::string name = std::move(levels_.back().names.back());
    levels_.back().names.pop_back();
    auto found = TRY(examine(levels_.back(), name));
    if (!found) continue;
    if (found->is_directory) TRY(enter(*found));
    return found;
  }
  return std::optional<FoundFile>();
}

}  // namespace holdfast::postgres
