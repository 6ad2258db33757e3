#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast {

struct CommandOptions {
  std::vector<std::string> argv;                                 // argv[0] is looked up in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::vector<std::string> without;                              // variables of ours that it does not get
  // Variables that hold secrets (secret_variables.h) it gets only when it runs holdfast itself.
  bool with_secret_variables = false;
  std::string working_directory;
  std::string input;  // given on standard input, then closed
  Duration deadline = Duration::seconds(60);
  size_t output_limit_bytes = 16 << 20;     // per stream; more is dropped and said so
  const std::atomic<bool>* stop = nullptr;  // once true, the program is ended as at its deadline
  std::optional<uid_t> uid;                 // with root: run as this user (and its group `gid`)
  std::optional<gid_t> gid;
};

struct CommandOutcome {
  int exit_status = 0;  // 128 + signal when it was killed
  std::string output;
  std::string error_output;
};

// Runs a program in its own process group and waits for it. At the deadline the
// group gets SIGTERM, 2 s later SIGKILL, and the error is kTimeout (kInterrupted when
// it was stopped). A program that ran and failed is an outcome, not an error.
Result<CommandOutcome> run_command(const CommandOptions& options);
// The same, and a non-zero status is kSubprocess, with the end of its error output.
Result<CommandOutcome> run_command_checked(const CommandOptions& options);

// One word of a shell's command, whatever is in it.
std::string shell_quoted(const std::string& text);

// In a child before exec, and in a process that starts such ones: every signal has its
// default action. Async-signal-safe.
void plain_signals();

}  // namespace holdfast
