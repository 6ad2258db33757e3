#include "source/postgres/materialise_plan.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "base/accounts.h"
#include "base/places.h"
#include "base/units.h"
#include "repo/tree.h"
#include "source/postgres/capture.h"
#include "source/postgres/file_list.h"
#include "source/restore_lock.h"

namespace holdfast::postgres {
namespace {

// Left free on each file system, for the WAL that recovery fetches.
constexpr uint64_t kSpareBytes = 64 << 20;
constexpr uint64_t kMaxMarkerBytes = 1 << 20;
constexpr size_t kMostLinksNamed = 10;
const std::string kTablespacePrefix = "pg_tblspc/";
const std::string kUsualOwner = "postgres";

Result<bool> is_absent_or_empty(FileSystem& fs, const std::string& path) {
  if (!TRY(exists(fs, path))) return true;
  return is_empty_directory(fs, path);
}

bool is_inside(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

// What a restore leaves that was interrupted while it made its marker.
Result<bool> holds_only_temporaries(FileSystem& fs, const std::string& directory) {
  const std::string temporary = fmt::format(".{}.", kRestoreMarker);
  const auto listed = TRY(fs.list(directory));
  return std::all_of(listed.begin(), listed.end(),
                     [&](const DirectoryEntry& entry) { return entry.name.starts_with(temporary); });
}

std::string read_marker(FileSystem& fs, const std::string& directory) {
  const auto marker = read_file(fs, join_path(directory, kRestoreMarker), kMaxMarkerBytes);
  return marker.ok() ? std::string(as_text(marker.value())) : std::string();
}

std::optional<uint64_t> marked_system_id(FileSystem& fs, const std::string& directory) {
  const std::string marker = read_marker(fs, directory);
  if (marker.empty()) return std::nullopt;
  return std::strtoull(marker.c_str(), nullptr, 10);
}

// Whether the restore that was interrupted there was filling this tablespace: its
// link may have been lost with the machine's power.
bool marks_tablespace(FileSystem& fs, const std::string& directory, const std::string& location) {
  return read_marker(fs, directory).find("\n" + location + "\n") != std::string::npos;
}

// What clusters of one major version have of a tablespace's location: each makes a
// directory there, PG_<major>_<catalog version>, with the tablespace itself, and keeps
// it for as long as the tablespace lives, whether or not anything is in it.
enum class Use { kNone, kMade, kHoldsData };

Result<Use> use_of(FileSystem& fs, const std::string& location, int major) {
  Use use = Use::kNone;
  for (const DirectoryEntry& entry : TRY(fs.list(location))) {
    if (!entry.name.starts_with(fmt::format("PG_{}_", major))) continue;
    if (!TRY(is_absent_or_empty(fs, join_path(location, entry.name)))) return Use::kHoldsData;
    use = Use::kMade;
  }
  return use;
}

bool is_there(FileSystem& fs, const std::string& path) {
  const auto found = exists(fs, path);
  return found.ok() && found.value();
}

// The data directory, whole or half restored, that a place lies in without being it; "" if none.
std::string cluster_around(FileSystem& fs, const std::string& place) {
  for (std::string at = parent_path(resolved_path(place));; at = parent_path(at)) {
    if (is_there(fs, join_path(at, kRestoreMarker))) return at;
    if (is_there(fs, join_path(at, "PG_VERSION")) && is_there(fs, join_path(at, "global/pg_control"))) return at;
    if (at == "/" || at == ".") return "";
  }
}

uint64_t size_of_tree(FileSystem& fs, const std::string& path) {
  const auto status = fs.stat(path);
  if (!status.ok()) return 0;
  if (!S_ISDIR(status.value().st_mode)) return static_cast<uint64_t>(status.value().st_blocks) * 512;
  uint64_t total = 0;
  const auto listed = fs.list(path);
  if (!listed.ok()) return 0;
  for (const DirectoryEntry& entry : listed.value()) total += size_of_tree(fs, join_path(path, entry.name));
  return total;
}

}  // namespace

std::string restore_marker(uint64_t system_id, const std::map<std::string, std::string>& tablespaces) {
  std::string text = fmt::format("{}\n", system_id);
  for (const auto& [oid, location] : tablespaces) text += location + "\n";
  return text;
}

namespace {

// The process that postmaster.pid names, if it is a server's; 0 if not.
pid_t process_of_pid_file(FileSystem& fs, const std::string& data_directory) {
  const auto content = read_file(fs, join_path(data_directory, "postmaster.pid"), 64 << 10);
  if (!content.ok()) return 0;
  const long pid = std::strtol(std::string(as_text(content.value())).c_str(), nullptr, 10);
  const auto process = static_cast<pid_t>(std::labs(pid));  // negative: a single-user server
  if (process <= 1 || (::kill(process, 0) != 0 && errno != EPERM)) return 0;
  // The number may be another process's by now: a server's working directory is its data directory.
  struct stat there{}, working{};
  const bool seen = ::stat(data_directory.c_str(), &there) == 0 &&
                    ::stat(fmt::format("/proc/{}/cwd", process).c_str(), &working) == 0;
  const bool elsewhere = seen && (there.st_dev != working.st_dev || there.st_ino != working.st_ino);
  return elsewhere ? 0 : process;
}

// A server's process that works in the directory, whatever became of postmaster.pid: as far as
// /proc shows those of our account, or as root of all, in our container and those below it.
// 0 if there is none.
pid_t process_working_in(const std::string& data_directory) {
  struct stat there{};
  if (::stat(data_directory.c_str(), &there) != 0) return 0;
  const auto processes = real_file_system().list("/proc");
  if (!processes.ok()) return 0;
  for (const DirectoryEntry& entry : processes.value()) {
    const long pid = std::strtol(entry.name.c_str(), nullptr, 10);
    if (pid <= 1) continue;
    struct stat working{};
    if (::stat(fmt::format("/proc/{}/cwd", pid).c_str(), &working) != 0) continue;
    if (working.st_dev != there.st_dev || working.st_ino != there.st_ino) continue;
    // Not a person's shell.
    const auto name = read_file(real_file_system(), fmt::format("/proc/{}/comm", pid), 64);
    const std::string_view text = name.ok() ? as_text(name.value()) : std::string_view();
    if (text == "postgres\n" || text == "postmaster\n" || text == "edb-postgres\n") return static_cast<pid_t>(pid);
  }
  return 0;
}

}  // namespace

Result<void> refuse_running(FileSystem& fs, const std::string& data_directory) {
  pid_t process = process_of_pid_file(fs, data_directory);
  if (process == 0) process = process_working_in(data_directory);
  if (process == 0) return {};
  return make_error(ErrorCode::kTargetRunning, "a server (process {}) runs on {}", process, data_directory)
      .with_hint("stop it, or restore to another directory");
}

std::string MaterialisePlan::tablespaces_there() const {
  if (source_.tablespaces.empty()) return "the snapshot has none";
  std::string names;
  for (const SnapshotTablespace& space : source_.tablespaces)
    names += fmt::format("{}{} at {}", names.empty() ? "" : ", ", space.oid, space.location);
  return "the snapshot has " + names;
}

Result<void> MaterialisePlan::place_tablespaces(const MaterialiseOptions& options) {
  std::map<std::string, std::string> unused = options.tablespaces;
  for (const SnapshotTablespace& space : source_.tablespaces) {
    std::string location = space.location;
    for (const std::string& key : {space.oid, space.location}) {
      const auto chosen = options.tablespaces.find(key);
      if (chosen != options.tablespaces.end()) location = chosen->second;
      unused.erase(key);
    }
    location = absolute_path(location);
    if (is_inside(directory_, location) || is_inside(location, directory_)) {
      return make_error(ErrorCode::kRefused, "tablespace {} would be restored to {}, which is not apart from {}",
                        space.oid, location, directory_)
          .with_hint("choose another place for it with --tablespace " + space.oid + "=DIR");
    }
    for (const auto& [oid, other] : tablespaces_) {
      if (is_inside(other, location) || is_inside(location, other)) {
        return make_error(ErrorCode::kRefused, "tablespaces {} and {} would be restored to one place, {}", oid,
                          space.oid, location);
      }
    }
    tablespaces_[space.oid] = location;
  }
  if (!unused.empty()) {
    return make_error(ErrorCode::kUsage, "the snapshot has no tablespace '{}'", unused.begin()->first)
        .with_hint("tablespaces are named by oid or by their old location; " + tablespaces_there());
  }
  return {};
}

// Held for as long as the plan lives, under the names that every restore of a tree takes: the
// data directory, where its old pg_wal leads, and each tablespace's place.
Result<void> MaterialisePlan::lock(FileSystem& fs) {
  std::set<std::string> places;
  for (const std::string& root : roots()) places.insert(resolved_path(root));
  const std::string wal = join_path(directory_, "pg_wal");
  if (fs.read_link(wal).ok()) places.insert(resolved_path(wal));
  for (const std::string& place : places) {
    locks_.push_back(TRY(source::lock_restore_place(place)));
  }
  return {};
}

Result<void> MaterialisePlan::look_at_target(source::World& world, const MaterialiseOptions& options) {
  TRY(refuse_running(world.fs, directory_));
  if (TRY(is_absent_or_empty(world.fs, directory_))) return {};
  if (!options.delta) {
    return make_error(ErrorCode::kTargetNotEmpty, "{} is not empty", directory_)
        .with_hint("give an empty directory, or --delta to reuse what is left of the same cluster there");
  }
  over_old_ = true;
  if (TRY(holds_only_temporaries(world.fs, directory_))) return {};
  auto there = marked_system_id(world.fs, directory_);
  if (!there) {
    auto identity = identify_directory(world.fs, directory_);
    if (!identity.ok()) {
      return make_error(ErrorCode::kMismatch, "{} is not empty, and whose cluster it is can't be told: {}", directory_,
                        identity.error().text())
          .with_hint(how_to_begin_anew());
    }
    there = identity.value().system_id;
  }
  if (*there == source_.system_id) return {};
  return make_error(ErrorCode::kMismatch, "{} holds another cluster: system identifier {}, not {}", directory_, *there,
                    source_.system_id)
      .with_hint("restore into an empty directory");
}

// In a data directory PostgreSQL takes what it does not know for its own, or removes it.
Result<void> MaterialisePlan::look_around(source::World& world) {
  for (const std::string& root : roots()) {
    const std::string cluster = cluster_around(world.fs, root);
    if (cluster.empty()) continue;
    return make_error(ErrorCode::kRefused, "{} lies inside the data directory of a cluster, {}", root, cluster)
        .with_hint(root == directory_ ? "restore to a directory outside of it"
                                      : "choose a place outside of it with --tablespace OLD=DIR");
  }
  return {};
}

// Nothing of what is there can be reused then, and what its tablespaces hold is in the way, too.
std::string MaterialisePlan::how_to_begin_anew() const {
  std::string others;
  for (const auto& [oid, location] : tablespaces_) others += fmt::format(", and {} (tablespace {})", location, oid);
  return fmt::format("move {}{} aside, then restore without --delta", directory_, others);
}

// With --delta a tablespace's place is ours if the old data directory refers to it, or
// an interrupted restore did; but not while the original refers to it, too.
bool MaterialisePlan::is_ours(FileSystem& fs, const std::string& oid, const std::string& location) const {
  const auto refers = [&](const std::string& data_directory) {
    const auto link = fs.read_link(join_path(data_directory, kTablespacePrefix + oid));
    return link.ok() && absolute_path(link.value()) == location;
  };
  if (!in_place_ && !original_.empty() && refers(original_)) return false;
  return refers(directory_) || marks_tablespace(fs, directory_, location);
}

Result<void> MaterialisePlan::look_at_tablespaces(source::World& world, const MaterialiseOptions& options) {
  for (const auto& [oid, location] : tablespaces_) {
    if (!TRY(exists(world.fs, location))) continue;
    if (options.delta && is_ours(world.fs, oid, location)) continue;
    const Use use = TRY(use_of(world.fs, location, source_.major));
    // An empty one is what is left of the original when we take its place; beside it, it is
    // in use: two clusters in one directory overwrite each other's files.
    if (use == Use::kNone || (use == Use::kMade && in_place_)) continue;
    return make_error(ErrorCode::kTargetNotEmpty, "the tablespace directory {} {}", location,
                      use == Use::kHoldsData ? "holds data" : "is in use by a cluster")
        .with_hint("choose another place for it with --tablespace " + oid + "=DIR, or clear it if no server uses it");
  }
  return {};
}

// Replay makes a tablespace where the original had it, and removes what it finds there:
// beside a cluster that lives on that would be its data.
Result<void> MaterialisePlan::look_at_replay(source::World& world, const ResolvedTarget& target) {
  for (const auto& space : target.tablespaces) {
    const std::string problem =
        fmt::format("the WAL to be replayed makes tablespace {} at {}", space.oid, space.location);
    if (!TRY(exists(world.fs, space.location))) {
      notes_.push_back(problem + ": that directory must exist, and be the server's, before it is started");
      continue;
    }
    if (in_place_) continue;
    const Use use = TRY(use_of(world.fs, space.location, source_.major));
    if (use != Use::kNone) {
      return make_error(ErrorCode::kRefused, "{}, which {}: replay would overwrite it", problem,
                        use == Use::kHoldsData ? "holds data" : "is in use by a cluster")
          .with_hint(
              "restore a point that was taken later, or to an instant before; or restore on another machine; or "
              "move that directory away, if no server uses it");
    }
    notes_.push_back(problem + ", where it will be");
  }
  return {};
}

// A link would lead into the original, or nowhere: what it led to is not in the point.
Result<void> MaterialisePlan::look_at_link(const repo::Entry& entry) {
  if (!is_below_servers_own(entry.path)) return {};
  const std::string problem =
      fmt::format("{} is a link to {} in the point, which has not what that led to", entry.path, entry.link_target);
  if (entry.path.ends_with(".conf") && entry.path.find('/') == std::string::npos) {
    notes_.push_back(problem + ": it is left out");
    return {};
  }
  return make_error(ErrorCode::kDamaged, "{}: it is no whole cluster", problem)
      .with_hint("restore another point, with --point");
}

void MaterialisePlan::note_links(FileSystem& fs) {
  std::vector<std::string> links;
  for (const SnapshotLink& link : source_.links) {
    const bool stays = link.path == "pg_wal" && fs.read_link(join_path(directory_, link.path)).ok();
    if (!stays) links.push_back(fmt::format("{} (to {})", link.path, link.target));
  }
  if (links.empty()) return;
  const std::string more =
      links.size() > kMostLinksNamed ? fmt::format(" and {} more", links.size() - kMostLinksNamed) : "";
  links.resize(std::min(links.size(), kMostLinksNamed));
  notes_.push_back(
      fmt::format("where the original's data directory had links, there will be what they led to, in the data "
                  "directory itself: {}{}",
                  fmt::join(links, ", "), more));
}

Result<void> MaterialisePlan::measure(repo::Repository& repository, const repo::Snapshot& snapshot) {
  auto reader = TRY(repo::TreeReader::open(repository, snapshot.root));
  while (true) {
    const auto entry = TRY(reader->next());
    if (!entry) return {};
    if (entry->path.empty()) {
      captured_uid_ = entry->uid;
      captured_gid_ = entry->gid;
    }
    if (entry->kind == repo::EntryKind::kSymlink) TRY(look_at_link(*entry));
    if (entry->kind != repo::EntryKind::kFile || !place_of(entry->path)) continue;
    std::string root = directory_;
    if (entry->path.starts_with(kTablespacePrefix)) {
      const size_t end = entry->path.find('/', kTablespacePrefix.size());
      const auto space =
          tablespaces_.find(entry->path.substr(kTablespacePrefix.size(), end - kTablespacePrefix.size()));
      if (space != tablespaces_.end()) root = space->second;
    }
    bytes_by_root_[root] += entry->size_bytes;
    files_++;
    bytes_ += entry->size_bytes;
  }
}

Result<void> MaterialisePlan::look_at_space(source::World& world) {
  struct Need {
    uint64_t bytes = 0;
    std::string path;
  };
  std::map<dev_t, Need> needs;
  for (const auto& [root, bytes] : bytes_by_root_) {
    const std::string nearest = existing_part(world.fs, root);
    if (::access(nearest.c_str(), W_OK | X_OK) != 0) {
      return make_error(ErrorCode::kPermission, "{} can't be written", nearest)
          .with_hint("run as its owner or as root");
    }
    const struct stat status = TRY(world.fs.stat(nearest + "/."));
    const uint64_t there = over_old_ ? size_of_tree(world.fs, root) : 0;
    Need& need = needs[status.st_dev];
    need.bytes += bytes > there ? bytes - there : 0;
    need.path = nearest;
  }
  for (const auto& [device, need] : needs) {
    const uint64_t free = TRY(world.fs.free_bytes(need.path));
    if (need.bytes == 0 || free >= need.bytes + kSpareBytes) continue;
    return make_error(ErrorCode::kNoSpace, "the file system of {} has {} free, and the restore needs {}", need.path,
                      format_bytes(free), format_bytes(need.bytes + kSpareBytes))
        .with_hint("make room there, or restore to another file system with --to");
  }
  return {};
}

// Whose it was, where no account here has that name; "" where that is not worth a word.
std::string MaterialisePlan::former_owner() const {
  if (!source_.owner.empty()) return fmt::format("'{}', an account that is not here", source_.owner);
  if (captured_uid_.value_or(0) == 0) return "";
  const std::string name = account_name(*captured_uid_);
  if (name == kUsualOwner) return "";
  return fmt::format("account {} of the machine that it was on ({})", *captured_uid_,
                     name.empty() ? "nobody's here" : fmt::format("'{}' here", name));
}

// Only root can give files away. Then: who was named, else who owns the directory that was made
// ready, else who owned the cluster by name, else the account postgres. Another machine may have
// given the number to somebody else: it counts alone where neither name is known.
void MaterialisePlan::choose_owner(const MaterialiseOptions& options, source::World& world) {
  if (::geteuid() != 0) return;
  const auto take = [&](uint32_t uid, uint32_t gid) {
    uid_ = uid;
    gid_ = gid;
  };
  if (options.uid) return take(*options.uid, options.gid.value_or(*options.uid));
  const auto status = world.fs.stat(resolved_path(directory_));
  if (status.ok() && status.value().st_uid != 0) return take(status.value().st_uid, status.value().st_gid);
  if (const auto owner = source_.owner.empty() ? std::nullopt : find_account(source_.owner)) {
    const auto group = source_.owner_group.empty() ? std::nullopt : find_group(source_.owner_group);
    return take(owner->uid, group.value_or(owner->gid));
  }
  const std::string former = former_owner();
  const std::string was = former.empty() ? "" : fmt::format("it belonged to {}: ", former);
  if (const auto account = find_account(kUsualOwner)) {
    if (!was.empty())
      notes_.push_back(fmt::format("{}it will belong to '{}' (--owner says otherwise)", was, kUsualOwner));
    return take(account->uid, account->gid);
  }
  if (source_.owner.empty() && captured_uid_.value_or(0) != 0 && !account_name(*captured_uid_).empty())
    return take(*captured_uid_, captured_gid_.value_or(*captured_uid_));
  notes_.push_back(fmt::format(
      "{}it will belong to root, whom PostgreSQL refuses: there is no account '{}'. Make the server's account first, "
      "or name another with --owner",
      was, kUsualOwner));
}

Result<MaterialisePlan> MaterialisePlan::make(source::World& world, repo::Repository& repository,
                                              const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                              const MaterialiseOptions& options) {
  MaterialisePlan plan;
  if (options.to.empty()) return make_error(ErrorCode::kUsage, "no directory to restore to was given");
  plan.source_ = TRY(snapshot_source(snapshot));
  plan.directory_ = absolute_path(options.to);
  plan.original_ = snapshot.source.value("data_directory", "");
  plan.in_place_ = !plan.original_.empty() && resolved_path(plan.original_) == resolved_path(plan.directory_);
  TRY(plan.place_tablespaces(options));
  if (!options.dry_run) TRY(plan.lock(world.fs));
  TRY(plan.look_around(world));
  TRY(plan.look_at_target(world, options));
  TRY(plan.look_at_tablespaces(world, options));
  TRY(plan.look_at_replay(world, target));
  TRY(plan.measure(repository, snapshot));
  TRY(plan.look_at_space(world));
  plan.choose_owner(options, world);
  plan.note_links(world.fs);
  if (options.standby && target.names_timeline) {
    plan.notes_.push_back(
        fmt::format("the standby follows timeline {} alone (recovery_target_timeline), and no failover of its primary "
                    "by itself: after one, set that to the new primary's timeline",
                    target.timeline));
  }
  return plan;
}

std::optional<std::string> MaterialisePlan::place_of(const std::string& path) const {
  // Links are made instead of a map; signal files belong to the old server's life.
  for (const char* left_out : {"tablespace_map", "standby.signal", "recovery.signal", kRestoreMarker, ".holdfast"}) {
    if (path == left_out) return std::nullopt;
  }
  if (path.starts_with(".holdfast/")) return std::nullopt;
  if (path.starts_with(kTablespacePrefix)) {
    const size_t end = path.find('/', kTablespacePrefix.size());
    const auto space = tablespaces_.find(
        path.substr(kTablespacePrefix.size(), end == std::string::npos ? end : end - kTablespacePrefix.size()));
    if (space != tablespaces_.end()) return end == std::string::npos ? space->second : space->second + path.substr(end);
  }
  return path.empty() ? directory_ : join_path(directory_, path);
}

std::vector<std::string> MaterialisePlan::roots() const {
  std::vector<std::string> roots = {directory_};
  for (const auto& [oid, location] : tablespaces_) roots.push_back(location);
  return roots;
}

}  // namespace holdfast::postgres
