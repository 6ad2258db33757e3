#pragma once

#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"

namespace holdfast::recovery {

struct BackupOptions {
  std::vector<std::string> components;  // empty: all of the stack
  std::vector<std::string> tags;
  bool full = false;         // look at nothing that is stored: read everything
  bool allow_empty = false;  // files: a path of which the point before has files may have none now
  bool new_cluster = false;  // a PostgreSQL component goes on as another cluster than that of its points
  bool prove = false;        // read also what the log says is unchanged, and fail if it is not
};

struct BackupReport {
  repo::Point point;
  repo::WriteStats stats;
  Duration took;
  std::vector<std::string> problems;  // `after_backup` commands that failed: "component db: ..."
  std::vector<std::string> warnings;  // of clocks that are, or were, wrong
  std::vector<std::string> notes;     // timelines that a restore to the newest instant leaves aside
};

// Takes a recovery point: captures the components, several at once and in the order
// that the stack gives them, and commits them together, once. When one fails nothing is
// committed (what was stored is reused by the next attempt, or collected), unless the
// stack says kCommitDegraded and another component was captured: then the point says
// what it lacks (repo/missing.h). A server of another cluster than that of a component's
// newest point is kMismatch without `new_cluster`. Commands around the capture run as
// capture_commands.h promises.
Result<BackupReport> take_point(Workspace& workspace, const BackupOptions& options);

// What a point that was committed says of its sources and of itself: nothing,
// kSourceDamaged (bad pages of a database) or kIncomplete (files that could not be read
// as they were, a component that is missing, a command after it that failed).
Result<void> faults_of(const BackupReport& report);

// What a restore of the point would lack and a person may miss, for people: "cache: ...".
std::vector<std::string> left_out_of(const repo::Point& point);

}  // namespace holdfast::recovery
