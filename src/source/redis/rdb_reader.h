#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "source/redis/byte_source.h"

namespace holdfast::redis {

// The RDB versions that are read: Redis 5 and 6 write 9, 7.0 writes 10, 7.2 writes 11;
// the older ones are of the same grammar.
inline constexpr int kOldestRdbVersion = 6;
inline constexpr int kNewestRdbVersion = 11;

// One key of an RDB file. The value itself is given in pieces.
struct RdbKey {
  uint32_t db = 0;
  std::string key;                       // bytes
  uint8_t type = 0;                      // RDB_TYPE_...; the first byte of a DUMP payload
  std::optional<int64_t> expires_ms;     // Unix time
  std::optional<uint64_t> idle_seconds;  // LRU
  std::optional<uint8_t> frequency;      // LFU
  uint64_t offset = 0;                   // in the file, of the type byte
};

// "string", "list", "set", "zset", "hash", "stream", "module": as TYPE says it.
std::string_view type_name(uint8_t rdb_type);
// A key for people: its printable bytes, the rest as \xNN, cut off after 64 bytes.
std::string printable_key(std::string_view key);

// Is given what an RDB file holds, in the file's order. An error ends the reading.
class RdbVisitor {
 public:
  virtual ~RdbVisitor() = default;
  virtual Result<void> version(int) { return {}; }
  // "redis-ver", "repl-stream-db", "lua" (a script of the cache, before Redis 7), ...
  virtual Result<void> auxiliary(std::string_view, std::string_view) { return {}; }
  virtual Result<void> function_library(std::string_view) { return {}; }
  // What a loaded module saved beside the keys.
  virtual Result<void> module_auxiliary(std::string_view) { return {}; }
  // Then value() any number of times, together the value's serialisation as it stands
  // in the file (without the type byte), then end_key(). A piece is valid in the call.
  virtual Result<void> begin_key(const RdbKey&) { return {}; }
  virtual Result<void> value(ByteView) { return {}; }
  virtual Result<void> end_key(uint64_t) { return {}; }
};

struct RdbSummary {
  int version = 0;
  uint64_t bytes = 0;  // of the file, its trailer included
  uint64_t keys = 0, expiring = 0, functions = 0;
  std::map<uint32_t, uint64_t> keys_of;  // per database that has any
  std::string redis_version;             // "" when the file does not say
  std::optional<uint32_t> stream_db;     // the database that the replication stream has selected
  bool checksummed = false;              // false: the server was told to write none
  std::vector<std::string> modules;      // whose values or data it holds
};

// Walks a whole RDB file. The format is Redis's (src/rdb.c of Redis 7.2); values are
// walked by their grammar, so that damage is found where it begins. Memory: one buffer,
// a key at a time, a function library at a time; never a value.
// kInvalidData names offset and key: a wrong length, an unknown opcode or type, an end
// before the end or bytes after it, a checksum that does not match. kUnsupported: an RDB
// version outside of those above. Errors of the source and the visitor pass through.
Result<RdbSummary> read_rdb(ByteSource& source, RdbVisitor& visitor);

}  // namespace holdfast::redis
