#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "source/redis/connection.h"
#include "source/redis/rdb_reader.h"
#include "source/source.h"

namespace holdfast::redis {

// A program that can serve what was restored.
struct ServerProgram {
  std::string path;
  std::string version;  // "7.0.15"
  int major = 0;
  int newest_rdb_version = 0;  // that it loads
};

// redis-server in HOLDFAST_REDIS_BIN where that is set, and nowhere else; else in `preferred`, else in
// PATH. That the first, which may tell of another machine, has none is logged. kNotFound with what
// to install or set.
Result<ServerProgram> find_server_program(const std::string& preferred);
// The first of these that can load this RDB and has what is asked of private servers:
// kMismatch when all are older than the RDB or than Redis 7.0, or the RDB holds data of
// modules, which private servers do not load.
Result<ServerProgram> find_program_for(const RdbSummary& rdb, const std::string& preferred);

// Arguments for servers that are asked for every key: RESTORE has a whole value as one word, and
// the server that it is of may have taken longer strings than the default.
std::vector<std::string> values_of_any_size();

// A server of ours on a directory of ours: a unix socket in it, no port, no saving by
// itself, no replication. It dies with the thread that started it, whatever becomes of
// that, and is killed by the destructor. Not thread-safe.
class PrivateServer {
 public:
  struct Options {
    ServerProgram program;
    std::string directory;     // what it works in; its socket and log are made there
    bool append_only = false;  // starts from the AOF there, not from dump.rdb
    uint32_t databases = 16;
    std::vector<std::string> arguments;  // more of them
    std::optional<Duration> deadline;    // to load, and of each command; none: until it ends, or we are stopped
  };
  // Starts it and waits until it has loaded what is there. kServer with the end of the
  // server's log when it does not; kTimeout, kInterrupted.
  static Result<std::unique_ptr<PrivateServer>> start(source::World& world, Options options);
  ~PrivateServer();

  // A session with the server; several may be open.
  Result<std::unique_ptr<ServerSession>> connect();
  // Writes all it holds to dump.rdb in its directory.
  Result<void> save();
  // Ends it without saving, and waits.
  void stop();
  std::string log_tail() const;
  pid_t process() const { return process_; }

 private:
  PrivateServer(source::World& world, Options options) : world_(world), options_(std::move(options)) {}
  Result<void> spawn();
  Result<void> await_loaded();
  bool has_ended();

  source::World& world_;
  Options options_;
  int directory_ = -1;  // open: a socket's path is at most 107 bytes, a directory's is not
  pid_t process_ = 0;   // 0: ended
};

}  // namespace holdfast::redis
