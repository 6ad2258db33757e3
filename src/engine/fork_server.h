#pragma once

#include <sys/types.h>

#include <string>

#include "engine/channel.h"

namespace holdfast::engine {

// Starts supervisors. To load this program anew for each of a runbook's steps costs more
// than all else that a step needs (docs/engine.md, "The fork server"), so one process loads
// it once, and each supervisor is forked from that one. Not thread-safe.
// What `ps` shows of the supervisor of the attempt in that directory.
std::string supervisor_title(const std::string& directory);

class ForkServer {
 public:
  // `program` is this very program.
  explicit ForkServer(std::string program) : program_(std::move(program)) {}
  ~ForkServer() { end(); }
  ForkServer(const ForkServer&) = delete;

  // A new supervisor of the attempt in `directory`: our end of its channel, over which it
  // says who it is, or why there is none. A server that has died is replaced.
  Result<Channel> supervisor(const std::string& directory);

 private:
  Result<void> start();
  void end();

  const std::string program_;
  Channel server_{-1};
  pid_t pid_ = -1;
};

// `holdfast __supervisors`: the server. Standard input is the socket to the engine that
// started it, whose end is its own; the supervisors go on without it. `command_line` is argv[0].
// Returns the exit status, in a supervisor too.
int serve_forks(char* command_line);

}  // namespace holdfast::engine
