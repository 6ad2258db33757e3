#include "source/postgres/booted_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "source/postgres/materialise.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kPollInterval = Duration::milliseconds(100);

}  // namespace

BootedCluster::BootedCluster(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                             const ResolvedTarget& target, Options options, SnapshotSource source)
    : world_(world),
      repository_(repository),
      snapshot_(snapshot),
      target_(target),
      options_(std::move(options)),
      source_(std::move(source)),
      until_(world.clock.monotonic() + options_.deadline) {}

Result<std::unique_ptr<BootedCluster>> BootedCluster::boot(source::World& world, repo::Repository& repository,
                                                           const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                                           Options options) {
  SnapshotSource source = TRY(snapshot_source(snapshot));
  std::unique_ptr<BootedCluster> cluster(
      new BootedCluster(world, repository, snapshot, target, std::move(options), std::move(source)));
  cluster->bin_directory_ = TRY(find_bin_directory(cluster->source_.major, cluster->options_.bin_directory));
  TRY(cluster->restore());
  TRY(cluster->start());
  TRY(cluster->wait_for_end_of_recovery());
  return cluster;
}

// The server runs as another user than we when we are root, and that user need not
// be able to read the repository or its passphrase: then the WAL is laid out for it.
Result<std::string> BootedCluster::stage_wal() {
  const std::string directory = join_path(options_.directory, "wal");
  TRY(world_.fs.make_directory(directory, 0755));
  auto archive = TRY(WalArchive::open(repository_, {snapshot_.component, source_.system_id, source_.segment_bytes}));
  const auto stage = [&](const std::string& name) -> Result<void> {
    const auto content = TRY(archive->fetch(name));
    if (!content) return {};
    return write_file_durably(world_.fs, join_path(directory, name), *content, 0644);
  };
  const uint64_t size = source_.segment_bytes;
  const std::vector<TimelineSwitch> ancestors = TRY(archive->history(target_.timeline));
  for (const TimelinePiece& piece : path_to(target_.timeline, ancestors)) {
    if (piece.timeline > 1) TRY(stage(history_name(piece.timeline)));
    // A server that is to stop at once wants to see the record after that, too.
    const uint64_t from = std::max(piece.from.value, target_.replay_from.value) / size * size;
    const uint64_t to = std::min(piece.to.value, target_.replay_to.value + size);
    for (uint64_t at = from; at < to; at += size) TRY(stage(segment_name(piece.timeline, {at}, size)));
  }
  return "cp '" + directory + "/%f' '%p'";
}

Result<void> BootedCluster::restore() {
  const std::string& root = options_.directory;
  user_ = TRY(server_user(root));
  data_ = join_path(root, "data");
  for (const char* name : {"s", "spaces"}) {
    const std::string path = join_path(root, name);
    TRY(world_.fs.make_directory(path, 0700));
    if (user_.uid && ::chown(path.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, path);
  }
  if (user_.uid && ::chown(root.c_str(), *user_.uid, *user_.gid) != 0) return Error::from_errno(errno, root);
  MaterialiseOptions options;
  options.to = data_;
  options.restore_command = user_.uid ? TRY(stage_wal()) : options_.restore_command;
  options.action = AfterRecovery::kPromote;
  options.uid = user_.uid;
  options.gid = user_.gid;
  for (const SnapshotTablespace& space : source_.tablespaces) {
    options.tablespaces[space.oid] = join_path(join_path(root, "spaces"), space.oid);
  }
  restored_bytes_ = TRY(materialise(world_, repository_, snapshot_, target_, options)).bytes;
  return {};
}

Result<void> BootedCluster::start() {
  world_.progress.phase = "booting";
  // Its own hba file, because the cluster's may not let us in.
  const std::string& root = options_.directory;
  const std::string hba = join_path(root, "hba.conf"), ident = join_path(root, "ident.conf");
  TRY(write_file_durably(world_.fs, hba, as_bytes("local all all trust\n"), 0644));
  TRY(write_file_durably(world_.fs, ident, as_bytes(""), 0644));
  PrivateServer::Options options;
  options.bin_directory = bin_directory_;
  options.data_directory = data_;
  options.socket_directory = join_path(root, "s");
  options.log_path = join_path(root, "log");
  options.user = user_;
  options.start_deadline = left();
  options.settings = {{"data_directory", data_},
                      {"hba_file", hba},
                      {"ident_file", ident},
                      {"external_pid_file", join_path(root, "external.pid")},
                      {"archive_mode", "off"},
                      {"primary_conninfo", ""},
                      {"primary_slot_name", ""},
                      {"synchronous_standby_names", ""},
                      {"ssl", "off"},
                      {"logging_collector", "off"},
                      {"log_destination", "stderr"},
                      {"fsync", "off"},
                      {"autovacuum", "off"},
                      {"hot_standby", "on"},
                      {"shared_preload_libraries", ""},
                      {"session_preload_libraries", ""},
                      {"local_preload_libraries", ""},
                      {"cluster_name", "holdfast-boot"}};
  server_ = TRY(PrivateServer::start(std::move(options)));
  return {};
}

Result<void> BootedCluster::wait_for_end_of_recovery() {
  world_.progress.phase = "recovering";
  while (true) {
    auto session = ServerSession::connect(server_->connection());
    if (session.ok()) {
      auto recovering = session.value()->value("select pg_is_in_recovery()");
      if (recovering.ok() && recovering.value() == "f") return {};
    }
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the recovery aside was stopped");
    if (left().ns <= 0)
      return make_error(ErrorCode::kTimeout, "recovery did not end in time; the server's log ends with: {}",
                        server_->log_tail());
    world_.clock.sleep(kPollInterval);
  }
}

}  // namespace holdfast::postgres
