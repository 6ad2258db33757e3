#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/attempt.h"
#include "engine/state.h"

namespace holdfast::engine {

// An attempt that left its files, and that no event names: since an attempt begins only after its
// start is durable, the journal has lost events.
struct LostAttempt {
  std::string id;
  int attempt = 0;
  std::string directory;  // below the run's
  std::optional<AttemptEnd> end;
  pid_t running = 0;  // a process of it that lives; 0: none
};

// Those of the run in `directory`, oldest first; not those of commands that only look.
Result<std::vector<LostAttempt>> find_lost_attempts(const std::string& directory, const RunState& state,
                                                    const std::vector<Event>& events);

}  // namespace holdfast::engine
