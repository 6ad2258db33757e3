#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/attempt.h"
#include "engine/plan.h"

namespace holdfast::engine {

// Where a SQL step's statements go.
struct SqlTarget {
  std::string conninfo;
  Secret password;
};

// What every attempt has in its environment, of the run.
inline constexpr std::array kGivenVariables = {"HOLDFAST_RUN_ID", "HOLDFAST_STEP_ID", "HOLDFAST_ATTEMPT",
                                               "HOLDFAST_IDEMPOTENCY_KEY", "HOLDFAST_DRILL"};

// Of a step or one of its commands: the same over all its attempts in a run.
std::string idempotency_key(const std::string& run, const std::string& id);

// Makes the orders by which steps are run: program, environment, secrets.
// Values are given once, when the run begins or is resumed.
class Launcher {
 public:
  struct Settings {
    std::string run;
    std::string program;            // this very program, for SQL
    std::string working_directory;  // of steps that name none
    bool drill = false;
    mode_t file_mask = 0077;                                       // ours, for the steps
    std::vector<std::pair<std::string, std::string>> environment;  // ours
    std::map<std::string, std::string> variables;
    std::vector<NamedSecret> secrets;      // by the names of their variables
    std::vector<NamedSecret> inherited;    // in `environment`: cut out of what steps say
    std::map<std::string, SqlTarget> sql;  // by component
    // The stack that points are proven of, for the holdfast that a step calls: absolute; "" is not said.
    std::string config, repository;
  };
  explicit Launcher(Settings settings) : settings_(std::move(settings)) {}

  // `id` is the step's own or that of one of its commands; `script` its file.
  AttemptOrder order(const Step& step, const std::string& id, int attempt, const std::string& script) const;
  std::string idempotency_key(const std::string& id) const { return engine::idempotency_key(settings_.run, id); }

 private:
  std::vector<std::string> argv(const Step& step, const std::string& id, const std::string& script) const;

  Settings settings_;
};

// The file mode creation mask of this process.
mode_t own_file_mask();

// The environment of this process.
std::vector<std::pair<std::string, std::string>> own_environment();

}  // namespace holdfast::engine
