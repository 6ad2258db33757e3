#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/ids.h"

namespace holdfast::repo {

// The stored state of one component at one instant.
struct Snapshot {
  std::string component;      // name in the stack
  std::string kind;           // "postgres", "files", "redis"
  BlockId root;               // of its tree
  Time instant;               // what it stands for
  uint64_t source_bytes = 0;  // size of what was captured
  uint64_t read_bytes = 0;    // read to capture it
  uint64_t stored_bytes = 0;  // new bytes that it added to the repository
  uint64_t files = 0;
  Duration took;
  bool incremental = false;
  nlohmann::json source;            // what the source needs to restore it; opaque here
  std::vector<std::string> faults;  // what was wrong with it ("bad page ..."): shown, kept
};

// A set of snapshots committed together: what a person restores.
struct Point {
  PointId id;  // set when read or committed; not stored inside
  Time time;   // commit, by the clock of the machine that took it
  std::string stack;
  std::string host;
  std::string version;  // of holdfast
  std::vector<Snapshot> snapshots;
  std::vector<std::string> tags;
};

// Text that is not UTF-8 becomes text that is: odd bytes as "\xNN" (in `source`,
// where the source should have seen to it, as U+FFFD), so that dump() can't fail.
nlohmann::json to_json(const Point& point);
Result<Point> point_from_json(const nlohmann::json& json);

}  // namespace holdfast::repo
