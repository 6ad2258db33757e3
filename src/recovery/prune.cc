#include "recovery/prune.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "recovery/clocks.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "repo/access.h"
#include "repo/hold.h"
#include "repo/host.h"
#include "repo/lease.h"
#include "repo/log_store.h"
#include "repo/visibility.h"
#include "source/redis/command_log.h"

namespace holdfast::recovery {

namespace {

// Purposes of reader leases whose holders need no log (cli/mount.cc, repo/check.cc).
constexpr std::string_view kMountPurpose = "mount", kCheckPurpose = "check";

// What is damaged can't be told anything of; any other trouble may be gone the next time.
bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kInvalidData;
}

// Points that stay only because they have no faults, and the components whose logs they keep from
// there on. Of the others a newer snapshot without faults is there: theirs stay what they are,
// whole, but lead no further.
using Spared = std::map<repo::PointId, std::set<std::string>>;

bool has_log(const repo::Snapshot& snapshot) { return snapshot.kind == "postgres" || snapshot.kind == "redis"; }

bool leads_further(const repo::Point& point, const repo::Snapshot& snapshot, const Spared& spared) {
  const auto found = spared.find(point.id);
  return found == spared.end() || !has_log(snapshot) || found->second.contains(snapshot.component);
}

// Expires the WAL and commands that no kept point needs, stream by stream. A stream is of a cluster,
// not of a stack: `kept` are the points of every stack in the repository, less `dropped`.
class LogKeeper {
 public:
  LogKeeper(Workspace& workspace, const PruneOptions& options, const std::vector<repo::Point>& kept,
            const std::vector<repo::PointId>& dropped, const Spared& spared)
      : workspace_(workspace), options_(options), dropped_(dropped), spared_(spared), kept_(kept) {}

  Result<std::vector<LogExpiry>> run() {
    std::vector<LogExpiry> result;
    const std::string in_use = TRY(why_in_use());
    if (in_use.empty()) TRY(read_points_again());
    auto logs = repo::open_log_store(workspace_.repository());
    std::set<std::string> commands;  // components with a log of Redis
    for (const std::string& stream : TRY(logs->streams())) {
      if (const auto id = redis::parse_stream(stream); id && belongs_to_stack(id->component))
        commands.insert(id->component);
      const auto name = parse_stream_name(stream);
      if (!name || !belongs_to_stack(name->component)) continue;
      if (!in_use.empty())
        result.push_back({stream, "", {}, in_use + kUntilNext});
      else
        result.push_back(TRY_CONTEXT(or_left(expire(stream, *name), stream), "log {}", stream));
    }
    for (const std::string& component : commands) {
      if (!in_use.empty())
        result.push_back({component, "", {}, in_use + kUntilNext});
      else
        result.push_back(TRY_CONTEXT(or_left(expire_commands(*logs, component), component), "log of {}", component));
    }
    return result;
  }

 private:
  static constexpr const char* kUntilNext = ": left as it is until the next time";
  static constexpr const char* kNoPoint = "no kept point belongs to it: left as it is";

  // A log of which nobody can tell what is needed stays, and keeps no other.
  static Result<LogExpiry> or_left(Result<LogExpiry> expired, const std::string& stream) {
    if (expired.ok() || !is_damage(expired.error())) return expired;
    return LogExpiry{stream, "", {}, "can't be read, left as it is: " + expired.error().text()};
  }

  // A backup that has not committed needs its WAL, too, and nobody knows yet from where
  // on. The point of one that has just ended on another machine may be in no listing yet: it is
  // read by its name, which its lease says.
  // A restore may be of a point that has just been removed.
  Result<std::string> why_in_use() {
    store::ObjectStore& store = workspace_.repository().environment().store;
    const auto leases = TRY(repo::recent_leases(store, repo::kVisibilityMargin));
    const Time now = TRY(store.server_time());
    for (const repo::LeaseInfo& lease : leases) {
      if (lease.expires <= now) {
        if (lease.kind != repo::LeaseKind::kWriter || lease.host == repo::host_name()) continue;
        if (lease.point.empty()) return fmt::format("a backup has just ended on {}", lease.host);
        just_committed_.push_back(TRY(repo::ObjectDigest::from_hex(lease.point)));
        continue;
      }
      if (lease.kind == repo::LeaseKind::kWriter) return std::string("a backup is running");
      if (lease.kind == repo::LeaseKind::kReader && lease.purpose != kMountPurpose && lease.purpose != kCheckPurpose)
        return fmt::format("\"{}\" reads on {}", lease.purpose, lease.host);
    }
    return std::string();
  }

  // A backup that ended since the points were read has committed one that was in no list,
  // and its lease is gone: listed after the leases, its point is seen.
  Result<void> read_points_again() {
    kept_ = TRY_CONTEXT(workspace_.repository().points(), "reading all points before expiring logs");
    for (const repo::PointId& id : just_committed_) {
      const auto is_it = [&](const repo::Point& point) { return point.id == id; };
      if (std::any_of(kept_.begin(), kept_.end(), is_it)) continue;
      auto point = repo::access(workspace_.repository()).read_point(id);
      if (!point.ok() && point.error().code() == ErrorCode::kNotFound) continue;  // removed since
      kept_.push_back(TRY(std::move(point)));
    }
    std::erase_if(kept_, [&](const repo::Point& point) {
      return std::find(dropped_.begin(), dropped_.end(), point.id) != dropped_.end();
    });
    return {};
  }

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
    postgres::WalNeed needed;
    std::optional<postgres::Lsn> oldest, newest_alone;
    uint64_t segment_bytes = 0;
    for (const SnapshotRef& ref : snapshots_of(kept_, name.component, "postgres")) {
      const ClusterFacts facts = TRY(cluster_facts(*ref.snapshot));
      if (facts.system_id != name.system_id) continue;
      segment_bytes = facts.segment_bytes;
      needed.bases.push_back({facts.start, facts.stop});
      if (leads_further(*ref.point, *ref.snapshot, spared_))
        oldest = std::min(oldest.value_or(facts.start), facts.start);
      else
        newest_alone = std::max(newest_alone.value_or(facts.start), facts.start);
    }
    if (needed.bases.empty()) {
      TRY(expire_left_behind(name, expiry));
      return expiry;
    }
    // Of a cluster that was left, the last snapshot keeps what leads on from it: it grows no more.
    needed.from = oldest ? *oldest : *newest_alone;
    expiry.before = needed.from.text();
    auto archive = TRY(open_archive(workspace_, name.component, name.system_id, segment_bytes));
    expiry.records = TRY(archive->expire(needed, options_.dry_run));
    return expiry;
  }

  // Of a cluster without a kept point all WAL goes once the component has gone on as another,
  // as after a major upgrade: when a kept point of that is younger than the last that came.
  // A cluster that has no point yet and stores its log keeps that. Histories stay: they are small, and
  // the cluster may come back on a timeline that they explain.
  Result<void> expire_left_behind(const StreamName& name, LogExpiry& expiry) {
    expiry.note = kNoPoint;
    const auto others = snapshots_of(kept_, name.component, "postgres");
    // A stream carries no stack's name: where another has such a component it may be of that.
    const std::string& stack = workspace_.stack().stack;
    const bool shared = std::any_of(others.begin(), others.end(), [&](const SnapshotRef& ref) {
      return ref.point->stack != (stack.empty() ? others.front().point->stack : stack);
    });
    if (others.empty() || shared) return {};
    Time newest_point{INT64_MIN}, newest_record;
    // Records carry the store's time: the clock of who took a point says nothing beside it.
    const repo::StoredTimes stored = TRY(repo::stored_times(workspace_.repository()));
    for (const SnapshotRef& ref : others) {
      const auto found = stored.find(ref.point->id);
      newest_point =
          std::max(newest_point, found == stored.end() ? ref.point->time : std::min(ref.point->time, found->second));
    }
    auto logs = repo::open_log_store(workspace_.repository());
    std::vector<std::string> records;
    for (const auto& record : TRY(logs->list(expiry.stream))) {
      newest_record = std::max(newest_record, record.modified);
      if (!record.name.ends_with(".history")) records.push_back(record.name);
    }
    if (newest_record >= newest_point || records.empty()) return {};
    expiry.note = "no kept point belongs to it, and the component has gone on as another cluster";
    if (!options_.dry_run) {
      for (const std::string& record : records) {
        auto removed = logs->remove(expiry.stream, record);
        if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
      }
    }
    expiry.records = std::move(records);
    return {};
  }

  // The same for the commands of a Redis component, all its histories together. A snapshot of
  // Redis is whole without them.
  Result<LogExpiry> expire_commands(repo::LogStore& logs, const std::string& component) {
    LogExpiry expiry;
    expiry.stream = component;
    std::vector<redis::Position> needed;
    const repo::Snapshot* oldest = nullptr;
    for (const SnapshotRef& ref : snapshots_of(kept_, component, "redis")) {
      if (!leads_further(*ref.point, *ref.snapshot, spared_)) continue;
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
  const std::vector<repo::PointId>& dropped_;
  const Spared& spared_;
  std::vector<repo::Point> kept_;
  std::vector<repo::PointId> just_committed_;
};

// Removes points by the rules, and then the log that none needs any more.
class Retention {
 public:
  Retention(Workspace& workspace, const PruneOptions& options) : workspace_(workspace), options_(options) {}

  Result<PruneReport> run() {
    // 1. Whoever holds a point from now on sees that we are at work (repo/hold.h).
    if (!options_.dry_run) lease_ = TRY(take_lease());
    now_ = TRY(agreed_time(workspace_));
    // 2. What to keep. A damaged point may need logs that nobody can tell: nothing is
    //    expired beside one. Points of other stacks in the same repository stay:
    //    retention is each stack's own.
    kept_ = TRY_CONTEXT(workspace_.repository().points(), "reading all points before pruning");
    TRY(decide());
    // 3. Points, then logs.
    TRY(drop_points());
    if (!kept_.empty()) report_.logs = TRY(LogKeeper(workspace_, options_, kept_, dropped_, spared_).run());
    if (lease_) TRY(lease_->release());
    tell_windows();
    return std::move(report_);
  }

 private:
  // On a full disk what leases of killed programs took may be the room that it needs.
  Result<std::unique_ptr<repo::Lease>> take_lease() {
    repo::Environment& environment = workspace_.repository().environment();
    const repo::LeaseOptions lease = {.kind = repo::LeaseKind::kCollector,
                                      .purpose = std::string(repo::kRetentionPurpose)};
    auto taken = repo::Lease::take(environment, lease);
    if (taken.ok() || taken.error().code() != ErrorCode::kNoSpace) return taken;
    TRY(repo::sweep_leases(environment.store, repo::kVisibilityMargin));
    return repo::Lease::take(environment, lease);
  }

  std::vector<repo::Point> of_stack(std::vector<repo::Point> points) const {
    const std::string& stack = workspace_.stack().stack;
    if (!stack.empty()) std::erase_if(points, [&](const repo::Point& point) { return point.stack != stack; });
    return points;
  }

  Result<void> decide() {
    auto points = of_stack(kept_);
    repo::RetentionFacts facts;
    facts.verified = TRY(repo::verified_points(workspace_.repository()));
    facts.components = workspace_.stack().component_names();
    for (repo::Hold& hold : TRY(repo::all_holds(workspace_.repository())))
      facts.held.emplace(hold.point, std::move(hold.reason));
    TRY_CONTEXT(read_logs(points, facts), "which points lead on, and the windows to keep");
    report_.decisions =
        repo::decide(options_.policy, points, facts, TRY(repo::stored_times(workspace_.repository())), now_);
    if (const std::string note = ahead_note(points, now_); !note.empty()) {
      log_warn("recovery.prune.points_ahead", {{"note", note}});
      report_.notes.push_back(note + "; each stays until then, and keeps no place of another");
    }
    std::sort(report_.decisions.begin(), report_.decisions.end(),
              [](const auto& a, const auto& b) { return a.time > b.time; });
    for (const repo::RetentionDecision& decision : report_.decisions) {
      if (decision.keep && decision.logs_of) tell_of_spared(points, decision);
    }
    return {};
  }

  void tell_of_spared(const std::vector<repo::Point>& points, const repo::RetentionDecision& decision) {
    spared_[decision.id] = *decision.logs_of;
    std::vector<std::string> without_log;
    for (const repo::Point& point : points) {
      for (const repo::Snapshot& snapshot : point.snapshots) {
        if (point.id == decision.id && !leads_further(point, snapshot, spared_))
          without_log.push_back(snapshot.component);
      }
    }
    std::string note =
        fmt::format("point {} stays only because newer ones have faults", decision.id.hex().substr(0, 8));
    if (!without_log.empty())
      note +=
          fmt::format(": of the log of {} only what its own state needs is kept for it", fmt::join(without_log, ", "));
    report_.notes.push_back(std::move(note));
  }

  // Points with the snapshots of that component alone.
  static std::vector<repo::Point> reduced(std::vector<repo::Point> points, const std::string& component) {
    for (repo::Point& point : points)
      std::erase_if(point.snapshots, [&](const repo::Snapshot& snapshot) { return snapshot.component != component; });
    std::erase_if(points, [](const repo::Point& point) { return point.snapshots.empty(); });
    return points;
  }

  // Where a component's log is damaged nobody knows which of its points lead on: all stay.
  Result<void> read_logs(const std::vector<repo::Point>& points, repo::RetentionFacts& facts) {
    std::set<std::string> components;
    for (const repo::Point& point : points) {
      for (const repo::Snapshot& snapshot : point.snapshots) components.insert(snapshot.component);
    }
    std::vector<ComponentWindows> windows;
    for (const std::string& component : components) {
      const auto own = reduced(points, component);
      auto read = read_log_of(own, facts, windows);
      if (read.ok()) continue;
      if (!is_damage(read.error())) return read;
      log_warn("recovery.prune.log_damaged", {{"component", component}, {"error", read.error().text()}});
      report_.notes.push_back(
          fmt::format("the log of {} can't be read, so all its points stay: {}", component, read.error().text()));
      for (const repo::Point& point : own)
        facts.held.emplace(point.id, fmt::format("the log of {} can't be read", component));
    }
    facts.window_begins = window_begins(windows);
    return {};
  }

  Result<void> read_log_of(const std::vector<repo::Point>& own, repo::RetentionFacts& facts,
                           std::vector<ComponentWindows>& windows) {
    facts.astray.merge(TRY(astray_snapshots(workspace_, own)));
    if (options_.policy.keep_window.ns == 0) return {};
    for (ComponentWindows& each : TRY(windows_of(workspace_, own))) windows.push_back(std::move(each));
    return {};
  }

  // What is gone is gone: that the windows can't be told is no reason to say nothing of it,
  // or to leave what is garbage now.
  void tell_windows() {
    auto windows = windows_left();
    if (windows.ok()) {
      report_.windows = std::move(windows).value();
      return;
    }
    const std::string problem = windows.error().text();
    log_warn("recovery.prune.windows", {{"error", problem}});
    report_.notes.push_back("what can be restored to is not known: " + problem);
  }

  // Those of the snapshots that lead further, so that a dry run, which finds the log as it was,
  // says the same; the others add their own instants.
  Result<std::vector<ComponentWindows>> windows_left() {
    const std::vector<repo::Point> points = of_stack(kept_);
    std::vector<repo::Point> leading = points;
    for (repo::Point& point : leading) {
      std::erase_if(point.snapshots,
                    [&](const repo::Snapshot& snapshot) { return !leads_further(point, snapshot, spared_); });
    }
    auto windows = TRY(windows_of(workspace_, leading));
    for (const repo::Point& point : points) {
      for (const repo::Snapshot& snapshot : point.snapshots) {
        if (!leads_further(point, snapshot, spared_)) TRY(add_instant(windows, point, snapshot));
      }
    }
    return windows;
  }

  static Result<void> add_instant(std::vector<ComponentWindows>& windows, const repo::Point& point,
                                  const repo::Snapshot& snapshot) {
    const auto component = std::find_if(windows.begin(), windows.end(), [&](const ComponentWindows& each) {
      return each.component == snapshot.component && each.kind == snapshot.kind;
    });
    if (component == windows.end()) return {};
    Window own{snapshot.instant, snapshot.instant, {point.id}, 0};
    if (snapshot.kind == "postgres") own.system_id = TRY(cluster_facts(snapshot)).system_id;
    auto& all = component->windows;
    const bool is_covered = std::any_of(all.begin(), all.end(), [&](const Window& window) {
      return window.system_id == own.system_id && window.from <= own.from && own.until <= window.until;
    });
    const auto later =
        std::find_if(all.begin(), all.end(), [&](const Window& window) { return window.from > own.from; });
    if (!is_covered) all.insert(later, std::move(own));
    return {};
  }

  Result<void> drop_points() {
    for (const repo::RetentionDecision& decision : report_.decisions) {
      if (decision.keep) continue;
      if (lease_) {
        TRY(lease_->ensure_held(repo::Lease::kCommitMargin));
        auto removed = workspace_.repository().remove_point(decision.id);
        // Gone already: a writer whose lease had ended has taken it back.
        if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
      }
      dropped_.push_back(decision.id);
      std::erase_if(kept_, [&](const repo::Point& point) { return point.id == decision.id; });
    }
    return {};
  }

  Workspace& workspace_;
  const PruneOptions& options_;
  Time now_;                            // the store's
  std::unique_ptr<repo::Lease> lease_;  // none in a dry run
  std::vector<repo::Point> kept_;       // of every stack
  std::vector<repo::PointId> dropped_;
  Spared spared_;
  PruneReport report_;
};

}  // namespace

Result<PruneReport> prune(Workspace& workspace, const PruneOptions& options) {
  if (options.policy.empty()) {
    return make_error(ErrorCode::kRefused, "there is no retention policy: prune would not know what to keep")
        .with_hint("add 'retention:' to the configuration, or give --keep-last N, --keep-daily N, ...");
  }
  PruneReport report = TRY(Retention(workspace, options).run());

  repo::CollectOptions collect;
  collect.dry_run = options.dry_run;
  collect.grace = options.grace;
  for (const auto& decision : report.decisions) {
    if (!decision.keep) collect.as_if_removed.push_back(decision.id);
  }
  workspace.machine().progress.phase = "collecting";
  report.collection =
      TRY(repo::collect(workspace.repository(), collect, options.visibility_margin, workspace.machine().progress));
  return report;
}

}  // namespace holdfast::recovery
