#include "recovery/prune.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/lease.h"
#include "repo/log_store.h"
#include "source/redis/command_log.h"

namespace holdfast::recovery {

namespace {

// Expires the WAL and commands that no kept point needs, stream by stream. A stream is of a cluster,
// not of a stack: `kept` are the points of every stack in the repository.
class LogKeeper {
 public:
  LogKeeper(Workspace& workspace, const PruneOptions& options, const std::vector<repo::Point>& kept)
      : workspace_(workspace), options_(options), kept_(kept) {}

  Result<std::vector<LogExpiry>> run() {
    std::vector<LogExpiry> result;
    // A backup that has not committed needs its WAL, too, and nobody knows yet from where on.
    const bool being_written = TRY(repo::is_being_written(workspace_.repository()));
    auto logs = repo::open_log_store(workspace_.repository());
    std::set<std::string> commands;  // components with a log of Redis
    for (const std::string& stream : TRY(logs->streams())) {
      if (const auto id = redis::parse_stream(stream); id && belongs_to_stack(id->component))
        commands.insert(id->component);
      const auto name = parse_stream_name(stream);
      if (!name || !belongs_to_stack(name->component)) continue;
      if (being_written)
        result.push_back({stream, "", {}, kBeingWritten});
      else
        result.push_back(TRY_CONTEXT(expire(stream, *name), "log {}", stream));
    }
    for (const std::string& component : commands) {
      if (being_written)
        result.push_back({component, "", {}, kBeingWritten});
      else
        result.push_back(TRY_CONTEXT(expire_commands(*logs, component), "log of {}", component));
    }
    return result;
  }

 private:
  static constexpr const char* kBeingWritten = "a backup is running: left as it is until the next time";
  static constexpr const char* kNoPoint = "no kept point belongs to it: left as it is";

  // Streams carry no stack's name: only those whose component our configuration or our
  // points know are looked at.
  bool belongs_to_stack(const std::string& component) const {
    if (workspace_.stack().find(component) != nullptr) return true;
    const std::string& stack = workspace_.stack().stack;
    const auto refs = snapshots_of(kept_, component);
    return std::any_of(refs.begin(), refs.end(),
                       [&](const SnapshotRef& ref) { return stack.empty() || ref.point->stack == stack; });
  }

  Result<LogExpiry> expire(const std::string& stream, const StreamName& name) {
    LogExpiry expiry;
    expiry.stream = stream;
    std::optional<ClusterFacts> oldest;
    for (const SnapshotRef& ref : snapshots_of(kept_, name.component)) {
      const ClusterFacts facts = TRY(cluster_facts(*ref.snapshot));
      if (facts.system_id != name.system_id) continue;
      if (!oldest || facts.start < oldest->start) oldest = facts;
    }
    if (!oldest) {
      expiry.note = kNoPoint;
      return expiry;
    }
    expiry.before = oldest->start.text();
    auto archive = TRY(open_archive(workspace_, name.component, name.system_id, oldest->segment_bytes));
    expiry.records = TRY(archive->expire_before(oldest->start, options_.dry_run));
    return expiry;
  }

  // The same for the commands of a Redis component, all its histories together.
  Result<LogExpiry> expire_commands(repo::LogStore& logs, const std::string& component) {
    LogExpiry expiry;
    expiry.stream = component;
    std::vector<redis::Position> needed;
    const repo::Snapshot* oldest = nullptr;
    for (const SnapshotRef& ref : snapshots_of(kept_, component)) {
      if (ref.snapshot->kind != "redis") continue;
      needed.push_back(TRY(redis::snapshot_source(*ref.snapshot)).position);
      if (oldest == nullptr || ref.snapshot->instant < oldest->instant) oldest = ref.snapshot;
    }
    if (oldest == nullptr) {
      expiry.note = kNoPoint;
      return expiry;
    }
    expiry.before = redis::to_text(TRY(redis::snapshot_source(*oldest)).position);
    auto log = TRY(redis::CommandLog::open(logs, component));
    expiry.records = TRY(log->expire_before(needed, options_.dry_run));
    return expiry;
  }

  Workspace& workspace_;
  const PruneOptions& options_;
  const std::vector<repo::Point>& kept_;
};

Result<void> drop_points(Workspace& workspace, const PruneOptions& options, std::vector<repo::Point>& points,
                         std::vector<repo::RetentionDecision>& decisions) {
  for (const repo::RetentionDecision& decision : decisions) {
    if (decision.keep) continue;
    if (!options.dry_run) {
      TRY_CONTEXT(workspace.repository().remove_point(decision.id), "removing point {}",
                  decision.id.hex().substr(0, 8));
      log_info("recovery.point.removed", {{"point", decision.id.hex()}});
    }
    std::erase_if(points, [&](const repo::Point& point) { return point.id == decision.id; });
  }
  return {};
}

}  // namespace

Result<PruneReport> prune(Workspace& workspace, const PruneOptions& options) {
  if (options.policy.empty()) {
    return make_error(ErrorCode::kRefused, "there is no retention policy: prune would not know what to keep")
        .with_hint("add 'retention:' to the configuration, or give --keep-last N, --keep-daily N, ...");
  }
  // A damaged point may need logs that nobody can tell: nothing is expired beside one.
  auto kept = TRY_CONTEXT(workspace.repository().points(), "reading all points before pruning");
  // Every point of other stacks in the same repository stays: retention is each stack's own.
  auto points = kept;
  const std::string& stack = workspace.stack().stack;
  if (!stack.empty()) std::erase_if(points, [&](const repo::Point& point) { return point.stack != stack; });
  const auto verified = TRY(repo::verified_points(workspace.repository()));

  PruneReport report;
  report.decisions = repo::decide(options.policy, points, verified, workspace.machine().clock.now());
  std::sort(report.decisions.begin(), report.decisions.end(),
            [](const auto& a, const auto& b) { return a.time > b.time; });
  TRY(drop_points(workspace, options, kept, report.decisions));
  if (!kept.empty()) report.logs = TRY(LogKeeper(workspace, options, kept).run());

  repo::CollectOptions collect;
  collect.dry_run = options.dry_run;
  collect.grace = options.grace;
  for (const auto& decision : report.decisions) {
    if (!decision.keep) collect.as_if_removed.push_back(decision.id);
  }
  workspace.machine().progress.phase = "collecting";
  report.collection = TRY(repo::collect(workspace.repository(), collect, workspace.machine().progress));
  return report;
}

}  // namespace holdfast::recovery
