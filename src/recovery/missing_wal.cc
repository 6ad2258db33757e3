#include "recovery/missing_wal.h"

#include <map>

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/access.h"
#include "source/postgres/kept_wal.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_inventory.h"

namespace holdfast::recovery {

namespace {

bool tells_of_the_log(const Error& error) {
  return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kDamaged ||
         error.code() == ErrorCode::kInvalidData;
}

struct OfPoint {
  SnapshotRef ref;
  ClusterFacts facts;
};

// By the records' names alone: what can't be read of one is no matter here.
Result<std::vector<postgres::WalRange>> ranges_by_names(postgres::WalArchive& archive) {
  std::vector<std::string> names;
  for (postgres::WalPiece& piece : TRY(archive.pieces())) names.push_back(std::move(piece.record));
  const uint64_t segment_bytes = archive.identity().segment_bytes;
  return postgres::WalInventory::of(names, segment_bytes).ranges(segment_bytes);
}

// One cluster's log, of which the names are listed once for all its snapshots.
class Log {
 public:
  static Result<Log> open(Workspace& workspace, const std::string& component, const ClusterFacts& facts) {
    Log log;
    log.segment_bytes_ = facts.segment_bytes;
    log.archive_ = TRY(open_archive(workspace, component, facts.system_id, facts.segment_bytes));
    log.ranges_ = TRY(ranges_by_names(*log.archive_));
    return log;
  }

  // What is wrong with a snapshot, in words; "" when nothing is.
  Result<std::string> problem_of(const ClusterFacts& facts) {
    auto history = archive_->history(facts.timeline);
    if (!history.ok() && tells_of_the_log(history.error())) return history.error().text();
    const auto path = postgres::path_to(facts.timeline, TRY(std::move(history)));
    const auto gaps = postgres::gaps_along(path, ranges_, {facts.start, facts.stop}, segment_bytes_);
    return fmt::format("{}", fmt::join(gaps, "; "));
  }

 private:
  Log() = default;

  std::unique_ptr<postgres::WalArchive> archive_;
  std::vector<postgres::WalRange> ranges_;
  uint64_t segment_bytes_ = 0;
};

// A prune beside this removes a point before what only it needs.
Result<bool> is_still_there(Workspace& workspace, const repo::PointId& point) {
  auto read = repo::access(workspace.repository()).read_point(point);
  if (!read.ok() && read.error().code() == ErrorCode::kNotFound) return false;
  TRY(std::move(read));
  return true;
}

}  // namespace

Result<std::vector<MissingWal>> missing_wal(Workspace& workspace) {
  const auto points = TRY(readable_points(workspace));
  std::vector<MissingWal> missing;
  std::map<std::pair<std::string, uint64_t>, std::vector<OfPoint>> logs;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) {
      if (snapshot.kind != "postgres") continue;
      auto facts = cluster_facts(snapshot);
      if (facts.ok())
        logs[{snapshot.component, facts->system_id}].push_back({{&point, &snapshot}, std::move(*facts)});
      else
        missing.push_back({point.id, point.time, snapshot.component, facts.error().text()});
    }
  }
  for (const auto& [name, snapshots] : logs) {
    Log log = TRY_CONTEXT(Log::open(workspace, name.first, snapshots.front().facts), "log of {}", name.first);
    for (const OfPoint& each : snapshots) {
      std::string problem = TRY(log.problem_of(each.facts));
      if (problem.empty() || !TRY(is_still_there(workspace, each.ref.point->id))) continue;
      missing.push_back({each.ref.point->id, each.ref.point->time, name.first, std::move(problem)});
    }
  }
  return missing;
}

postgres::Lsn wal_expired_until(Workspace& workspace, postgres::WalArchive& archive) {
  const postgres::WalArchive::Identity& identity = archive.identity();
  const auto look = [&]() -> Result<postgres::Lsn> {
    std::vector<postgres::WalSpan> bases;
    const auto points = TRY(readable_points(workspace));
    for (const SnapshotRef& ref : snapshots_of(points, identity.component, "postgres")) {
      const auto facts = cluster_facts(*ref.snapshot);
      if (facts.ok() && facts->system_id == identity.system_id) bases.push_back({facts->start, facts->stop});
    }
    return postgres::expired_until(TRY(ranges_by_names(archive)), bases, identity.segment_bytes);
  };
  auto until = look();
  if (until.ok()) return *until;
  log_warn("recovery.wal.expired_unknown", {{"component", identity.component}, {"error", until.error().text()}});
  return {};
}

}  // namespace holdfast::recovery
