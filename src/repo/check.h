#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "repo/repository.h"

namespace holdfast::repo {

struct CheckOptions {
  // 0: structure only (every object is there, every index, tree and point reads
  // and refers to blocks that exist). 1..100: also the bytes of that share of
  // packs and log records, another share each time until all were read.
  int read_data_percent = 0;
};

struct Damage {
  std::string object;  // store name of the damaged or missing object
  std::string problem;
};

struct CheckReport {
  uint64_t objects = 0, packs = 0, blocks = 0, points = 0, records = 0;
  uint64_t bytes_read = 0;
  uint64_t garbage_packs = 0,
           garbage_bytes = 0;      // referred to by no point: no error; 0 beside damage, when it can't be told
  std::vector<Damage> damage;      // empty: clean
  std::vector<std::string> notes;  // what could not be done where the store is full
};

Result<CheckReport> check(Repository& repository, const CheckOptions& options, Progress& progress);

// What damage touches: exactly the points, components, files (and byte ranges) that can't
// be restored whole because of it. `object` empty: everything that check finds damaged.
struct Touched {
  PointId point;
  Time point_time;
  std::string component;
  std::string path;
  uint64_t offset = 0, length_bytes = 0;
  std::string cause;  // the object
  // More than 1: names are lost, too; `path` is the first of so many files and
  // directories that follow each other, `length_bytes` their size together.
  uint64_t entries = 1;
};
// What is known of `object` (a name in the store, or a block's id in hex). An object
// that turns out whole touches nothing. A point that can't be read has no component,
// a log record has its stream as component and no point.
Result<std::vector<Touched>> explain(Repository& repository, const std::string& object, Progress& progress);

// What could no longer be restored whole if `object`, which is whole, were lost: of a block
// or a pack only what no other pack has. kUnsupported for objects of other kinds than
// explain() tells of one by one: the hint says what becomes of those.
Result<std::vector<Touched>> lost_with(Repository& repository, const std::string& object, Progress& progress);

struct RebuiltIndex {
  uint64_t blocks = 0;          // that no index object had
  std::vector<Damage> skipped;  // packs that nothing can be told of
};
// Rebuilds lost or damaged index objects from the packs themselves. kLocked beside a collection.
Result<RebuiltIndex> rebuild_index(Repository& repository, Progress& progress);

}  // namespace holdfast::repo
