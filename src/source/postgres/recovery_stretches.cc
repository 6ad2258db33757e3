#include <algorithm>
#include <utility>

#include "source/postgres/region_capture.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/postgres/target_candidates.h"
#include "source/postgres/timeline_choice.h"
#include "source/postgres/wal_path.h"

namespace holdfast::postgres {

Result<std::vector<Candidate>> candidates_of(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < snapshots.size(); i++) {
    if (snapshots[i].kind != "postgres") continue;
    SnapshotSource source = TRY_CONTEXT(snapshot_source(snapshots[i]), "snapshot {} of {}", i, snapshots[i].component);
    if (source.system_id == archive.identity().system_id) all.push_back({i, std::move(source)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.source.stop_time < b.source.stop_time; });
  return all;
}

std::vector<SnapshotSource> sources_of(const std::vector<Candidate>& candidates) {
  std::vector<SnapshotSource> sources;
  for (const Candidate& candidate : candidates) sources.push_back(candidate.source);
  return sources;
}

namespace {

constexpr Duration kInstant = Duration::microseconds(1);

// The timeline that is followed.
struct OnTheWay {
  uint32_t timeline = 0;
  std::vector<Candidate> snapshots;  // that lead to it, oldest first
  std::vector<size_t> astray;        // all others of the cluster
  std::vector<Candidate> all;        // oldest first
  std::vector<OtherTimeline> others;
  std::optional<Time> doubtful;  // from when on it is not clear that this is the one to follow
};

Result<OnTheWay> way_to(WalArchive& archive, uint32_t timeline, const std::vector<Candidate>& all) {
  OnTheWay way;
  way.timeline = timeline;
  way.all = all;
  for (const Candidate& candidate : all) {
    if (TRY(leads_to(archive, candidate.source, timeline)))
      way.snapshots.push_back(candidate);
    else
      way.astray.push_back(candidate.index);
  }
  std::sort(way.astray.begin(), way.astray.end());
  return way;
}

Result<OnTheWay> snapshots_on_the_way(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots) {
  const std::vector<Candidate> all = TRY(candidates_of(archive, snapshots));
  if (all.empty()) return OnTheWay();
  TimelineChoice choice = TRY(choose_timeline(archive, sources_of(all)));
  OnTheWay way = TRY(way_to(archive, choice.timeline, all));
  if (const OtherTimeline* rival = choice.rival()) way.doubtful = rival->at;
  way.others = std::move(choice.others);
  return way;
}

std::vector<std::string> notes_of(const OnTheWay& way) {
  std::vector<std::string> notes;
  for (const OtherTimeline& other : way.others) notes.push_back(describe(other, way.timeline));
  return notes;
}

}  // namespace

Result<std::vector<std::string>> timelines_left_aside(WalArchive& archive,
                                                      const std::vector<repo::Snapshot>& snapshots) {
  return notes_of(TRY(snapshots_on_the_way(archive, snapshots)));
}

Result<RecoveryWindow> recovery_window(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots) {
  RecoveryWindow window;
  const OnTheWay way = TRY(snapshots_on_the_way(archive, snapshots));
  window.timeline = way.timeline;
  window.notes = notes_of(way);
  if (way.snapshots.empty()) return window;
  const SnapshotSource& oldest = way.snapshots.front().source;
  const SnapshotSource& newest = way.snapshots.back().source;
  const WalPath path = TRY(WalPath::follow(archive, window.timeline, newest.start));
  window.from = oldest.stop_time;
  window.end = path.end();
  window.until = std::max(newest.stop_time, path.proven_until().value_or(newest.stop_time));
  window.gaps = TRY(archive.gaps(window.timeline, oldest.start, std::max(path.end(), newest.stop)));
  window.broken = path.broken();
  if (path.broken()) window.gaps.push_back(*path.broken());
  return window;
}

namespace {

// Of a stretch whose newest snapshot this is.
Result<void> end_stretch(WalArchive& archive, uint32_t timeline, const Candidate& newest,
                         std::vector<RecoveryStretch>& stretches) {
  RecoveryStretch& stretch = stretches.back();
  const WalPath path = TRY(WalPath::follow(archive, timeline, newest.source.start));
  const bool is_whole = path.end() >= newest.source.stop;
  if (!is_whole && stretch.snapshot_index == newest.index) {
    stretches.pop_back();
    return {};
  }
  const Time least = is_whole ? newest.source.stop_time : stretch.from;
  stretch.until = std::max(least, path.proven_until().value_or(least));
  return {};
}

// Along one timeline, by the records themselves.
Result<std::vector<RecoveryStretch>> stretches_by_records(WalArchive& archive, const OnTheWay& way) {
  std::vector<RecoveryStretch> stretches;
  for (size_t i = 0; i < way.snapshots.size(); i++) {
    const Candidate& first = way.snapshots[i];
    const WalPath path = TRY(WalPath::follow(archive, way.timeline, first.source.start));
    if (path.end() < first.source.stop) continue;
    while (i + 1 < way.snapshots.size() && way.snapshots[i + 1].source.stop <= path.end()) i++;
    const Time least = way.snapshots[i].source.stop_time;
    stretches.push_back({first.source.stop_time, std::max(least, path.proven_until().value_or(least)), first.index});
  }
  return stretches;
}

// Along one timeline. Names tell where something is missing; the log itself is read from the last snapshot
// before a gap only, to see how far that one goes.
Result<std::vector<RecoveryStretch>> stretches_by_names(WalArchive& archive, const OnTheWay& way) {
  std::vector<RecoveryStretch> stretches;
  const Candidate* newest = nullptr;  // of a stretch that has not ended
  for (size_t i = 0; i < way.snapshots.size(); i++) {
    const Candidate& snapshot = way.snapshots[i];
    const auto [start, stop] = std::pair(snapshot.source.start, snapshot.source.stop);
    const bool is_last = i + 1 == way.snapshots.size();
    const bool leads_on =
        !is_last && TRY(archive.gaps(way.timeline, start, std::max(stop, way.snapshots[i + 1].source.start))).empty();
    if (leads_on || TRY(archive.gaps(way.timeline, start, stop)).empty()) {
      if (newest == nullptr) stretches.push_back({snapshot.source.stop_time, {}, snapshot.index});
      newest = &snapshot;
    }
    if (leads_on || newest == nullptr) continue;
    TRY(end_stretch(archive, way.timeline, *newest, stretches));
    newest = nullptr;
  }
  return stretches;
}

using FindStretches = Result<std::vector<RecoveryStretch>>(WalArchive& archive, const OnTheWay& way);

// Takes over what of `stretches` lies in [from, until); what follows without a hole goes on with the one before.
void add_within(const std::vector<RecoveryStretch>& stretches, std::optional<Time> from, std::optional<Time> until,
                std::vector<RecoveryStretch>& all) {
  for (const RecoveryStretch& stretch : stretches) {
    const Time first = from ? std::max(stretch.from, *from) : stretch.from;
    const Time last = until ? std::min(stretch.until, whole_microseconds(*until) - kInstant) : stretch.until;
    if (last < first) continue;
    if (!all.empty() && first <= all.back().until + kInstant) {
      all.back().until = std::max(all.back().until, last);
      continue;
    }
    all.push_back({first, last, first == stretch.from ? stretch.snapshot_index : std::nullopt});
  }
}

// Each instant along the timeline that resolve_target() takes for it.
Result<std::vector<RecoveryStretch>> stretches_of(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots,
                                                  FindStretches* find, bool with_doubtful) {
  const OnTheWay way = TRY(snapshots_on_the_way(archive, snapshots));
  if (way.all.empty()) return std::vector<RecoveryStretch>();
  const std::vector<RecoveryStretch> own = TRY(find(archive, way));
  std::vector<RecoveryStretch> all;
  for (const TimelineAtWork& each : TRY(timelines_at_work(archive, sources_of(way.all), way.timeline))) {
    if (!each.apart) {
      add_within(own, each.from, each.until, all);
      continue;
    }
    const Time apart = each.from ? std::max(*each.from, *each.apart) : *each.apart;
    add_within(own, each.from, each.until ? std::min(*each.until, apart) : apart, all);
    // Damage there keeps nobody from the rest.
    auto left = find(archive, TRY(way_to(archive, each.timeline, way.all)));
    if (!left.ok() && !is_damage(left.error())) return left;
    if (left.ok()) add_within(*left, apart, each.until, all);
  }
  if (with_doubtful || !way.doubtful) return all;
  std::vector<RecoveryStretch> clear;
  for (const RecoveryStretch& stretch : all) {
    if (stretch.from >= *way.doubtful) continue;
    clear.push_back(stretch);
    clear.back().until = std::min(stretch.until, whole_microseconds(*way.doubtful) - kInstant);
  }
  return clear;
}

}  // namespace

Result<std::vector<RecoveryStretch>> proven_stretches(WalArchive& archive,
                                                      const std::vector<repo::Snapshot>& snapshots) {
  return stretches_of(archive, snapshots, stretches_by_records, false);
}

Result<std::vector<RecoveryStretch>> recovery_stretches(WalArchive& archive,
                                                        const std::vector<repo::Snapshot>& snapshots) {
  return stretches_of(archive, snapshots, stretches_by_names, false);
}

Result<std::vector<RecoveryStretch>> stretches_to_keep(WalArchive& archive,
                                                       const std::vector<repo::Snapshot>& snapshots) {
  return stretches_of(archive, snapshots, stretches_by_names, true);
}

Result<std::vector<size_t>> snapshots_astray(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots) {
  return TRY(snapshots_on_the_way(archive, snapshots)).astray;
}

std::string describe(const std::vector<RecoveryStretch>& stretches) {
  if (stretches.empty()) return "";
  std::string words = stretches.size() == 1 ? "the recovery window is " : "the recovery windows are ";
  for (size_t i = 0; i < stretches.size(); i++) {
    if (i > 0) words += i + 1 == stretches.size() ? " and " : ", ";
    words += fmt::format("{} to {}", format_rfc3339(stretches[i].from), format_rfc3339(stretches[i].until));
  }
  return words;
}

}  // namespace holdfast::postgres
