#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/restore_command.h"
#include "source/redis/target.h"
#include "source/source.h"

namespace holdfast::redis {

struct LoadOptions {
  Connection server;
  bool replace = false;  // keys and libraries of the same names are replaced
};

struct LoadReport {
  uint64_t keys = 0, bytes = 0;
  uint64_t expired = 0;  // of them; their time had passed: the server drops them at once
  uint64_t functions = 0, scripts = 0;
  std::map<uint32_t, uint64_t> keys_of;  // per database
  std::vector<std::string> faults, notes;
};

// Whether the server can take what is to be loaded: it answers, is no replica
// (kRefused), no part of a cluster (kUnsupported), and holds nothing unless `replace`
// (kTargetNotEmpty, with the counts). Changes nothing.
Result<void> check_load(source::World& world, const LoadOptions& options);

// Loads an RDB into a running server, by RESTORE of each key with its time to live and
// its idle time or frequency; libraries and scripts first. Pipelined; values pass through
// in pieces. Reads the file whole first, so that damage, a value that the server does not
// take (proto-max-bulk-len, client-query-buffer-limit) or a database that it does not have is refused before
// anything is written, like all of check_load(). Never removes a key that it does not
// replace. kServer names the key that the server refused, and says how many were loaded. Keys that
// the server evicts meanwhile (maxmemory) are a fault.
Result<LoadReport> load_rdb(source::World& world, const OpenRdb& open, const LoadOptions& options);

// How the state that a target asks for becomes one RDB.
struct LoadState {
  std::string scratch_directory;  // there the commands are folded in, where there are any
  std::string bin_directory;      // of redis-server; "": looked for
};
// Loads a snapshot, or what it and the commands after it make. The server is asked first.
// kNotFound, kMismatch when commands have to be folded in and no server program can.
Result<LoadReport> load_snapshot(source::World& world, repo::Repository& repository, CommandLog& log,
                                 const repo::Snapshot& snapshot, const ResolvedTarget& target, const LoadState& state,
                                 const LoadOptions& options);

}  // namespace holdfast::redis
