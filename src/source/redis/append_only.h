#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/redis/command_log.h"
#include "source/redis/file_sink.h"

namespace holdfast::redis {

// Redis's own recovery format (AOF). Redis 7 has it in parts, in a directory: a base,
// here an RDB, commands after it, and a manifest that names them in order. Before 7 it
// is one file: an RDB with the commands behind it. Names are the servers' defaults.
inline constexpr const char* kAppendDirectory = "appendonlydir";
inline constexpr const char* kAppendManifest = "appendonly.aof.manifest";
inline constexpr const char* kAppendBase = "appendonly.aof.1.base.rdb";
inline constexpr const char* kAppendSingle = "appendonly.aof";
std::string append_part_name(unsigned sequence);  // "appendonly.aof.<n>.incr.aof"
// A manifest of the base and this many parts after it.
std::string append_manifest(unsigned parts);

// Appends to `sink` the commands of the log in [from, to), which must be boundaries, as
// a server loads them: SELECT of `first_db` first; without what means something between
// servers alone (PING, REPLCONF) or to listeners (PUBLISH). Errors as
// CommandLog::read(), and the sink's.
struct WrittenCommands {
  uint64_t commands = 0;
  uint32_t largest_db = 0;  // that was selected
};
Result<WrittenCommands> write_commands(CommandLog& log, const Position& from, uint64_t to, uint32_t first_db,
                                       FileSink& sink);

}  // namespace holdfast::redis
