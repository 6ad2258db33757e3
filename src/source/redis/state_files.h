#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/redis/command_log.h"
#include "source/redis/rdb_reader.h"
#include "source/redis/target.h"
#include "source/source.h"

namespace holdfast::redis {

enum class Folding {
  kNever,    // the commands stay commands
  kIfAble,   // by a server program, where there is one that can
  kRequired  // kNotFound or kMismatch where there is none
};

struct StateOptions {
  std::string directory;      // exists, and is ours alone
  std::string bin_directory;  // of redis-server; "": looked for
  Folding folding = Folding::kIfAble;
};

// The state that a target asks for, as files.
struct StateFiles {
  std::string base;  // path of the snapshot's RDB
  RdbSummary base_rdb;
  std::string commands;  // path of what came after it, as an AOF; "": nothing did
  uint64_t command_count = 0, command_bytes = 0;
  std::string folded;  // path of one RDB with both; "": not folded
  RdbSummary folded_rdb;
  std::string why_not_folded;
  std::vector<std::string> faults;  // errors that the replay met
};

// Writes them, each durable, each read through once (kInvalidData, kDamaged). Folding:
// a private redis-server loads base and commands as its own AOF, in which keys do not
// expire, so that the outcome depends on the log alone; then it saves.
Result<StateFiles> write_state(source::World& world, repo::Repository& repository, CommandLog& log,
                               const repo::Snapshot& snapshot, const ResolvedTarget& target,
                               const StateOptions& options);

}  // namespace holdfast::redis
