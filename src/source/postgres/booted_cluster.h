#pragma once

#include <memory>
#include <string>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/private_server.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/source.h"

namespace holdfast::postgres {

// A snapshot made to exist aside and started: nobody but us comes in, and nothing goes
// out: no TCP, no archiving, no replication, no preloaded libraries. Recovered up to the
// target, then promoted, so that it can be written to. Stopped by the destructor; its
// directory is the caller's to remove. Not thread-safe.
class BootedCluster {
 public:
  struct Options {
    std::string bin_directory;    // "" : looked for
    std::string directory;        // exists, is empty and private; with root it is given to the server's account
    std::string restore_command;  // how the server fetches WAL when it runs under our own account
    Duration deadline = Duration::hours(1);  // for all of it
  };
  // kMismatch without server programs of the right major; kUnreachableTarget when recovery
  // ends before all is replayed; kTimeout, kInterrupted; what materialise() says.
  static Result<std::unique_ptr<BootedCluster>> boot(source::World& world, repo::Repository& repository,
                                                     const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                                     Options options);

  PrivateServer& server() { return *server_; }
  const Connection& connection() const { return server_->connection(); }
  uint64_t restored_bytes() const { return restored_bytes_; }
  Result<void> stop() { return server_->stop(); }

 private:
  BootedCluster(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                const ResolvedTarget& target, Options options, SnapshotSource source);
  Result<void> restore();
  Result<void> start();
  Duration left() const { return until_ - world_.clock.monotonic(); }

  source::World& world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const Options options_;
  const SnapshotSource source_;
  const Duration until_;
  std::string bin_directory_, data_;
  ServerUser user_;
  uint64_t restored_bytes_ = 0;
  std::unique_ptr<PrivateServer> server_;
};

}  // namespace holdfast::postgres
