#pragma once

#include "base/progress.h"

namespace holdfast::cli {

// The one progress of this process: signal handlers must find it.
Progress& process_progress();

// From now on SIGINT and SIGTERM set process_progress().stop; operations see it
// and end cleanly with kInterrupted. A second signal ends the process at once.
// Blocking system calls are not interrupted (SA_RESTART).
void stop_on_signals();

}  // namespace holdfast::cli
