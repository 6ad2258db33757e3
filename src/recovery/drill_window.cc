#include "recovery/drill_window.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/redis_component.h"
#include "recovery/redis_restore.h"
#include "source/postgres/target.h"

namespace holdfast::recovery {

namespace {

constexpr Time kForEver{INT64_MAX};

struct ComponentWindow {
  std::vector<Stretch> stretches;
  bool has_log = false;
  Time newest;  // snapshot's instant
};

// Of the cluster that is in use now.
Result<std::vector<Stretch>> postgres_stretches(Workspace& workspace, const std::vector<SnapshotRef>& refs) {
  const ClusterFacts facts = TRY(cluster_facts(*refs.back().snapshot));
  std::vector<repo::Snapshot> snapshots;
  for (const SnapshotRef& ref : refs) snapshots.push_back(*ref.snapshot);
  auto archive = TRY(open_archive(workspace, refs.back().snapshot->component, facts.system_id, facts.segment_bytes));
  std::vector<Stretch> stretches;
  for (const auto& stretch : TRY(postgres::recovery_stretches(*archive, snapshots)))
    stretches.push_back({stretch.from, stretch.until});
  if (stretches.empty())
    return make_error(ErrorCode::kUnreachableTarget, "no snapshot of it leads to the newest timeline");
  return stretches;
}

// As far as its commands are stored.
Result<std::vector<Stretch>> redis_stretches(Workspace& workspace, PointDates& dates,
                                             const std::vector<SnapshotRef>& refs) {
  const RedisLog opened = TRY(open_redis_log(workspace, refs.back().snapshot->component, refs, dates));
  std::vector<Stretch> stretches;
  for (const RedisWindow& window : TRY(find_windows(*opened.log, refs)))
    stretches.push_back({window.from, window.until});
  return stretches;
}

Result<ComponentWindow> window_of(Workspace& workspace, PointDates& dates, const std::vector<SnapshotRef>& refs) {
  ComponentWindow window;
  window.newest = refs.back().snapshot->instant;
  window.has_log = refs.back().snapshot->kind != "files";
  if (refs.back().snapshot->kind == "redis") {
    window.stretches = TRY(redis_stretches(workspace, dates, refs));
  } else if (refs.back().snapshot->kind == "postgres") {
    window.stretches = TRY(postgres_stretches(workspace, refs));
  } else {
    window.stretches = {{refs.front().snapshot->instant, kForEver}};
  }
  return window;
}

std::set<std::string> names_of(Workspace& workspace, const std::vector<repo::Point>& points,
                               const std::vector<std::string>& wanted) {
  if (!wanted.empty()) return {wanted.begin(), wanted.end()};
  std::set<std::string> names;
  for (const repo::Point& point : points) {
    for (const repo::Snapshot& snapshot : point.snapshots) {
      if (workspace.stack().components.empty() || workspace.stack().find(snapshot.component) != nullptr)
        names.insert(snapshot.component);
    }
  }
  return names;
}

int64_t microseconds_up(Time time) { return time.ns / 1000 + (time.ns % 1000 > 0 ? 1 : 0); }
int64_t microseconds_down(Time time) { return time.ns / 1000 - (time.ns % 1000 < 0 ? 1 : 0); }

// In targets' whole microseconds; the ends are inside. What has none within it stands for the
// one that it is in: that is how an instant is compared with a snapshot's.
struct Microseconds {
  int64_t first = 0, last = 0;
  explicit Microseconds(const Stretch& stretch)
      : first(std::min(microseconds_up(stretch.from), microseconds_down(stretch.until))),
        last(microseconds_down(stretch.until)) {}
  uint64_t count() const { return static_cast<uint64_t>(last - first) + 1; }
};

Error nothing_in_common(Time begins, Time ends) {
  return make_error(ErrorCode::kUnreachableTarget, "the components have no instant in common: {}",
                    ends < begins ? fmt::format("one begins at {}, and the log of another ends at {}",
                                                format_rfc3339(begins), format_rfc3339(ends))
                                  : "what the log of one has lies in the gaps of another's")
      .with_hint("drill one with --component NAME, or store the log after the newest point");
}

}  // namespace

Result<DrillWindow> drill_window(Workspace& workspace, const std::vector<std::string>& components) {
  const std::vector<repo::Point> points = TRY(stack_points(workspace));
  TRY(check_component_names(points, components));
  PointDates dates(workspace);
  std::optional<std::vector<Stretch>> common;
  std::optional<Time> begins, ends, newest;  // the latest beginning, and the earliest end of a log
  for (const std::string& name : names_of(workspace, points, components)) {
    const std::string& kind = snapshots_of(points, name).back().snapshot->kind;
    const auto refs = kind == "redis" ? TRY(redis_snapshots(dates, points, name)) : snapshots_of(points, name, kind);
    const ComponentWindow window = TRY_CONTEXT(window_of(workspace, dates, refs), "component {}", name);
    begins = std::max(begins.value_or(window.stretches.front().from), window.stretches.front().from);
    newest = std::max(newest.value_or(window.newest), window.newest);
    if (window.has_log) ends = std::min(ends.value_or(window.stretches.back().until), window.stretches.back().until);
    common = common ? common_stretches(*common, window.stretches) : window.stretches;
  }
  if (!common)
    return make_error(ErrorCode::kNotFound, "there is no recovery point to drill")
        .with_hint(hint_without_points(workspace));
  if (!ends) common = common_stretches(*common, {{*begins, *newest}});
  if (common->empty()) return nothing_in_common(*begins, ends.value_or(*newest));
  return DrillWindow{std::move(*common)};
}

std::vector<Stretch> common_stretches(const std::vector<Stretch>& a, const std::vector<Stretch>& b) {
  std::vector<Stretch> common;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Stretch both{std::max(a[i].from, b[j].from), std::min(a[i].until, b[j].until)};
    if (!(both.until < both.from)) common.push_back(both);
    if (a[i].until < b[j].until) {
      i++;
    } else {
      j++;
    }
  }
  return common;
}

Time random_instant(Random& random, const DrillWindow& window) {
  uint64_t instants = 0;
  for (const Stretch& stretch : window.stretches) instants += Microseconds(stretch).count();
  uint64_t drawn = random.below(instants);
  size_t chosen = 0;
  for (; drawn >= Microseconds(window.stretches[chosen]).count(); chosen++)
    drawn -= Microseconds(window.stretches[chosen]).count();
  return Time::from_unix_microseconds(Microseconds(window.stretches[chosen]).first + static_cast<int64_t>(drawn));
}

}  // namespace holdfast::recovery
