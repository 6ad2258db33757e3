#pragma once

#include <optional>

namespace holdfast::cli {

// The modes by which holdfast starts itself: "__supervisors" forks those who own the attempts
// of a runbook's steps, "__sql FILE" runs a step of SQL. Not for people: no grammar, no help.
// Empty when the command line is none of them.
std::optional<int> run_hidden(int argc, char** argv);

}  // namespace holdfast::cli
