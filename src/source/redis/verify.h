#pragma once

#include <string>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/restore_command.h"
#include "source/source.h"

namespace holdfast::redis {

// Reads the snapshot's RDB whole: every block, every record, its checksum; and the
// commands that are stored after it: that none is missing and each is one. What is wrong
// is a finding.
Result<source::VerifyReport> verify_offline(source::World& world, repo::Repository& repository, CommandLog& log,
                                            const repo::Snapshot& snapshot);

// Asks a server that has loaded an RDB file (and nothing else, with DEBUG permitted and two
// databases more than the file has) for every key: type, time to live, and the digest of the
// value, of a stream with its groups and pending entries, held against that of the bytes in the
// file; for the code of every library; then for the number of keys in each database, and
// libraries that the file has not. Keys whose time has passed meanwhile are left out, and counted.
Result<source::VerifyReport> compare_with_rdb(source::World& world, ServerSession& session, const OpenRdb& open,
                                              const RdbSurvey& survey);

struct BootOptions {
  std::string bin_directory;         // of redis-server; "": looked for
  std::string scratch_directory;     // a private folder is made and removed below it
  std::optional<Duration> deadline;  // to load, and of each answer; none: until the server ends, or we are stopped
};

// Starts a private redis-server (a unix socket, no port) on the snapshot and compares it
// with the RDB as compare_with_rdb() does. The server
// and what was written are gone afterwards, whatever happened. kNotFound, kMismatch when
// there is no server program that can load it.
Result<source::VerifyReport> verify_by_booting(source::World& world, repo::Repository& repository, CommandLog& log,
                                               const repo::Snapshot& snapshot, const BootOptions& options);

}  // namespace holdfast::redis
