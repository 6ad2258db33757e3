#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runbook/shell/syntax.h"

namespace holdfast::shell {

// A program that a command runs, after what only wraps it (sudo, env, docker exec,
// ssh, kubectl exec --, sh -c "...") was taken off: what a reader would say it does.
struct Invocation {
  std::string program;               // without its directory; "docker-compose" for "docker compose"
  std::string path;                  // as written
  std::vector<std::string> args;     // without the program
  Span span;                         // in the script's text
  Span word_span;                    // of the program's own word, or of the text that it stands in
  const Command* command = nullptr;  // the outermost one; lives as long as the script
  bool remote = false;               // on another machine or in a container
  bool terminal = false;             // docker exec -t, ssh -t
  bool has_input = false;            // from a file, a pipe or a here-document
  std::optional<std::string> input;  // what that says, where the text itself says it
  bool nested = false;               // was found in a wrapper's argument
  bool script = false;               // a file that is given to a shell or an interpreter
  bool conditional = false;          // may fail or be left out, and what stands behind it be run all the same
  std::string text;                  // a script that it is given: its commands come behind it
  bool loses_input = false;          // docker exec, kubectl exec without -i: its input goes no further

  bool has(std::string_view flag) const;  // "-f", "--force": alone, with "=", or among short ones ("-rf")
  // The value of "--name=value", "--name value", "-n value", "-nvalue"; "" when absent.
  std::string option(std::string_view name) const;
  std::vector<std::string> options(std::string_view name) const;
  // What is no flag: ("system", "prune").
  std::vector<std::string> operands() const;
  // Also when the values of options that nobody knows stand between.
  bool begins(std::initializer_list<std::string_view> operands_expected) const;
};

// In the order of the text. Texts in arguments are read to a fixed depth.
std::vector<Invocation> invocations(const Script& script);

}  // namespace holdfast::shell
