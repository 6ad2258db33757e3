#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/connection.h"
#include "source/postgres/target.h"
#include "source/source.h"

namespace holdfast::postgres {

// What every server needs that is started beside the original, from a copy of it.

// Lays out all WAL that recovery to `target` will ask for in `directory`, which is made,
// and returns the restore_command that takes it from there. Such a server need not be
// able to read the repository or its passphrase. kUnreachableTarget names WAL that is not stored.
Result<std::string> stage_wal(FileSystem& fs, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const ResolvedTarget& target, const std::string& directory);

// hba and ident files in `root` that let the socket's users in, and nobody to replicate:
// the cluster's own may not let us in.
Result<void> write_access_files(FileSystem& fs, const std::string& root);

// Settings, above those of the cluster's files, by which nobody but us comes in and
// nothing goes out: no TCP, no archiving, no replication, no command of the original's. It
// takes little memory and waits for no delay of a standby, whatever the original did.
// `major` is the server's, `root` as above.
std::vector<std::pair<std::string, std::string>> settings_aside(int major, const std::string& data_directory,
                                                                const std::string& root);

// Options for sessions there, in which what a database or a role has set goes before
// settings_aside(): libraries of these reach out as they like, and may not be here.
inline constexpr const char* kNoLibraries = "-c session_preload_libraries= -c local_preload_libraries=";

// How the server is reached whose socket is in `socket_directory`, as `role`.
std::string aside_conninfo(const std::string& socket_directory, const std::string& port, const std::string& role);

// The same error, with where a cluster that is restored aside can be put when it does not fit.
Error with_scratch_hint(Error refused);

// Whether waiting will not change that a server just started aside refuses a connection:
// it is another server, or its own account may not do what we need.
bool is_final(const Error& refused);

// Whether a server whose recovery has ended has replayed all that the target promises:
// kUnreachableTarget says where it ended before.
Result<void> prove_replayed(ServerSession& session, const ResolvedTarget& target);

// A server started aside, while it recovers.
struct RecoveringServer {
  const Connection& connection;
  std::function<bool()> running;
  std::function<std::string()> log_tail;
};

// Waits until `server` has left recovery and proves that it has replayed what the target
// promises. `until` is of the world's monotonic clock; `purpose` names what waits, in errors:
// kTimeout, kInterrupted, kServer when it ended before, what prove_replayed() says.
Result<void> wait_for_end_of_recovery(const source::World& world, const RecoveringServer& server,
                                      const ResolvedTarget& target, Duration until, const std::string& purpose);

}  // namespace holdfast::postgres
