#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

#include "base/result.h"
#include "cli/context.h"

namespace holdfast::cli {

// PostgreSQL takes 1 to 125 for "there is no such file: go on without" and stops
// at anything above. 127 and 128 + n mean other things to a shell.
constexpr int kRestoreCommandTrouble = 126;

// One command as it is declared: its place in the command line's grammar, from
// which help, completion and the man page are made, and what it runs.
class Program {
 public:
  Program();

  using Run = std::function<Result<void>(Context&)>;

  // A command below `parent` (the root by default). `summary` is one line.
  CLI::App* command(const std::string& name, const std::string& summary, CLI::App* parent = nullptr);
  // What runs when the command line chose `command`.
  void on(CLI::App* command, Run run);
  // Examples for the end of the command's help: "command line" and what it does.
  void examples(CLI::App* command, const std::string& text) { command->footer(text); }

  // Parses and runs. Returns the exit status.
  int run(int argc, char** argv);

  CLI::App& root() { return root_; }
  // `wal get` speaks to PostgreSQL through its exit status alone: a command may
  // settle it by itself.
  void set_exit_status(std::function<int(const Error&)> rule) { exit_rule_ = std::move(rule); }

  // Does what may hang for good (a store that does not answer). When it has not ended by then, the
  // process ends as a command does that failed with kTimeout: nothing else frees it.
  Result<void> within(Duration limit, const std::string& what, const std::function<Result<void>()>& work);

 private:
  void add_global_options();
  int finish(const Result<void>& result);
  std::string path_of(const CLI::App& app) const;
  int show_help();
  int parse_failure(const CLI::ParseError& error);
  bool names_no_command();  // a word stands where a command should, and is none
  CLI::App* chosen();

  CLI::App root_;
  Context context_;
  bool help_ = false, version_ = false;
  Run run_;
  std::function<int(const Error&)> exit_rule_;
};

// Every command, one file each; commands.cc has them in the order of the help.
void add_commands(Program& program);

}  // namespace holdfast::cli
