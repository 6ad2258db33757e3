#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"
#include "source/postgres/connection.h"

namespace holdfast::postgres {

// The directory of the server programs of this major version: HOLDFAST_PG_BIN, else `preferred`,
// else Debian's and Red Hat's places, else PATH. `major` 0: the newest. That `preferred`, which
// may tell of another machine, has none of it is logged if it `should_be_there`. kMismatch with what
// to install or set; kNotFound when `major` is 0.
Result<std::string> find_bin_directory(int major, const std::string& preferred = "", bool should_be_there = true);

// Whom server programs run as: nobody special unless we are root, then the owner
// of `path` when that is not root, else the user "postgres". kNotFound if neither.
struct ServerUser {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};
Result<ServerUser> server_user(const std::string& path);
// Whether that user gets into a scratch directory, or, while it is not there, to where it will be
// made. kPermission names the first that it does not get into.
Result<void> check_way_into(FileSystem& fs, const ServerUser& user, const std::string& scratch);

// A PostgreSQL server on a data directory of ours: no TCP, a socket in a private
// directory, stopped by the destructor whatever happens. It is spoken to as the superuser
// that the cluster has, by whatever name. Not thread-safe.
class PrivateServer {
 public:
  struct Options {
    std::string bin_directory;
    std::string data_directory;
    std::string socket_directory;  // private; its path at most 90 bytes
    std::string log_path;
    std::vector<std::pair<std::string, std::string>> settings;  // above those of the files
    ServerUser user;
    Duration start_deadline = Duration::seconds(120);
  };
  // Starts and waits until the server accepts sessions (in recovery: read-only ones).
  // kServer with the end of the server's log when it doesn't come up; what
  // login_superuser() says.
  static Result<std::unique_ptr<PrivateServer>> start(Options options);
  ~PrivateServer();

  // "fast", or "immediate" as after a crash.
  Result<void> stop(const std::string& mode = "fast");
  const Connection& connection() const { return connection_; }
  // Runs one of the server's programs with the connection's PGHOST, PGPORT, PGUSER, and
  // nothing of the environment that leads libpq elsewhere.
  Result<std::string> run(std::vector<std::string> argv, Duration deadline);
  std::string log_tail() const;
  // Whether its process is there.
  bool running() const;

 private:
  explicit PrivateServer(Options options);
  Options options_;
  Connection connection_;
  std::string role_;
  bool running_ = false;
};

}  // namespace holdfast::postgres
