#include "recovery/drill_registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/workers.h"
#include "repo/process_mark.h"

namespace holdfast::recovery {

namespace {

constexpr std::string_view kLockSuffix = ".lock";
constexpr const char* kDirectoryPrefix = "holdfast-drill-";
constexpr uint64_t kMaxMarkerBytes = 1 << 20;
constexpr Duration kDeathDeadline = Duration::seconds(30);
constexpr Duration kPollInterval = Duration::milliseconds(10);

// A file, or a directory, locked for this process alone until the object goes.
class Lock {
 public:
  // Empty when another holds it and `wait` is false.
  static Result<std::unique_ptr<Lock>> take(const std::string& path, int flags, bool wait) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (fd < 0) return Error::from_errno(errno, path);
    std::unique_ptr<Lock> lock(new Lock(fd));
    while (::flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
      if (errno == EWOULDBLOCK) return std::unique_ptr<Lock>();
      if (errno != EINTR) return Error::from_errno(errno, path);
    }
    return lock;
  }
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

// A number without a mark proves nothing, and those up to 1 are no server's: kill(2) takes
// 0 and less for all processes that it may reach. A PostgreSQL that is killed before it has
// quit leaves its shared memory to the machine.
Result<void> end_process(Clock& clock, pid_t process, const std::string& mark) {
  if (process <= 1 || mark.empty()) return {};
  const Duration began = clock.monotonic();
  bool asked = false;
  while (!repo::is_proven_dead(process, mark)) {
    // Another boot or PID namespace: it is not one that we can see.
    if (repo::process_mark_of(process) != mark) return {};
    const Duration passed = clock.monotonic() - began;
    if (passed > kDeathDeadline) return make_error(ErrorCode::kTimeout, "process {} does not end", process);
    if (passed > kQuitPatience) ::kill(process, SIGKILL);
    if (!std::exchange(asked, true)) ::kill(process, SIGQUIT);
    clock.sleep(kPollInterval);
  }
  return {};
}

class Sweeper {
 public:
  Sweeper(FileSystem& fs, Clock& clock, const std::string& base, std::string id)
      : fs_(fs), clock_(clock), base_(base), swept_{std::move(id), "", "", std::nullopt} {}

  SweptDrill run() {
    auto done = sweep();
    if (done.ok()) {
      log_info("recovery.drill.swept", {{"drill", swept_.id}, {"phase", swept_.phase}});
    } else {
      swept_.problem = std::move(done).error().with_context("cleaning up after drill " + swept_.id);
      log_warn("recovery.drill.not_swept", {{"drill", swept_.id}, {"error", swept_.problem->text()}});
    }
    return std::move(swept_);
  }

 private:
  Result<void> sweep() {
    TRY(read());
    if (!swept_.directory.empty()) {
      if (base_name(swept_.directory) != drill_directory_name(swept_.id))
        return make_error(ErrorCode::kInvalidData, "{}.json names {}, which is not the drill's own directory", base_,
                          swept_.directory)
            .with_hint("look at it, and remove both by hand");
      for (const auto& [process, mark] : processes_) TRY(end_process(clock_, process, mark));
      TRY(end_workers(fs_, clock_, swept_.directory));
      TRY(remove_tree(fs_, swept_.directory));
    }
    for (const char* suffix : {".json", ".lock"}) {
      auto removed = fs_.remove_file(base_ + suffix);
      if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return std::move(removed).error();
    }
    return {};
  }

  // A drill that died before its description was there has made nothing.
  Result<void> read() {
    const auto content = read_file(fs_, base_ + ".json", kMaxMarkerBytes);
    if (!content.ok()) {
      if (content.error().code() == ErrorCode::kNotFound) return {};
      return content.error().clone();
    }
    const auto json = nlohmann::json::parse(as_text(*content), nullptr, false);
    try {
      swept_.directory = json.at("directory").get<std::string>();
      swept_.phase = json.at("phase").get<std::string>();
      for (const auto& server : json.at("processes"))
        processes_.emplace_back(server.at("process").get<pid_t>(), server.at("mark").get<std::string>());
    } catch (const nlohmann::json::exception& exception) {
      return make_error(ErrorCode::kInvalidData, "{}.json is not a drill's marker: {}", base_, exception.what())
          .with_hint("remove what the drill left, and then this file and its .lock");
    }
    return {};
  }

  FileSystem& fs_;
  Clock& clock_;
  const std::string base_;
  SweptDrill swept_;
  std::vector<std::pair<pid_t, std::string>> processes_;
};

}  // namespace

std::string default_drill_registry(const std::function<const char*(const char*)>& environment, bool root) {
  const auto value = [&](const char* name) {
    const char* text = environment(name);
    return std::string(text == nullptr ? "" : text);
  };
  if (const std::string drills = value("HOLDFAST_DRILLS"); !drills.empty()) return absolute_path(drills);
  if (root) return "/var/lib/holdfast/drills";
  if (const std::string state = value("XDG_STATE_HOME"); !state.empty()) return join_path(state, "holdfast/drills");
  return join_path(value("HOME"), ".local/state/holdfast/drills");
}

std::string drill_directory_name(const std::string& id) { return kDirectoryPrefix + id; }

Result<std::unique_ptr<DrillMarker>> DrillMarker::create(FileSystem& fs, const std::string& registry,
                                                         const std::string& id, const std::string& directory) {
  TRY(make_directories(fs, registry));
  // Held while the file is made and locked: a sweep would take it for a dead one's.
  const auto whole = TRY(Lock::take(registry, O_RDONLY | O_DIRECTORY, true));
  std::unique_ptr<DrillMarker> marker(new DrillMarker(fs, join_path(registry, id), directory));
  auto lock = TRY(Lock::take(marker->base_ + std::string(kLockSuffix), O_RDWR | O_CREAT | O_EXCL, true));
  marker->lock_ = lock->release();
  marker->phase_ = "begun";
  TRY(marker->write());
  return marker;
}

DrillMarker::~DrillMarker() {
  if (lock_ >= 0) ::close(lock_);
}

Result<void> DrillMarker::write() {
  nlohmann::ordered_json servers = nlohmann::ordered_json::array();
  for (const Server& server : servers_) servers.push_back({{"process", server.process}, {"mark", server.mark}});
  const nlohmann::ordered_json json = {{"directory", directory_},
                                       {"phase", phase_},
                                       {"process", ::getpid()},
                                       {"mark", repo::own_process_mark()},
                                       {"processes", servers}};
  return write_file_durably(fs_, base_ + ".json", as_bytes(json.dump(2) + "\n"));
}

Result<void> DrillMarker::set_phase(const std::string& phase) {
  phase_ = phase;
  return write();
}

Result<void> DrillMarker::add_process(pid_t process) {
  servers_.push_back({process, repo::process_mark_of(process)});
  return write();
}

Result<void> DrillMarker::remove() {
  TRY(fs_.remove_file(base_ + ".json"));
  TRY(fs_.remove_file(base_ + std::string(kLockSuffix)));
  ::close(std::exchange(lock_, -1));
  return {};
}

Result<std::vector<SweptDrill>> sweep_drills(FileSystem& fs, Clock& clock, const std::string& registry) {
  std::vector<SweptDrill> swept;
  const auto entries = fs.list(registry);
  if (!entries.ok()) {
    // Another account's drills are its own to clean up after.
    const ErrorCode code = entries.error().code();
    if (code == ErrorCode::kNotFound || code == ErrorCode::kPermission) return swept;
    return entries.error().clone();
  }
  std::vector<std::string> ids;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name.ends_with(kLockSuffix)) ids.push_back(entry.name.substr(0, entry.name.size() - kLockSuffix.size()));
  }
  if (ids.empty()) return swept;
  const auto whole = TRY(Lock::take(registry, O_RDONLY | O_DIRECTORY, false));
  if (!whole) return swept;
  std::sort(ids.begin(), ids.end());
  for (const std::string& id : ids) {
    const std::string base = join_path(registry, id);
    auto lock = Lock::take(base + std::string(kLockSuffix), O_RDWR, false);
    if (!lock.ok() && lock.error().code() == ErrorCode::kNotFound) continue;  // it has ended meanwhile
    if (!lock.ok()) {
      log_warn("recovery.drill.not_swept", {{"drill", id}, {"error", lock.error().text()}});
      swept.push_back({id, "", "", std::move(lock).error()});
    } else if (*lock) {
      swept.push_back(Sweeper(fs, clock, base, id).run());
    }
  }
  return swept;
}

}  // namespace holdfast::recovery
