#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// "00000002.history" of timeline 2, and back.
std::string history_name(uint32_t timeline);
Result<uint32_t> parse_history_name(std::string_view name);

// The content of the history file of `timeline`: its ancestors, oldest first,
// each with the position where it was left, ascending: one that recovery never got
// to is left where it would have begun. kInvalidData names the line.
Result<std::vector<TimelineSwitch>> parse_history(ByteView content, uint32_t timeline);

// The part of the log that belongs to one timeline on the way to another.
struct TimelinePiece {
  uint32_t timeline = 0;
  Lsn from, to;  // [from, to); the last piece ends at the largest position
};
// The way to `timeline`, from the beginning of the log.
std::vector<TimelinePiece> path_to(uint32_t timeline, const std::vector<TimelineSwitch>& ancestors);

}  // namespace holdfast::postgres
