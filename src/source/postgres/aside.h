#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/connection.h"
#include "source/postgres/target.h"

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
// nothing goes out: no TCP, no archiving, no replication, no command of the original's.
// `major` is the server's, `root` as above.
std::vector<std::pair<std::string, std::string>> settings_aside(int major, const std::string& data_directory,
                                                                const std::string& root);

// Whether waiting will not change that a server just started aside refuses a connection:
// it is another server, or its own account may not do what we need.
bool is_final(const Error& refused);

// Whether a server whose recovery has ended has replayed all that the target promises:
// kUnreachableTarget says where it ended before.
Result<void> prove_replayed(ServerSession& session, const ResolvedTarget& target);

}  // namespace holdfast::postgres
