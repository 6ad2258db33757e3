#include "source/redis/materialise.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/accounts.h"
#include "base/filesystem.h"
#include "base/places.h"
#include "base/units.h"
#include "source/redis/append_only.h"
#include "source/redis/file_sink.h"

namespace holdfast::redis {
namespace {

constexpr uint64_t kSpareBytes = 64 << 20;
constexpr int kFirstPartsRdb = 10;  // what Redis 7.0 writes, the first whose AOF has parts
constexpr mode_t kFileMode = 0600;
constexpr uint64_t kMaxMarkerBytes = 4096;

// In the staging folder while files get their places: a line for each, "dump.rdb <inode>
// <bytes> <nanoseconds of its last change>", which a rename keeps.
constexpr const char* kPlacing = "placing";
// What is put in place, in this order: dump.rdb last.
constexpr std::array kPlaced = {kAppendDirectory, kAppendSingle, kRdbName};

// A server's process that works in the directory, as far as /proc shows those of our
// account, or as root of all. 0 if there is none.
pid_t server_working_in(const std::string& directory) {
  struct stat there{};
  if (::stat(directory.c_str(), &there) != 0) return 0;
  const auto processes = real_file_system().list("/proc");
  if (!processes.ok()) return 0;
  for (const DirectoryEntry& entry : processes.value()) {
    const long pid = std::strtol(entry.name.c_str(), nullptr, 10);
    if (pid <= 1) continue;
    struct stat working{};
    if (::stat(fmt::format("/proc/{}/cwd", pid).c_str(), &working) != 0) continue;
    if (working.st_dev != there.st_dev || working.st_ino != there.st_ino) continue;
    // Not a person's shell. redis-server, valkey-server, keydb-server.
    const auto name = read_file(real_file_system(), fmt::format("/proc/{}/comm", pid), 64);
    if (name.ok() && as_text(name.value()).find("-server") != std::string_view::npos) return static_cast<pid_t>(pid);
  }
  return 0;
}

class Materialiser {
 public:
  Materialiser(source::World& world, repo::Repository& repository, CommandLog& log, const repo::Snapshot& snapshot,
               const ResolvedTarget& target, const MaterialiseOptions& options)
      : world_(world),
        fs_(world.fs),
        repository_(repository),
        log_(log),
        snapshot_(snapshot),
        target_(target),
        options_(options),
        directory_(resolved_path(options.to)),
        staging_(join_path(directory_, kRestoreFolder)) {}

  Materialiser(const Materialiser&) = delete;
  ~Materialiser() { let_go(); }

  Result<MaterialiseReport> run() {
    source_ = TRY(snapshot_source(snapshot_));
    TRY(check_target());
    TRY(check_space());
    choose_owner();
    report_.bytes = snapshot_.source_bytes;
    report_.notes = target_.notes;
    if (options_.dry_run) return std::move(report_);
    TRY(clear());
    TRY(write());
    TRY(lay_out());
    TRY(place());
    return std::move(report_);
  }

 private:
  // What a restore that was interrupted had put in place: what its marker tells of, the staging
  // folder no longer has, and nobody has touched since. Without the marker nothing outside of
  // that folder is a restore's. kTargetNotEmpty for what was touched: a server's, by now.
  Result<std::vector<std::string>> placed_before() {
    std::vector<std::string> names;
    const auto marker = read_file(fs_, join_path(staging_, kPlacing), kMaxMarkerBytes);
    if (!marker.ok() && marker.error().code() == ErrorCode::kNotFound) return names;
    if (!marker.ok()) return marker.error().clone();
    const std::string lines = fmt::format("\n{}", as_text(marker.value()));
    for (const char* name : kPlaced) {
      const bool is_placed = TRY(exists(fs_, join_path(directory_, name)));
      if (!is_placed || TRY(exists(fs_, join_path(staging_, name)))) continue;
      for (const std::string& path : TRY(files_of(directory_, name))) {
        if (lines.find(fmt::format("\n{}\n", TRY(identity(directory_, path)))) == std::string::npos) return holds(path);
      }
      names.emplace_back(name);
    }
    return names;
  }

  // A name itself, or what is below it where it is a directory.
  Result<std::vector<std::string>> files_of(const std::string& base, const std::string& name) {
    const std::string path = join_path(base, name);
    if (!S_ISDIR(TRY(fs_.stat(path)).st_mode)) return std::vector{name};
    std::vector<std::string> files;
    for (const DirectoryEntry& entry : TRY(fs_.list(path))) files.push_back(join_path(name, entry.name));
    return files;
  }

  // Which file has the name, and with which content: its line in the marker.
  Result<std::string> identity(const std::string& base, const std::string& name) {
    const struct stat status = TRY(fs_.stat(join_path(base, name)));
    return fmt::format("{} {} {} {}", name, status.st_ino, status.st_size,
                       status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec);
  }

  Result<void> check_target() {
    const auto status = fs_.stat(directory_);
    if (!status.ok()) return status.error().code() == ErrorCode::kNotFound ? Result<void>() : status.error().clone();
    if (!S_ISDIR(status.value().st_mode))
      return make_error(ErrorCode::kTargetNotEmpty, "{} is no directory", directory_);
    if (const pid_t process = server_working_in(directory_); process != 0) {
      return make_error(ErrorCode::kTargetRunning, "a server (process {}) runs on {}", process, directory_)
          .with_hint("stop it, restore to another directory, or into the running server with --into");
    }
    std::vector<std::string> own = TRY(placed_before());
    own.emplace_back(kRestoreFolder);
    for (const DirectoryEntry& entry : TRY(fs_.list(directory_))) {
      if (std::find(own.begin(), own.end(), entry.name) == own.end()) return holds(entry.name);
    }
    return {};
  }

  Error holds(const std::string& name) const {
    return make_error(ErrorCode::kTargetNotEmpty, "{} is not empty: it holds {}", directory_, name)
        .with_hint("move away what is there, or restore to another directory with --to");
  }

  Result<void> check_space() {
    const std::string nearest = existing_part(fs_, directory_);
    const bool replay = target_.replay_bytes() > 0;
    const uint64_t copies = 1 + (replay ? 1 : 0) + (source_.rdb_version < kFirstPartsRdb ? 1 : 0);
    const uint64_t need = snapshot_.source_bytes * copies + 2 * target_.replay_bytes() + kSpareBytes;
    const uint64_t free = TRY(fs_.free_bytes(nearest));
    if (free >= need) return {};
    return make_error(ErrorCode::kNoSpace, "the file system of {} has {} free, and the restore needs {}", nearest,
                      format_bytes(free), format_bytes(need))
        .with_hint("make room there, or restore to another file system with --to");
  }

  // Only root can give files away. Then: who was named, else who owns the directory that
  // was made ready, else the user redis.
  void choose_owner() {
    if (::geteuid() != 0) return;
    uid_ = options_.uid;
    gid_ = options_.gid ? options_.gid : options_.uid;
    const auto status = fs_.stat(directory_);
    if (!uid_ && status.ok() && status.value().st_uid != 0) {
      uid_ = status.value().st_uid;
      gid_ = status.value().st_gid;
    }
    if (const auto account = uid_ ? std::nullopt : find_account("redis")) {
      uid_ = account->uid;
      gid_ = account->gid;
    }
    if (!uid_) report_.notes.push_back("what is written belongs to root: give it to the server's account (--owner)");
  }

  // Two restores to one directory: the second must not take the first for an interrupted one.
  Result<void> hold() {
    held_ = ::open(staging_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (held_ < 0 || ::flock(held_, LOCK_EX | LOCK_NB) == 0) return {};
    return make_error(ErrorCode::kLocked, "another restore writes to {}", directory_)
        .with_hint("wait for its end, or restore to another directory");
  }
  void let_go() {
    if (held_ >= 0) ::close(std::exchange(held_, -1));
  }

  // What a restore that was interrupted has left goes.
  Result<void> clear() {
    TRY(make_directories(fs_, directory_, 0700));
    TRY(hold());
    for (const std::string& name : TRY(placed_before())) TRY(remove_tree(fs_, join_path(directory_, name)));
    TRY(fs_.sync_directory(directory_));
    TRY(remove_staging());
    let_go();
    TRY(fs_.make_directory(staging_, 0700));
    TRY(hold());
    return fs_.sync_directory(directory_);
  }

  // The marker first: what it speaks of is gone, or is the server's from now on.
  Result<void> remove_staging() {
    if (!TRY(exists(fs_, staging_))) return {};
    TRY(remove_tree(fs_, join_path(staging_, kPlacing)));
    TRY(fs_.sync_directory(staging_));
    return remove_tree(fs_, staging_);
  }

  Result<void> write() {
    StateOptions options;
    options.directory = staging_;
    options.bin_directory = options_.bin_directory;
    options.folding = options_.folding;
    state_ = TRY(write_state(world_, repository_, log_, snapshot_, target_, options));
    report_.commands = state_.command_count;
    report_.faults = state_.faults;
    report_.rdb = state_.folded.empty() ? state_.base_rdb : state_.folded_rdb;
    if (!state_.base_rdb.modules.empty()) {
      report_.notes.push_back(fmt::format("it holds data of modules ({}): a server starts on it only with these loaded",
                                          fmt::join(state_.base_rdb.modules, ", ")));
    }
    if (!state_.commands.empty() && state_.folded.empty()) {
      report_.notes.push_back(
          fmt::format("there is no {}, as the commands after the snapshot could not be folded in: {}; start the server "
                      "with 'appendonly yes', which loads them",
                      kRdbName, state_.why_not_folded));
    }
    return {};
  }

  bool replays() const { return !state_.commands.empty(); }

  // An AOF is for a server of the snapshot's version: what a newer one saved it can't load.
  bool append_needs_commands() const {
    return replays() && (state_.folded.empty() || state_.folded_rdb.version > state_.base_rdb.version);
  }

  Result<void> lay_out() {
    world_.progress.phase = "putting files in place";
    const bool parts = state_.base_rdb.version >= kFirstPartsRdb;
    const std::string append_base = append_needs_commands() || state_.folded.empty() ? state_.base : state_.folded;
    TRY(parts ? lay_out_parts(append_base) : lay_out_single(append_base));
    if (append_needs_commands() && !state_.folded.empty()) {
      report_.notes.push_back(
          fmt::format("{} is RDB version {}, which a server of version {} can't load: start it with 'appendonly yes'",
                      kRdbName, state_.folded_rdb.version, state_.base_rdb.redis_version));
    }
    const std::string dump = !state_.folded.empty() ? state_.folded : !replays() ? state_.base : "";
    if (dump.empty()) return {};
    return move_to(dump, join_path(staging_, kRdbName));
  }

  Result<void> move_to(const std::string& from, const std::string& to) {
    TRY(own(from));
    TRY(fs_.rename(from, to));
    return count(to);
  }

  Result<void> count(const std::string& path) {
    report_.files++;
    report_.bytes_written += static_cast<uint64_t>(TRY(fs_.stat(path)).st_size);
    return {};
  }

  // The base is the very file that dump.rdb is: neither is ever written to, only replaced.
  Result<void> lay_out_parts(const std::string& base) {
    const std::string parts = join_path(staging_, kAppendDirectory);
    TRY(fs_.make_directory(parts, 0700));
    TRY(own(base));
    TRY(fs_.hard_link(base, join_path(parts, kAppendBase)));
    if (append_needs_commands()) {
      TRY(count(join_path(parts, kAppendBase)));
      TRY(move_to(state_.commands, join_path(parts, append_part_name(1))));
    } else {
      report_.files++;
    }
    const std::string manifest = join_path(parts, kAppendManifest);
    TRY(write_file_durably(fs_, manifest, as_bytes(append_manifest(append_needs_commands() ? 1 : 0)), kFileMode));
    TRY(own(manifest));
    TRY(count(manifest));
    TRY(own(parts));
    return fs_.sync_directory(parts);
  }

  // A file of its own: a server appends to it.
  Result<void> lay_out_single(const std::string& base) {
    const std::string path = join_path(staging_, kAppendSingle);
    FileSink sink = TRY(FileSink::create(fs_, path, kFileMode));
    TRY(copy(base, sink));
    if (append_needs_commands()) TRY(copy(state_.commands, sink));
    TRY(sink.finish());
    TRY(own(path));
    return count(path);
  }

  Result<void> copy(const std::string& path, FileSink& sink) {
    auto source = TRY(FileSource::open(fs_, path));
    Bytes buffer(1 << 20);
    while (true) {
      const size_t length = TRY(source->read(buffer.mutable_view()));
      if (length == 0) return {};
      TRY(sink.append(buffer.view(0, length)));
    }
  }

  Result<void> own(const std::string& path) const {
    if (uid_ && ::lchown(path.c_str(), *uid_, *gid_) != 0) return Error::from_errno(errno, path);
    return {};
  }

  // dump.rdb last; until then a server that somebody starts finds nothing that is half made.
  // A server may have been started since the beginning: what it made there stays.
  Result<void> place() {
    TRY(check_target());
    std::vector<std::string> names;
    std::string marker;
    for (const char* name : kPlaced) {
      if (!TRY(exists(fs_, join_path(staging_, name)))) continue;
      names.emplace_back(name);
      for (const std::string& path : TRY(files_of(staging_, name))) marker += TRY(identity(staging_, path)) + "\n";
    }
    TRY(write_file_durably(fs_, join_path(staging_, kPlacing), as_bytes(marker), kFileMode));
    for (const std::string& name : names) {
      TRY(put_in_place(name));
      TRY(fs_.sync_directory(directory_));
    }
    TRY(remove_staging());
    TRY(own(directory_));
    return fs_.sync_directory(directory_);
  }

  // Over nothing: not even an empty directory of that name.
  Result<void> put_in_place(const std::string& name) {
    const std::string from = join_path(staging_, name), to = join_path(directory_, name);
    if (TRY(exists(fs_, to))) return holds(name);
    // Not every file system can rename a directory so; over one that holds anything none does.
    return name == kAppendDirectory ? fs_.rename(from, to) : fs_.rename_exclusive(from, to);
  }

  source::World& world_;
  FileSystem& fs_;
  repo::Repository& repository_;
  CommandLog& log_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const MaterialiseOptions& options_;
  const std::string directory_, staging_;
  SnapshotSource source_;
  std::optional<uint32_t> uid_, gid_;
  int held_ = -1;  // the staging folder, locked
  StateFiles state_;
  MaterialiseReport report_;
};

}  // namespace

Result<MaterialiseReport> materialise(source::World& world, repo::Repository& repository, CommandLog& log,
                                      const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                      const MaterialiseOptions& options) {
  if (options.to.empty()) return make_error(ErrorCode::kUsage, "no directory to restore to was given");
  return Materialiser(world, repository, log, snapshot, target, options)
      .run()
      .context(fmt::format("restoring '{}'", snapshot.component));
}

}  // namespace holdfast::redis
