#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/random.h"
#include "engine/journal.h"
#include "engine/lost_attempts.h"
#include "engine/run_lock.h"
#include "engine/state.h"

namespace holdfast::engine {

// $HOLDFAST_RUNS, else where docs/engine.md says.
std::string default_runs_directory(const std::function<const char*(const char*)>& environment, bool root);

// A run that this process drives: lock and journal. Nobody else does meanwhile.
struct OpenRun {
  std::string directory;
  RunLock lock;
  std::unique_ptr<Journal> journal;
  std::vector<LostAttempt> lost;
};

// Makes the directory and the first event, durably. `created` is the payload of run.created;
// `document` the runbook's text, kept beside it.
Result<OpenRun> create_run(const std::string& runs, const Json& created, std::string_view document,
                           const std::string& who, Clock& clock, Random& random);
// kNotFound, kLocked, and what Journal::open() says.
Result<OpenRun> open_run(const std::string& directory, const std::string& who);

// The directory of the run with this id, an unambiguous beginning of one, or "latest".
Result<std::string> find_run(const std::string& runs, const std::string& words);
// Ids, oldest first; none when there is no such directory.
Result<std::vector<std::string>> list_runs(const std::string& runs);
// What its journal means; takes no lock.
Result<RunState> read_run(const std::string& directory);

}  // namespace holdfast::engine
