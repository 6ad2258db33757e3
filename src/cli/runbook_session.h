#pragma once

#include "cli/context.h"
#include "engine/engine.h"
#include "engine/runs.h"

namespace holdfast::cli {

// Whether a person is at the terminal, and wants to be asked.
bool is_attended(const Context& context, bool unattended);

// The stack's file that a run uses: absolute; "" when there is none. One that was named, or that can be read
// and is not right, is an error.
Result<std::string> stack_file(Context& context);
// The variables by which a run gives its steps that stack.
std::vector<std::string> stack_variables(Context& context, const std::string& config);
// The location of the repository that --repository or the environment names; "": none is named.
std::string named_repository(Context& context);
// The reference that --passphrase gives; a file's path in it is absolute.
Result<std::string> named_passphrase(Context& context);

// Drives a run that this process has locked: on a terminal with the live view,
// otherwise with plain lines or JSON events. Afterwards it says what comes next.
Result<void> drive_run(Context& context, engine::OpenRun run, engine::DriveOptions options, bool attended);

// The connections of the stack's PostgreSQL components, for steps of SQL. `component` of
// such a step is settled here: the one that it names, or the only one that there is.
Result<std::map<std::string, engine::SqlTarget>> sql_targets(Context& context, engine::Plan& plan);

}  // namespace holdfast::cli
