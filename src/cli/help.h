#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace holdfast::cli {

// The grammar of the command line, as help, completion and the man page show it:
// all three are made from what the commands declared.

struct OptionHelp {
  std::string names;  // "-d, --delta"; of a positional: "PATH"
  std::string value;  // "TIME"; "" for a flag
  std::string description;
  std::vector<std::string> long_names, short_names;  // with their dashes
  bool positional = false;
  bool many = false;
  bool required = false;
};

struct CommandHelp {
  std::string name;  // "key add"; "" for the program itself
  std::string summary;
  std::string usage;
  std::vector<OptionHelp> positionals, options;
  std::string examples;  // as declared: command lines indented by nothing, comments with '#'
  std::vector<CommandHelp> commands;
  bool runs = true;  // by itself, not only through a command below it
};

CommandHelp describe(const CLI::App& app, const std::string& path = "");
// The options that every command takes.
std::vector<OptionHelp> global_options(const CLI::App& root);

// What --help prints.
std::string help_text(const CommandHelp& command, const std::vector<OptionHelp>& global, size_t width);

}  // namespace holdfast::cli
