#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "engine/plan.h"

namespace holdfast::engine {

// Something that would stop a run later, at a worse moment.
struct Obstacle {
  std::string step;  // "" : of the run itself
  std::string problem, hint;
};

struct PreflightRequest {
  bool unattended = false;
  bool look_for_programs = true;
  std::string target_host;                        // --target
  std::map<std::string, std::string> overrides;   // --override
  std::string working_directory;                  // of steps
  std::string search_path;                        // PATH
  std::string config, repository;                 // of the stack in use; "" when there is none
  std::map<std::string, std::string> variables;   // the plain values that steps have in their environment
  std::string runs;                               // where the journal will be
  std::vector<std::string> embedded_files;        // whose text the document has
  std::function<Result<void>()> open_repository;  // asked only where a step destroys
};

// All of them, not the first: programs that are not installed, scripts that are not
// there, people who are needed in an unattended run, a repository that can't be
// opened, a disk without room for the journal. Changes nothing.
std::vector<Obstacle> find_obstacles(FileSystem& fs, const Plan& plan, const PreflightRequest& request);

}  // namespace holdfast::engine
