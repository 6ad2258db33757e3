#pragma once

#include "cli/context.h"
#include "engine/engine.h"
#include "engine/runs.h"

namespace holdfast::cli {

// Whether a person is at the terminal, and wants to be asked.
bool is_attended(const Context& context, bool unattended);

// Drives a run that this process has locked: on a terminal with the live view,
// otherwise with plain lines or JSON events. Afterwards it says what comes next.
Result<void> drive_run(Context& context, engine::OpenRun run, engine::DriveOptions options, bool attended);

// The connections of the stack's PostgreSQL components, for steps of SQL. `component` of
// such a step is settled here: the one that it names, or the only one that there is.
Result<std::map<std::string, engine::SqlTarget>> sql_targets(Context& context, engine::Plan& plan);

}  // namespace holdfast::cli
