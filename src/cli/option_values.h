#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast::cli {

// The parser takes whatever word comes next for the value of an option, and for "--tag=" too. So a variable of
// a script that is not set would take the next option with it: a --dry-run, say. Refused before anything is
// parsed are a value that is empty (but for --config, where that means no file) and a next word that begins with
// '-' and is no number; "--tag=-x" says that it is meant. `words` are the command line without the program's
// name; gives them as the parser is to have them.
Result<std::vector<std::string>> check_option_values(const CLI::App& root, std::vector<std::string> words);

}  // namespace holdfast::cli
