#pragma once

#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"

namespace holdfast::recovery {

struct BackupOptions {
  std::vector<std::string> components;  // empty: all of the stack
  std::vector<std::string> tags;
  bool full = false;   // look at nothing that is stored: read everything
  bool prove = false;  // read also what the log says is unchanged, and fail if it is not
};

struct BackupReport {
  repo::Point point;
  repo::WriteStats stats;
  Duration took;
};

// Takes a recovery point: captures the components one after the other and
// commits them together, once. When one fails nothing is committed (what was
// stored is reused by the next attempt, or collected).
Result<BackupReport> take_point(Workspace& workspace, const BackupOptions& options);

// What a committed point says of its sources: nothing, kSourceDamaged (bad pages
// of a database) or kIncomplete (files that could not be read as they were).
Result<void> faults_of(const repo::Point& point);

}  // namespace holdfast::recovery
