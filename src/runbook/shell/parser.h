#pragma once

#include <string_view>

#include "runbook/shell/syntax.h"

namespace holdfast::shell {

// What is nested deeper is an error: it bounds the parser's recursion.
constexpr int kNestingLimit = 48;
constexpr size_t kErrorsLimit = 10;

// Reads a text as bash reads a script: quotes, expansions, here-documents, pipelines,
// lists, compound commands, functions, arrays. Executes nothing. Never fails: after
// an error it goes on with the next line. Time and memory are linear in the text.
Script parse(std::string_view text);

}  // namespace holdfast::shell
