#pragma once

#include <optional>
#include <string>

#include "source/postgres/server_watch.h"

namespace holdfast::postgres {

// What a slot may do to its server, or has lost already, for a person to read.
struct SlotWarning {
  std::string problem;
  std::string advice;  // what to set, or to run
};

// Room on the disk of pg_wal; empty where the server is on another machine, or its
// directory is not ours to read.
std::optional<uint64_t> free_for_wal(const ServerState& state);

// A slot without a limit (PostgreSQL's default), also before it is made: WAL that is not
// stored fills the disk, and the server stops. With one: that it is behind, and how far it
// may fall. Empty when all is well.
std::optional<SlotWarning> slot_warning(const std::string& slot, const ServerState& state,
                                        std::optional<uint64_t> free_bytes);

}  // namespace holdfast::postgres
