#pragma once

#include <string>
#include <vector>

#include "recovery/windows.h"
#include "recovery/workspace.h"
#include "repo/collect.h"
#include "repo/visibility.h"

namespace holdfast::recovery {

struct PruneOptions {
  repo::RetentionPolicy policy;
  bool dry_run = false;
  Duration grace = Duration::hours(24);
  Duration visibility_margin = repo::kVisibilityMargin;
};

// What expiry did (or, dry, would do) to one log.
struct LogExpiry {
  std::string stream;  // of Redis the component, which has a stream for each history
  std::string before;  // WAL position (offset, of Redis) that the oldest kept snapshot needs
  std::vector<std::string> records;
  std::string note;  // why nothing was looked at; with records, why all of them go
};

struct PruneReport {
  std::vector<repo::RetentionDecision> decisions;  // newest first
  std::vector<LogExpiry> logs;
  std::vector<ComponentWindows> windows;  // what can be restored to by the points that are kept
  std::vector<std::string> notes;         // for people: what could not be told
  repo::CollectReport collection;
};

// Retention, then the logs, then collection: a point goes before what only it
// needs. An empty policy is kRefused: "keep nothing" is never meant by silence. Another
// prune or collection at work is kLocked; backups and restores may go on beside it.
Result<PruneReport> prune(Workspace& workspace, const PruneOptions& options);

}  // namespace holdfast::recovery
