#pragma once

#include <optional>

namespace holdfast::cli {

// The modes by which holdfast starts itself: "__supervise DIR" owns an attempt of a
// runbook's step, "__sql FILE" runs one of SQL. Not for people: no grammar, no help.
// Empty when the command line is none of them.
std::optional<int> run_hidden(int argc, char** argv);

}  // namespace holdfast::cli
