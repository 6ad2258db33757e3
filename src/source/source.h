#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/progress.h"
#include "base/result.h"
#include "base/time.h"
#include "repo/log_store.h"
#include "repo/point.h"
#include "repo/repository.h"

namespace holdfast::source {

// What every source is given. References outlive the call.
struct World {
  FileSystem& fs;
  Clock& clock;
  Progress& progress;
  size_t threads = 2;
};

// The instant (or place) to restore to. At most one of the optionals is set
// besides `timeline`; none means the newest.
struct RestoreTarget {
  std::optional<Time> time;
  std::optional<std::string> lsn;  // "0/3000148"
  std::optional<uint64_t> xid;
  std::optional<std::string> name;  // of a restore point
  bool immediate = false;           // as soon as the snapshot is consistent
  bool inclusive = true;
  std::optional<uint32_t> timeline;
};

struct VerifyFinding {
  std::string object;  // "relation public.t, block 17", "srv/data/a.txt"
  std::string problem;
};

struct VerifyReport {
  uint64_t checked_bytes = 0;
  uint64_t checked_objects = 0;
  std::vector<VerifyFinding> findings;  // empty: all is right
  nlohmann::json details;               // what was run, counts
};

}  // namespace holdfast::source
