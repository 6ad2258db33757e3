#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast {

// What a PostgreSQL may take to quit by SIGQUIT: it kills a child that hangs after 5 seconds, and
// takes its shared memory with it only then.
constexpr Duration kQuitPatience = Duration::seconds(10);

// The processes, other than ours, whose working directory is `directory` or below, as far
// as this account may see it.
std::vector<pid_t> workers_in(FileSystem& fs, const std::string& directory);

// Ends them: SIGQUIT first (a PostgreSQL then takes its shared memory with it), later
// SIGKILL. For what a dead process of ours left in a directory of its own, before that is
// removed. kTimeout names one that does not end.
Result<void> end_workers(FileSystem& fs, Clock& clock, const std::string& directory);

}  // namespace holdfast
