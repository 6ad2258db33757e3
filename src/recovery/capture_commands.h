#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "recovery/stack.h"

namespace holdfast::recovery {

// The secrets that a stack's configuration refers to, to be cut out of what programs
// print. One that can't be had now is left out: nothing was given to a program of it.
std::vector<Secret> known_secrets(const StackConfig& stack);
// Each of them in the text becomes "[secret]".
std::string without_secrets(std::string text, const std::vector<Secret>& secrets);

// The programs around one capture, or around all: `before` ones make an application
// hold still, `after` ones let it go. What the first began the second must end: once
// one of `before` was started, run_after() runs every `after` command, whatever failed
// and whoever asked to stop. (Nobody runs them for a holdfast that is killed.) What they
// print goes to the log. One thread at a time.
class CaptureCommands {
 public:
  struct Around {
    std::string name;   // of the component; "" for all
    std::string stack;  // for the programs' environment
  };
  // References outlive it.
  CaptureCommands(const BackupCommands& commands, Around around, const std::vector<Secret>& secrets)
      : commands_(commands), around_(std::move(around)), secrets_(secrets) {}

  // Runs the `before` commands until one fails: kSubprocess, kTimeout, kInterrupted
  // when `stop` becomes true, what starting it says.
  Result<void> run_before(const std::atomic<bool>& stop);
  // Runs the `after` commands, if any `before` was begun or there was none to begin.
  // Returns what failed, one line each.
  std::vector<std::string> run_after(bool captured);

 private:
  Result<void> run(const BackupCommand& command, const char* when, const std::atomic<bool>* stop, bool captured);

  const BackupCommands& commands_;
  const Around around_;
  const std::vector<Secret>& secrets_;
  bool due_ = false;  // the `after` commands have to run
};

}  // namespace holdfast::recovery
