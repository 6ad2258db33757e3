#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/isolation.h"
#include "base/subprocess.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/check.h"
#include "source/postgres/private_server.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/postgres/verify.h"
#include "source/source.h"

namespace holdfast::postgres {

struct DrillOptions {
  std::string directory;      // empty, and the server's alone; whoever made it removes it
  ServerUser user;            // owner of the directory, and of the server
  std::string bin_directory;  // of a server of the right major; "" : looked for
  std::vector<Assertion> assertions;
  Duration deadline;                             // of boot and verification together
  std::function<Result<void>(pid_t)> on_server;  // told of the server right after its start
};

// A cluster that is restored in isolation, booted and checked (docs/drill.md). Call
// restore, boot, verify in this order; the destructor ends the server. All that it writes
// is in its directory. Not thread-safe; the server dies with the thread that booted it.
class DrilledCluster {
 public:
  // References outlive the object. kMismatch without server programs of its major.
  static Result<std::unique_ptr<DrilledCluster>> create(const source::World& world, repo::Repository& repository,
                                                        const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                                        const DrillOptions& options);

  Result<void> restore();
  // Until recovery has ended. kServer with the end of the server's log; kUnreachableTarget
  // when it ended before all was replayed.
  Result<void> boot();
  // What is wrong is in the checks, which are added one by one: they stay when an error ends
  // it. The server is stopped afterwards.
  Result<void> verify(std::vector<source::Check>& made);
  Result<void> stop();

  uint64_t restored_bytes() const { return restored_bytes_; }
  const std::string& server_version() const { return server_version_; }  // "15.4"; "" before boot()
  // Commit that was replayed last; empty when none was.
  std::optional<Time> newest_transaction() const { return newest_transaction_; }
  uint64_t subscriptions_disabled() const { return subscriptions_disabled_; }
  const IsolatedProcess* server() const { return server_.get(); }  // null: not running

 private:
  DrilledCluster(const source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                 const ResolvedTarget& target, const DrillOptions& options, SnapshotSource source);
  Result<void> make_directories_for_server();
  IsolationOptions server_command() const;
  Result<void> learn_of_server();
  std::string why_not(const std::string& program) const;
  Result<source::Check> amcheck();
  Result<source::Check> page_checksums();
  CommandOptions tool(std::vector<std::string> argv) const;
  Duration left() const { return until_ - world_.clock.monotonic(); }
  std::string path(const char* name) const { return join_path(options_.directory, name); }
  std::string log_tail() const;

  source::World world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const DrillOptions options_;
  const SnapshotSource source_;
  std::string bin_directory_;
  Connection connection_;
  std::string role_;
  Duration until_;
  uint64_t restored_bytes_ = 0, subscriptions_disabled_ = 0;
  std::string server_version_;
  std::optional<Time> newest_transaction_;
  std::unique_ptr<IsolatedProcess> server_;
};

// What pg_amcheck printed, as findings: lines that begin at the margin name an object,
// indented ones what is wrong with it.
void take_amcheck_output(std::string_view output, source::Check& check);
// The same of pg_checksums: one line each.
void take_checksums_output(std::string_view output, source::Check& check);

}  // namespace holdfast::postgres
