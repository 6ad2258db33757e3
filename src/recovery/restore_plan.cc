#include <algorithm>
#include <set>

#include "base/places.h"
#include "recovery/apart.h"
#include "recovery/clocks.h"
#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "recovery/redis_restore.h"
#include "recovery/restore.h"
#include "repo/host.h"
#include "repo/missing.h"
#include "source/files/faults.h"
#include "source/files/restore.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::recovery {

namespace {

bool names_an_instant(const source::RestoreTarget& target) {
  return target.time || target.lsn || target.xid || target.name || target.immediate;
}

// People and documents give times in microseconds: what was cut off must not
// make a snapshot seem younger than its own time.
int64_t whole_microseconds(Time time) { return time.ns / 1000; }
bool not_after(Time instant, Time until) { return whole_microseconds(instant) <= whole_microseconds(until); }

// What is there of the way to a directory must be directories.
Result<void> check_no_file(FileSystem& fs, const std::string& directory) {
  const std::string place = existing_part(fs, directory);
  const auto status = fs.stat(resolved_path(place));
  // What can't be looked at is left to the restore itself.
  if (!status.ok() || S_ISDIR(status->st_mode)) return {};
  return make_error(ErrorCode::kRefused, "'{}' is no directory, and a restore goes into one", place)
      .with_hint("name with --to a directory that is empty, or one that is not there yet");
}

// Plans one restore: PostgreSQL first, since its WAL may settle the instant that
// the others are then chosen by.
class Planner {
 public:
  Planner(Workspace& workspace, const RestoreRequest& request)
      : workspace_(workspace), request_(request), dates_(workspace) {}

  Result<RestorePlan> run() {
    plan_.now = workspace_.machine().clock.now();
    TRY(load_points());
    TRY(choose_components());
    for (const std::string& component : components_) {
      if (kind_of(component) == "postgres") TRY_CONTEXT(plan_postgres(component), "component {}", component);
    }
    for (const std::string& component : components_) {
      if (kind_of(component) == "redis") TRY_CONTEXT(plan_redis(component), "component {}", component);
    }
    for (const std::string& component : components_) {
      if (kind_of(component) == "files") TRY_CONTEXT(plan_files(component), "component {}", component);
    }
    TRY(check_paths());
    note_what_is_missing();
    for (ComponentPlan& component : plan_.components) {
      TRY(choose_place(component));
      if (component.into_server || component.to.empty()) continue;
      TRY_CONTEXT(check_apart(workspace_.machine().fs, component.to, component.kind != "files",
                              workspace_.stack().repository_directory()),
                  "component {}", component.component);
    }
    return std::move(plan_);
  }

 private:
  Result<void> load_points() {
    points_ = TRY(stack_points(workspace_));
    if (points_.empty()) {
      return make_error(ErrorCode::kNotFound, "there is no recovery point of stack '{}' in {}",
                        workspace_.stack().stack, workspace_.stack().repository)
          .with_hint(hint_without_points(workspace_));
    }
    note_points_ahead();
    if (!request_.point) {
      all_points_ = points_;
      return {};
    }
    if (*request_.point == "latest") {
      only_point_ = points_.back();
    } else {
      only_point_ = TRY(workspace_.repository().find_point(*request_.point));
    }
    all_points_ = std::exchange(points_, {*only_point_});
    return {};
  }

  // Which point is the newest is told by another clock then.
  void note_points_ahead() {
    if (request_.point && *request_.point != "latest") return;
    if (auto note = ahead_note(points_, plan_.now); !note.empty())
      plan_.notes.push_back(std::move(note) +
                            "; among these and what came after them, the newest is what was stored last");
  }

  Result<void> choose_components() {
    TRY(check_component_names(points_, request_.components));
    std::set<std::string> seen;
    // The newest point first: its order of components is the one that people know.
    for (auto point = points_.rbegin(); point != points_.rend(); ++point) {
      for (const repo::Snapshot& snapshot : point->snapshots) {
        const auto& wanted = request_.components;
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), snapshot.component) == wanted.end()) continue;
        if (seen.insert(snapshot.component).second) components_.push_back(snapshot.component);
      }
    }
    // Without being asked for, a component that the stack no longer has stays away.
    if (request_.components.empty() && !request_.point && !workspace_.stack().components.empty()) {
      std::erase_if(components_, [&](const std::string& name) { return workspace_.stack().find(name) == nullptr; });
    }
    TRY(leave_out_whole_components());
    TRY(check_into());
    TRY(check_kinds());
    if (components_.empty())
      return make_error(ErrorCode::kNotFound, "the points hold no component that the stack describes");
    return {};
  }

  // Paths inside a component are for files: a cluster is restored whole.
  Result<void> leave_out_whole_components() {
    if (request_.only.empty()) return {};
    for (const std::string& component : request_.components) {
      if (kind_of(component) == "files") continue;
      return make_error(ErrorCode::kUsage,
                        "component '{}' is restored whole: paths can be chosen in files components only", component);
    }
    std::erase_if(components_, [&](const std::string& component) { return kind_of(component) != "files"; });
    if (components_.empty())
      return make_error(ErrorCode::kUsage,
                        "paths can be chosen in files components only, and there is none to restore");
    return {};
  }

  // A running server takes one component, and it is Redis that can.
  Result<void> check_into() {
    if (request_.into.empty()) return {};
    if (components_.size() == 1 && kind_of(components_.front()) == "redis") return {};
    return make_error(ErrorCode::kUsage,
                      "--into loads one Redis component into a running server, and {} would be restored",
                      fmt::join(components_, ", "))
        .with_hint("name that component with --component");
  }

  // What a component of another kind was then can't be put where it is now.
  Result<void> check_kinds() const {
    if (!request_.target.time) return {};
    for (const std::string& component : components_) {
      std::optional<SnapshotRef> then;
      for (const SnapshotRef& ref : snapshots_of(points_, component)) {
        if (not_after(ref.snapshot->instant, *request_.target.time)) then = ref;
      }
      if (!then || then->snapshot->kind == kind_of(component)) continue;
      return make_error(ErrorCode::kUnreachableTarget, "component {} was of kind {} at {}, and is of kind {} now",
                        component, then->snapshot->kind, format_local(*request_.target.time), kind_of(component))
          .with_hint(fmt::format("what it was then: --component {} --point {}", component,
                                 then->point->id.hex().substr(0, 8)));
    }
    return {};
  }

  std::string kind_of(const std::string& component) const {
    return snapshots_of(points_, component).back().snapshot->kind;
  }

  // Snapshots of one cluster. Which cluster, when the component was initialised
  // anew or upgraded between points: the one that was in use at the time asked for.
  Result<std::vector<SnapshotRef>> snapshots_of_one_cluster(const std::string& component) {
    const auto all = snapshots_of(points_, component, "postgres");
    uint64_t chosen = TRY(cluster_facts(*all.back().snapshot)).system_id;
    if (request_.target.time) {
      for (const SnapshotRef& ref : all) {
        if (not_after(ref.snapshot->instant, *request_.target.time))
          chosen = TRY(cluster_facts(*ref.snapshot)).system_id;
      }
    }
    std::vector<SnapshotRef> result;
    for (const SnapshotRef& ref : all) {
      if (TRY(cluster_facts(*ref.snapshot)).system_id == chosen) result.push_back(ref);
    }
    return result;
  }

  // Of one point alone the others of its cluster tell what that went through: where it is among them.
  std::optional<size_t> among_others(const std::string& component, uint64_t system_id,
                                     std::vector<SnapshotRef>& refs) const {
    std::optional<size_t> only;
    std::vector<SnapshotRef> others;
    for (const SnapshotRef& ref : snapshots_of(all_points_, component, "postgres")) {
      const auto facts = cluster_facts(*ref.snapshot);  // one that tells nothing keeps nobody from this
      if (!facts.ok() || facts->system_id != system_id) continue;
      if (ref.point->id == refs.back().point->id) only = others.size();
      others.push_back(ref);
    }
    if (only) refs = std::move(others);  // else the point is of another stack
    return only;
  }

  Result<void> plan_postgres(const std::string& component) {
    auto refs = TRY(snapshots_of_one_cluster(component));
    const ClusterFacts facts = TRY(cluster_facts(*refs.back().snapshot));
    source::RestoreTarget target = request_.target;
    // A standby begins at the point and goes on.
    if (request_.point && !names_an_instant(target) && !request_.newest && !request_.standby) target.immediate = true;
    std::optional<size_t> only;
    if (request_.point && !target.immediate) only = among_others(component, facts.system_id, refs);
    std::vector<repo::Snapshot> snapshots;
    for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
    auto archive = TRY(open_archive(workspace_, component, facts.system_id, facts.segment_bytes));
    const postgres::ResolvedTarget resolved = TRY(postgres::resolve_target(*archive, snapshots, target, only));
    CHECK(resolved.snapshot_index < refs.size());
    const SnapshotRef& ref = refs[resolved.snapshot_index];

    ComponentPlan plan = plan_of(ref);
    plan.target = resolved;
    plan.instant = resolved.instant;
    plan.description = resolved.description;
    plan.notes = resolved.notes;
    if (std::string note = postgres::settings_note(plan.snapshot); !note.empty()) plan.notes.push_back(std::move(note));
    plan.restore_command = restore_command(workspace_.stack(), component, TRY(cluster_facts(*ref.snapshot)));
    settled_ = settled_ ? std::min(*settled_, resolved.instant) : resolved.instant;
    plan_.components.push_back(std::move(plan));
    return {};
  }

  // The instant that components without a WAL are restored to; none: the newest.
  Result<std::optional<Time>> instant_of_others() {
    std::optional<Time> until = request_.target.time;
    if (until || request_.point || !(request_.target.lsn || request_.target.xid || request_.target.name)) return until;
    if (!settled_) {
      return make_error(ErrorCode::kUsage,
                        "--lsn, --xid and --name speak of a PostgreSQL component, and none is restored here")
          .with_hint("use --at TIME or --point ID");
    }
    return settled_;
  }

  Result<void> plan_redis(const std::string& component) {
    const auto refs = TRY(redis_snapshots(dates_, points_, component));
    std::vector<repo::Snapshot> snapshots;
    for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
    source::RestoreTarget target;
    target.time = TRY(instant_of_others());
    target.immediate = request_.target.immediate || (request_.point && !target.time && !request_.newest);
    // Also of one point alone the others tell how far the log is whole.
    const auto all = TRY(redis_snapshots(dates_, all_points_, component));
    const RedisLog opened = TRY(open_redis_log(workspace_, component, all, dates_));
    const redis::ResolvedTarget resolved = TRY(redis::resolve_target(*opened.log, snapshots, target));
    CHECK(resolved.snapshot_index < refs.size());
    ComponentPlan plan = plan_of(refs[resolved.snapshot_index]);
    plan.instant = resolved.instant;
    plan.description = resolved.description;
    plan.notes = resolved.notes;
    if (lacks_users(plan.snapshot))
      plan.notes.push_back(
          "the server had users of an ACL, which are in no RDB and do not come back: they are in its users.acl or "
          "redis.conf");
    plan.redis_target = resolved;
    plan_.components.push_back(std::move(plan));
    return {};
  }

  Result<void> plan_files(const std::string& component) {
    const std::optional<Time> until = TRY(instant_of_others());
    const auto refs = snapshots_of(points_, component, "files");
    const SnapshotRef* chosen = nullptr;
    for (const SnapshotRef& ref : refs) {
      if (!until || not_after(ref.snapshot->instant, *until)) chosen = &ref;
    }
    if (chosen == nullptr) {
      return make_error(ErrorCode::kUnreachableTarget, "it can't be restored to {}: the recovery window is {} to {}",
                        format_local(*until), format_local(refs.front().snapshot->instant),
                        format_local(refs.back().snapshot->instant))
          .with_hint("'holdfast points' lists what can be restored");
    }
    ComponentPlan plan = plan_of(*chosen);
    plan.instant = chosen->snapshot->instant;
    // What is missing in it was missing before anything was restored: no fault of this restore.
    if (auto note = files::faults_note(chosen->snapshot->faults); !note.empty()) plan.notes.push_back(std::move(note));
    plan.description = fmt::format("as it was captured for point {}", chosen->point->id.hex().substr(0, 8));
    if (until && whole_microseconds(plan.instant) < whole_microseconds(*until)) {
      plan.notes.push_back(fmt::format("its newest snapshot that is not younger lies {} before the instant asked for",
                                       format_duration(*until - plan.instant)));
    }
    plan_.components.push_back(std::move(plan));
    return {};
  }

  // Of a point that is restored as it is, what it lacks; else of the newest one that each
  // component could have come from, had it been captured.
  void note_what_is_missing() {
    for (auto point = points_.rbegin(); point != points_.rend(); ++point) {
      if (request_.target.time && !not_after(point->time, *request_.target.time)) continue;
      for (const repo::MissingComponent& missing : repo::missing_components(*point)) {
        const auto& wanted = request_.components;
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), missing.component) == wanted.end()) continue;
        const std::string words =
            fmt::format("point {} of {} is degraded: {} could not be captured for it ({})",
                        point->id.hex().substr(0, 8), format_local(point->time), missing.component, missing.problem);
        const auto plan = std::find_if(plan_.components.begin(), plan_.components.end(),
                                       [&](const auto& each) { return each.component == missing.component; });
        if (plan == plan_.components.end())
          plan_.notes.push_back(words);
        else if (plan->point_time < point->time)
          plan->notes.push_back(words);
      }
      if (repo::is_complete(*point, components_)) return;
    }
  }

  static ComponentPlan plan_of(const SnapshotRef& ref) {
    ComponentPlan plan;
    plan.component = ref.snapshot->component;
    plan.kind = ref.snapshot->kind;
    plan.point = ref.point->id;
    plan.point_time = ref.point->time;
    plan.snapshot = *ref.snapshot;
    plan.bytes = ref.snapshot->source_bytes;
    return plan;
  }

  // A path that is nowhere was mistyped: restoring nothing would look like success.
  Result<void> check_paths() {
    std::vector<std::string> nowhere = request_.only;
    for (const ComponentPlan& component : plan_.components) {
      if (nowhere.empty()) break;
      nowhere = TRY_CONTEXT(files::name_nothing(workspace_.repository(), component.snapshot, std::move(nowhere)),
                            "component {}", component.component);
    }
    if (nowhere.empty()) return {};
    return make_error(ErrorCode::kNotFound, "'{}' names nothing in {} {} as it will be restored", nowhere.front(),
                      components_.size() == 1 ? "component" : "components", fmt::join(components_, ", "))
        .with_hint(
            "a path is whole, as in 'srv/data/bills'; only a pattern with a wildcard (*, ? or [) and without '/' is a "
            "name anywhere, as in '*.pdf'");
  }

  // With --to and one component the directory is the component's own; with more,
  // each gets a folder of its name below it.
  Result<void> choose_place(ComponentPlan& plan) {
    if (!request_.into.empty()) {
      plan.into_server = true;
      plan.to = TRY(into_server(workspace_, request_, plan.component)).text();
      return {};
    }
    if (!request_.to.empty()) {
      const std::string to = absolute_path(request_.to);
      TRY(check_no_file(workspace_.machine().fs, to));
      plan.to = components_.size() == 1 ? to : join_path(to, plan.component);
      return choose_archiving(plan);
    }
    if (plan.kind == "files") {
      plan.to = "/";
      return {};
    }
    const ComponentConfig* config = workspace_.stack().find(plan.component);
    if (plan.kind == "redis") {
      // A server does not tell a replica where its data directory is. A plan that nobody
      // carries out wants no place; who does is told then.
      if (config != nullptr) plan.to = config->redis.data_directory;
      return {};
    }
    plan.to = config != nullptr ? config->postgres.data_directory : "";
    if (plan.to.empty()) plan.to = TRY(cluster_facts(plan.snapshot)).data_directory;
    if (plan.to.empty()) {
      return make_error(ErrorCode::kUsage, "component {}: the point does not say where its data directory was",
                        plan.component)
          .with_hint("say where to restore it with --to DIR");
    }
    return choose_archiving(plan);
  }

  // The original may live on: beside the copy, or on the machine that the point is of.
  // A standby archives nothing until it is promoted, and then it is the one.
  Result<void> choose_archiving(ComponentPlan& plan) {
    if (plan.kind != "postgres" || request_.standby || request_.keep_archiving) return {};
    const auto point = std::find_if(points_.begin(), points_.end(), [&](const auto& p) { return p.id == plan.point; });
    const bool elsewhere = point != points_.end() && !point->host.empty() && point->host != repo::host_name();
    plan.archiving_off = elsewhere || plan.to != TRY(cluster_facts(plan.snapshot)).data_directory;
    return {};
  }

  Workspace& workspace_;
  const RestoreRequest& request_;
  PointDates dates_;
  RestorePlan plan_;
  std::vector<repo::Point> all_points_, points_;  // of the stack; that may be restored
  std::optional<repo::Point> only_point_;
  std::vector<std::string> components_;
  std::optional<Time> settled_;  // the instant that PostgreSQL's WAL settled
};

}  // namespace

void add_notes(ComponentPlan& plan, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) {
    if (std::find(plan.notes.begin(), plan.notes.end(), note) == plan.notes.end()) plan.notes.push_back(note);
  }
}

uint64_t RestorePlan::bytes() const {
  uint64_t sum = 0;
  for (const ComponentPlan& component : components) sum += component.bytes;
  return sum;
}

Duration RestorePlan::spread() const {
  if (components.empty()) return {};
  const auto [first, last] = std::minmax_element(components.begin(), components.end(),
                                                 [](const auto& a, const auto& b) { return a.instant < b.instant; });
  return last->instant - first->instant;
}

Result<RestorePlan> plan_restore(Workspace& workspace, const RestoreRequest& request) {
  TRY(workspace.hold_for_reading("restore"));
  return Planner(workspace, request).run();
}

}  // namespace holdfast::recovery
