#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// ---- Retention: which points to keep. Pure.

struct RetentionPolicy {
  uint32_t keep_last = 0, keep_hourly = 0, keep_daily = 0, keep_weekly = 0, keep_monthly = 0, keep_yearly = 0;
  Duration keep_within{};              // everything younger than this
  std::vector<std::string> keep_tags;  // a point with one of these is held
  // What has to be kept so that every component can be restored to every instant of
  // this last time that it could be restored to before. A floor, no rule: alone it
  // does not make a policy.
  Duration keep_window{};
  bool empty() const;
};

// What is known of points beside what stands in them.
struct RetentionFacts {
  std::vector<PointId> verified = {};
  std::map<PointId, std::string> held = {};  // and why
  // Snapshots (point, component) that no log leads to from the one before: the
  // instants after them can be restored from nothing older.
  std::set<std::pair<PointId, std::string>> window_begins = {};
  // Snapshots whose line has ended while their component went on along another: nothing
  // leads from them to where it is now.
  std::set<std::pair<PointId, std::string>> astray = {};
  std::vector<std::string> components = {};  // of the stack; a point of the whole holds them all
};

struct RetentionDecision {
  PointId id;
  Time time;
  bool keep = true;
  // Kept only because newer points have faults: it needs the logs of these components alone, whose
  // newest snapshots have some. Nothing where it is kept whatever the others have.
  std::optional<std::set<std::string>> logs_of = {};
  std::vector<std::string> reasons;  // "last 3", "daily 2026-03-01", "newest", "last verified", "held: audit"
};

// Never drops a held point, nor, of each component and of the whole (missing.h,
// is_complete), the newest and the newest that was verified; where these are astray, or have
// faults, nor the newest that are not, or have none.
std::vector<RetentionDecision> decide(const RetentionPolicy& policy, const std::vector<Point>& points,
                                      const RetentionFacts& facts, Time now);

// ---- Collection (mark, tombstone, wait, re-mark, delete). src/repo/README.md
// has the algorithm and why no schedule of writers can lose a block.

struct CollectOptions {
  bool dry_run = false;
  Duration grace = Duration::hours(24);  // a tombstone is older than this before its pack goes
  double repack_below = 0.7;             // rewrite packs with a smaller live share
  // For a dry run: points that count as removed, because the run for real would have
  // removed them before.
  std::vector<PointId> as_if_removed = {};
};

struct CollectReport {
  uint64_t points_kept = 0;
  uint64_t packs_total = 0, packs_tombstoned = 0, packs_resurrected = 0, packs_deleted = 0, packs_repacked = 0;
  uint64_t bytes_total = 0, bytes_live = 0, bytes_deleted = 0, bytes_tombstoned = 0;
  uint64_t leases_live = 0;
  std::vector<std::string> notes;  // "pack ... stays: writer on host ... since ..."
};

Result<CollectReport> collect(Repository& repository, const CollectOptions& options, Progress& progress);

// Records that a point was verified (restored, booted, checked) at `time`.
Result<void> record_verified(Repository& repository, const PointId& id, Time time);
Result<std::vector<PointId>> verified_points(Repository& repository);

}  // namespace holdfast::repo
