#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::engine {

// How long things took before, from the journals of earlier runs of a procedure.
struct History {
  size_t runs = 0;                        // that finished
  std::map<std::string, Duration> steps;  // median of those that succeeded
  std::optional<Duration> whole;          // median of finished runs
};

// The newest runs of this document's procedure below `runs`. A journal that can't be
// read counts as none: an expectation must not keep anybody from recovering.
Result<History> read_history(const std::string& runs, const std::string& document, const std::string& procedure);

}  // namespace holdfast::engine
