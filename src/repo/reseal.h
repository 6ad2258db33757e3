#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "repo/access.h"

namespace holdfast::repo {

// Writes every pack and log record of an epoch before `epoch` anew under the newest.
// New objects are durable before old ones go; old packs are tombstoned, and go by
// collection. Stopped at any instant, everything stays readable, and the next call
// goes on. Returns what could not be read (object and why): it stays as it is.
struct ResealFailure {
  std::string object;
  std::string problem;
};
Result<std::vector<ResealFailure>> reseal(RepositoryAccess& repository, uint32_t epoch, Progress& progress);

}  // namespace holdfast::repo
