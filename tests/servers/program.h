#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "base/subprocess.h"

namespace holdfast::servers {

// Path of the holdfast program that belongs to this build.
std::string holdfast_program();

// Runs `holdfast WORDS...` as the servers' user and waits.
Result<CommandOutcome> run_holdfast(const std::vector<std::string>& words, Duration deadline = Duration::seconds(300));
// The same with --json: the document that it printed. A status other than 0 is an error
// that holds all that was said.
Result<nlohmann::json> run_holdfast_json(std::vector<std::string> words, Duration deadline = Duration::seconds(300));

// A holdfast that goes on running (`wal receive`), as the servers' user, its output in a file.
class BackgroundProgram {
 public:
  static Result<std::unique_ptr<BackgroundProgram>> start(std::vector<std::string> argv, const std::string& log);
  ~BackgroundProgram();  // kills it
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  bool running();
  // SIGTERM, then waits; exit status, 128 + signal when it was killed.
  Result<int> stop(Duration deadline = Duration::seconds(120));
  void kill();
  std::string output() const;

 private:
  BackgroundProgram(pid_t pid, std::string log) : pid_(pid), log_(std::move(log)) {}
  pid_t pid_;
  int status_ = 0;
  std::string log_;
};

}  // namespace holdfast::servers
