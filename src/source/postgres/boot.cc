#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "source/postgres/aside.h"
#include "source/postgres/materialise.h"
#include "source/postgres/private_server.h"
#include "source/postgres/server_checks.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kPollInterval = Duration::milliseconds(100);

// A private directory that goes with the object, whatever happened in it.
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> make(FileSystem& fs, const std::string& below) {
    std::string pattern = join_path(below.empty() ? std::string("/tmp") : below, "holdfast-boot-XXXXXX");
    if (!below.empty()) TRY(make_directories(fs, below, 0755));
    if (!::mkdtemp(pattern.data())) return Error::from_errno(errno, "making a directory below " + below);
    return ScratchDirectory(fs, pattern);
  }
  ScratchDirectory(ScratchDirectory&& other) noexcept : fs_(other.fs_), path_(std::exchange(other.path_, {})) {}
  ~ScratchDirectory() {
    if (path_.empty()) return;
    const auto removed = remove_tree(fs_, path_);
    if (!removed.ok()) log_warn("postgres.boot.not_removed", {{"path", path_}, {"error", removed.error().text()}});
  }
  const std::string& path() const { return path_; }

 private:
  ScratchDirectory(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  FileSystem& fs_;
  std::string path_;
};

class BootVerifier {
 public:
  BootVerifier(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
               const ResolvedTarget& target, const BootOptions& options, SnapshotSource source)
      : world_(world),
        repository_(repository),
        snapshot_(snapshot),
        target_(target),
        options_(options),
        source_(std::move(source)) {}
  Result<source::VerifyReport> run();

 private:
  Result<void> restore_aside();
  Result<void> boot();
  Result<void> wait_for_end_of_recovery();
  Result<void> check_with_amcheck();
  Result<void> ask_server();
  void take(source::Check check);
  Duration left() const { return until_ - world_.clock.monotonic(); }
  void add(std::string object, std::string problem) {
    report_.findings.push_back({std::move(object), std::move(problem)});
  }

  source::World& world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const BootOptions& options_;
  const SnapshotSource source_;
  source::VerifyReport report_;
  Duration until_;
  std::string bin_directory_, root_, data_;
  ServerUser user_;
  std::unique_ptr<PrivateServer> server_;
};

Result<void> BootVerifier::restore_aside() {
  user_ = TRY(server_user(root_));
  data_ = join_path(root_, "data");
  for (const char* name : {"s", "spaces"}) {
    const std::string path = join_path(root_, name);
    TRY(world_.fs.make_directory(path, 0700));
    if (user_.uid && ::chown(path.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, path);
  }
  if (user_.uid && ::chown(root_.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, root_);
  MaterialiseOptions options;
  options.to = data_;
  options.restore_command = user_.uid
                                ? TRY(stage_wal(world_.fs, repository_, snapshot_, target_, join_path(root_, "wal")))
                                : options_.restore_command;
  options.action = AfterRecovery::kPromote;
  options.uid = user_.uid;
  options.gid = user_.gid;
  for (const SnapshotTablespace& space : source_.tablespaces) {
    options.tablespaces[space.oid] = join_path(join_path(root_, "spaces"), space.oid);
  }
  const MaterialiseReport restored = TRY(materialise(world_, repository_, snapshot_, target_, options));
  report_.checked_bytes = restored.bytes;
  report_.details["restored_bytes"] = restored.bytes;
  return {};
}

Result<void> BootVerifier::boot() {
  world_.progress.phase = "booting";
  TRY(write_access_files(world_.fs, root_));
  PrivateServer::Options options;
  options.bin_directory = bin_directory_;
  options.data_directory = data_;
  options.socket_directory = join_path(root_, "s");
  options.log_path = join_path(root_, "log");
  options.user = user_;
  options.start_deadline = left();
  options.settings = settings_aside(data_, root_);
  server_ = TRY(PrivateServer::start(std::move(options)));
  return wait_for_end_of_recovery();
}

Result<void> BootVerifier::wait_for_end_of_recovery() {
  world_.progress.phase = "recovering";
  while (true) {
    auto session = ServerSession::connect(server_->connection());
    if (session.ok()) {
      auto recovering = session.value()->value("select pg_is_in_recovery()");
      if (recovering.ok() && recovering.value() == "f") return {};
    }
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
    if (left().ns <= 0)
      return make_error(ErrorCode::kTimeout, "recovery did not end in time; the server's log ends with: {}",
                        server_->log_tail());
    world_.clock.sleep(kPollInterval);
  }
}

Result<void> BootVerifier::check_with_amcheck() {
  world_.progress.phase = "checking tables and indexes";
  report_.details["amcheck"] = false;
  if (!options_.amcheck || source_.major < kFirstMajorWithAmcheck) return {};
  auto checked = server_->run(amcheck_command(world_.threads), left());
  if (checked.ok()) {
    report_.details["amcheck"] = true;
    return {};
  }
  if (checked.error().code() != ErrorCode::kSubprocess) return std::move(checked).error();
  add("pg_amcheck", checked.error().text());
  return {};
}

void BootVerifier::take(source::Check check) {
  report_.checked_objects += check.objects;
  for (source::VerifyFinding& finding : check.findings) report_.findings.push_back(std::move(finding));
}

Result<void> BootVerifier::ask_server() {
  ServerChecks checks(server_->connection(), [this] { return left(); }, world_.progress.stop);
  // Only where recovery ends is where the rows were counted.
  const bool comparable = options_.compare_counts && target_.as_captured;
  report_.details["counts_compared"] = comparable;
  if (comparable) take(checks.row_counts(source_.counts));
  TRY(check_with_amcheck());
  take(TRY(checks.indexes()));
  take(TRY(checks.constraints()));
  world_.progress.phase = "running assertions";
  take(TRY(checks.assertions(options_.assertions)));
  report_.details["assertions"] = options_.assertions.size();
  return {};
}

Result<source::VerifyReport> BootVerifier::run() {
  until_ = world_.clock.monotonic() + options_.deadline;
  bin_directory_ = TRY(find_bin_directory(source_.major, options_.bin_directory));
  const ScratchDirectory scratch = TRY(ScratchDirectory::make(world_.fs, options_.scratch_directory));
  root_ = scratch.path();
  report_.details = {{"method", "boot"}, {"target", target_.description}};
  auto outcome = [&]() -> Result<void> {
    TRY(restore_aside());
    TRY(boot());
    TRY(ask_server());
    return server_->stop();
  }();
  server_.reset();  // before its directory goes
  TRY(std::move(outcome));
  return std::move(report_);
}

}  // namespace

Result<source::VerifyReport> verify_by_booting(source::World& world, repo::Repository& repository,
                                               const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                               const BootOptions& options) {
  SnapshotSource source = TRY(snapshot_source(snapshot));
  BootVerifier verifier(world, repository, snapshot, target, options, std::move(source));
  return verifier.run().context(fmt::format("booting '{}' aside", snapshot.component));
}

}  // namespace holdfast::postgres
