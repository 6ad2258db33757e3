#include "source/postgres/booted_cluster.h"

#include <unistd.h>

#include <cerrno>

#include "source/postgres/aside.h"
#include "source/postgres/materialise.h"

namespace holdfast::postgres {
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
  PrivateServer& server = cluster->server();
  const RecoveringServer recovering{server.connection(), [&server] { return server.running(); },
                                    [&server] { return server.log_tail(); }};
  TRY(wait_for_end_of_recovery(world, recovering, target, cluster->until_, "the recovery aside"));
  return cluster;
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
  TRY(check_way_into(world_.fs, user_, root));
  MaterialiseOptions options;
  options.to = data_;
  // As root the server is another user's, who need not be able to read the repository.
  options.restore_command = user_.uid
                                ? TRY(stage_wal(world_.fs, repository_, snapshot_, target_, join_path(root, "wal")))
                                : options_.restore_command;
  options.action = AfterRecovery::kPromote;
  options.uid = user_.uid;
  options.gid = user_.gid;
  for (const SnapshotTablespace& space : source_.tablespaces) {
    options.tablespaces[space.oid] = join_path(join_path(root, "spaces"), space.oid);
  }
  auto report = materialise(world_, repository_, snapshot_, target_, options);
  if (!report.ok()) return with_scratch_hint(std::move(report).error());
  restored_bytes_ = report->bytes;
  return {};
}

Result<void> BootedCluster::start() {
  world_.progress.phase = "booting";
  const std::string& root = options_.directory;
  TRY(write_access_files(world_.fs, root));
  PrivateServer::Options options;
  options.bin_directory = bin_directory_;
  options.data_directory = data_;
  options.socket_directory = join_path(root, "s");
  options.log_path = join_path(root, "log");
  options.user = user_;
  options.start_deadline = left();
  options.settings = settings_aside(source_.major, data_, root);
  server_ = TRY(PrivateServer::start(std::move(options)));
  return {};
}

}  // namespace holdfast::postgres
