#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/isolation.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/check.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/private_server.h"
#include "source/redis/restore_command.h"
#include "source/redis/target.h"
#include "source/source.h"

namespace holdfast::redis {

struct DrillOptions {
  std::string directory;     // empty, and the server's alone; whoever made it removes it
  std::optional<uid_t> uid;  // as root: account of the server, and owner of the directory
  std::optional<gid_t> gid;
  std::string bin_directory;                     // of redis-server; "": looked for
  Duration deadline;                             // of boot and verification together
  std::function<Result<void>(pid_t)> on_server;  // told of the server right after its start
};

// A Redis that is restored in isolation, booted and checked (docs/drill.md). Call restore,
// boot, verify in this order; the destructor ends the server. All that it writes is in its
// directory. Not thread-safe; the server dies with the thread that booted it.
class DrilledServer {
 public:
  // References outlive the object.
  DrilledServer(const source::World& world, repo::Repository& repository, CommandLog& log,
                const repo::Snapshot& snapshot, const ResolvedTarget& target, const DrillOptions& options)
      : world_(world), repository_(repository), log_(log), snapshot_(snapshot), target_(target), options_(options) {}
  ~DrilledServer();

  // kNotFound and kMismatch where commands are to be folded in and no server program can.
  Result<void> restore();
  // Until it has loaded its data. kServer with the end of the server's log; kNotFound and
  // kMismatch without a server program that can load it.
  Result<void> boot();
  // What is wrong is in the checks, which are added one by one.
  Result<void> verify(std::vector<source::Check>& made);
  Result<void> stop();

  uint64_t restored_bytes() const { return restored_bytes_; }
  const std::string& server_version() const { return program_.version; }  // "" before boot()
  const IsolatedProcess* server() const { return server_.get(); }         // null: not running

 private:
  IsolationOptions server_command() const;
  Result<void> await_loaded();
  Result<std::unique_ptr<ServerSession>> connect() const;
  Result<std::unique_ptr<ByteSource>> open_rdb() const;
  Duration left() const { return until_ - world_.clock.monotonic(); }
  std::string path(const char* name) const { return join_path(options_.directory, name); }
  std::string log_tail() const;

  source::World world_;
  repo::Repository& repository_;
  CommandLog& log_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const DrillOptions options_;
  ServerProgram program_;
  RdbSurvey survey_;
  Duration until_;
  uint64_t restored_bytes_ = 0;
  std::vector<std::string> faults_;
  int data_ = -1;  // the data directory, open: a socket's path is at most 107 bytes
  std::unique_ptr<IsolatedProcess> server_;
};

}  // namespace holdfast::redis
