#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace holdfast::cli {

// Whether the command line has this option of the command ("--table"), with whatever value.
inline bool is_given(const CLI::App& command, const std::string& option) {
  return command.get_option(option)->count() > 0;
}

}  // namespace holdfast::cli
