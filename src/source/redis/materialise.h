#pragma once

#include <optional>
#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/redis/command_log.h"
#include "source/redis/rdb_reader.h"
#include "source/redis/state_files.h"
#include "source/redis/target.h"
#include "source/source.h"

namespace holdfast::redis {

// While a restore is under way its directory holds this folder, and nothing else of it
// until all is made. A restore that was interrupted may be repeated: the folder goes, and
// so does what a file `placing` in it says was put in place and nobody has touched since
// (kTargetNotEmpty where somebody has); nothing else.
inline constexpr const char* kRestoreFolder = ".holdfast-restore";

struct MaterialiseOptions {
  std::string to;             // data directory of a server
  std::string bin_directory;  // of redis-server; "": looked for
  Folding folding = Folding::kIfAble;
  bool dry_run = false;
  std::optional<uint32_t> uid, gid;  // owner of what is written, when root
};

struct MaterialiseReport {
  uint64_t files = 0;
  uint64_t bytes = 0, bytes_written = 0;
  uint64_t commands = 0;            // replayed
  RdbSummary rdb;                   // of the dump.rdb that a server starts from; without one: of the base
  std::vector<std::string> faults;  // errors that the replay met: done, but not as it was
  std::vector<std::string> notes;
};

// Makes the data directory of a server, from which it starts whether it is told to keep
// an AOF or not (one that is finds an empty one and forgets dump.rdb, so both are there):
//
//   dump.rdb                                   the state asked for
//   appendonlydir/appendonly.aof.manifest      of the AOF (Redis 7) ...
//   appendonlydir/appendonly.aof.1.base.rdb    ... whose base is that same file
//
// A server before Redis 7 gets appendonly.aof instead, a file of its own. For an instant
// after the snapshot the commands are folded in by a private redis-server that loads them
// and saves. Where there is none that can (none at all, too old, or without the modules)
// there is no dump.rdb: the commands stay in the AOF, and a note says so (Folding::kRequired:
// kNotFound or kMismatch says it).
//
// Refuses, before anything is written: a directory that holds anything (kTargetNotEmpty),
// that a server works in (kTargetRunning) or another restore (kLocked), too little space
// (kNoSpace). Everything is made aside, read through once, and put in its place last, over
// nothing that has appeared there meanwhile (kTargetNotEmpty, kTargetRunning). Durable when
// it returns.
Result<MaterialiseReport> materialise(source::World& world, repo::Repository& repository, CommandLog& log,
                                      const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                      const MaterialiseOptions& options);

}  // namespace holdfast::redis
