#include "source/postgres/timeline_choice.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "source/postgres/timeline.h"
#include "source/postgres/wal_path.h"

namespace holdfast::postgres {

namespace {

// Of two servers: a failover may be as fast.
constexpr Duration kClocksDiffer = Duration::seconds(5);

// What is known of a timeline's life behind a position.
struct Life {
  bool any_wal = false;
  std::optional<Time> first, last;
  std::optional<std::string> broken;
  void add(std::optional<Time> time) {
    if (!time) return;
    first = first ? std::min(*first, *time) : *time;
    last = last ? std::max(*last, *time) : *time;
  }
};

class Chooser {
 public:
  Chooser(WalArchive& archive, const std::vector<SnapshotSource>& snapshots)
      : archive_(archive), snapshots_(snapshots) {}

  Result<TimelineChoice> run() {
    chosen_ = snapshots_.back().timeline;
    const auto timelines = TRY(reachable());
    for (const uint32_t timeline : timelines)
      if (timeline != chosen_ && TRY(takes_over(timeline))) chosen_ = timeline;
    TimelineChoice choice{chosen_, std::nullopt, {}};
    const uint32_t newest = snapshots_.back().timeline;
    if (chosen_ != newest) choice.former = FormerTimeline{newest, TRY(parting(newest, chosen_))};
    for (const uint32_t timeline : timelines) {
      if (timeline == chosen_) continue;
      if (auto other = TRY(worth_a_word(timeline))) choice.others.push_back(*other);
    }
    return choice;
  }

  Result<std::vector<EarlierTimeline>> earlier(uint32_t followed) {
    std::vector<EarlierTimeline> found;
    for (const uint32_t timeline : TRY(reachable())) {
      if (timeline == followed) continue;
      const Lsn parted = TRY(parting(followed, timeline));
      if (!TRY(switches_at(followed, parted))) continue;  // it was at work all along
      const WalPath path = TRY(WalPath::follow(archive_, timeline, parted, WalPath::Purpose::kLook));
      const auto commit = TRY(path.find(
          parted, path.end(), [](const WalSummary& summary) { return summary.commits > 0; },
          [](const WalEvent& event) { return event.kind == WalEventKind::kCommit; }));
      if (!commit) continue;
      const Life life = TRY(life_of(timeline, parted));
      found.push_back({timeline, parted, commit->time, std::max(commit->time, life.last.value_or(commit->time)),
                       TRY(beginning_of(followed, parted))});
    }
    return found;
  }

 private:
  // Those of which something is stored and that a snapshot leads to.
  Result<std::set<uint32_t>> reachable() {
    std::set<uint32_t> stored, reachable;
    for (const SnapshotSource& snapshot : snapshots_) stored.insert(snapshot.timeline);
    for (const WalPiece& piece : TRY(archive_.pieces())) stored.insert(piece.timeline);
    for (const uint32_t timeline : stored) {
      for (const SnapshotSource& snapshot : snapshots_) {
        const auto leads = leads_to(archive_, snapshot, timeline);
        if (!leads.ok() && leads.error().code() == ErrorCode::kNotFound) break;  // its history is not stored
        if (!leads.ok()) return leads.error().clone();
        if (!*leads) continue;
        reachable.insert(timeline);
        break;
      }
    }
    return reachable;
  }

  Result<Lsn> parting(uint32_t one, uint32_t other) {
    const auto first = path_to(one, TRY(archive_.history(one)));
    const auto second = path_to(other, TRY(archive_.history(other)));
    Lsn parted;
    for (size_t i = 0; i < std::min(first.size(), second.size()); i++) {
      if (first[i].timeline != second[i].timeline) break;
      parted = std::min(first[i].to, second[i].to);
      if (first[i].to != second[i].to) break;
    }
    return parted;
  }

  Result<bool> switches_at(uint32_t timeline, Lsn lsn) {
    const auto path = path_to(timeline, TRY(archive_.history(timeline)));
    return std::any_of(path.begin(), path.end(), [&](const TimelinePiece& piece) { return piece.to == lsn; });
  }

  // The first that is known of a timeline behind a position: also the record that ends the
  // recovery by which it began.
  Result<std::optional<Time>> beginning_of(uint32_t timeline, Lsn behind) {
    std::optional<Time> first = TRY(life_of(timeline, behind)).first;
    const WalPath path = TRY(WalPath::follow(archive_, timeline, behind, WalPath::Purpose::kLook));
    const auto event = TRY(path.find(
        behind, path.end(), [](const WalSummary&) { return true; },
        [](const WalEvent& each) { return each.time != Time(); }));
    if (event) first = first ? std::min(*first, event->time) : event->time;
    return first;
  }

  Result<Life> by_snapshots(uint32_t timeline, Lsn behind) {
    Life life;
    for (const SnapshotSource& snapshot : snapshots_)
      if (snapshot.stop > behind && TRY(leads_to(archive_, snapshot, timeline))) life.add(snapshot.stop_time);
    return life;
  }

  Result<Life> life_of(uint32_t timeline, Lsn behind) {
    const auto known = lives_.find({timeline, behind});
    if (known != lives_.end()) return known->second;
    Life life = TRY(by_snapshots(timeline, behind));
    for (const WalMark& mark : TRY(archive_.marks()))
      if (mark.timeline == timeline && mark.lsn > behind) life.add(mark.time);
    const WalPath path = TRY(WalPath::follow(archive_, timeline, behind, WalPath::Purpose::kLook));
    life.broken = path.broken();
    for (const WalPath::Stretch& stretch : path.stretches()) {
      if (stretch.to <= behind) continue;
      life.any_wal = true;
      if (stretch.from >= behind) {
        life.add(stretch.summary.first_commit);
        life.add(stretch.summary.latest);
        continue;
      }
      TRY(path.events(behind, stretch.to, [&](const WalEvent& event) {
        if (event.kind == WalEventKind::kCommit || event.kind == WalEventKind::kAbort) life.add(event.time);
        return true;
      }));
    }
    lives_[{timeline, behind}] = life;
    return life;
  }

  // Whether a timeline is what came after the chosen one.
  Result<bool> takes_over(uint32_t timeline) {
    const Lsn parted = TRY(parting(chosen_, timeline));
    const Life theirs = TRY(life_of(timeline, parted));
    if (!theirs.any_wal && !theirs.last) return false;
    const Life snapshots = TRY(by_snapshots(chosen_, parted));
    if (snapshots.last && (!theirs.last || *snapshots.last >= *theirs.last)) return false;
    const Life ours = TRY(life_of(chosen_, parted));
    if (!ours.last) return theirs.last || timeline > chosen_;
    return theirs.last && *theirs.last > *ours.last && *theirs.first + kClocksDiffer >= *ours.last;
  }

  Result<std::optional<OtherTimeline>> worth_a_word(uint32_t timeline) {
    const Lsn parted = TRY(parting(chosen_, timeline));
    const Life theirs = TRY(life_of(timeline, parted));
    if (!theirs.any_wal && !theirs.last) return std::optional<OtherTimeline>();
    OtherTimeline other{timeline, parted, theirs.first, theirs.last, theirs.broken, false};
    const Life snapshots = TRY(by_snapshots(chosen_, parted));
    const bool older = !theirs.last || (snapshots.last && *snapshots.last >= *theirs.last);
    if (!older) {
      Life both = TRY(life_of(chosen_, parted));
      other.newer = both.last && *theirs.last > *both.last;
      both.add(theirs.first);
      other.at = both.first;
    }
    // A lower number that is older is what was left by a failover or a restore to the past.
    if (!other.newer && timeline < chosen_) return std::optional<OtherTimeline>();
    return std::optional(other);
  }

  WalArchive& archive_;
  const std::vector<SnapshotSource>& snapshots_;
  uint32_t chosen_ = 0;
  std::map<std::pair<uint32_t, Lsn>, Life> lives_;
};

}  // namespace

const OtherTimeline* TimelineChoice::rival() const {
  const auto found = std::find_if(others.begin(), others.end(), [](const auto& other) { return other.newer; });
  return found == others.end() ? nullptr : &*found;
}

Result<TimelineChoice> choose_timeline(WalArchive& archive, const std::vector<SnapshotSource>& snapshots) {
  CHECK(!snapshots.empty());
  return Chooser(archive, snapshots).run();
}

Result<std::vector<EarlierTimeline>> earlier_timelines(WalArchive& archive,
                                                       const std::vector<SnapshotSource>& snapshots,
                                                       uint32_t followed) {
  return Chooser(archive, snapshots).earlier(followed);
}

Result<bool> leads_to(WalArchive& archive, const SnapshotSource& source, uint32_t timeline) {
  if (source.timeline == timeline) return true;
  if (source.timeline > timeline) return false;
  for (const TimelineSwitch& ancestor : TRY(archive.history(timeline)))
    if (ancestor.timeline == source.timeline) return source.stop <= ancestor.left_at;
  return false;
}

std::string describe(const OtherTimeline& other, uint32_t followed) {
  const std::string last =
      other.last ? "the last that is known of it is of " + format_rfc3339(*other.last) : "no commit is known of it";
  return fmt::format("timeline {}, which parts from {} at {}, is left aside: {}{} (--timeline {} follows it){}",
                     other.timeline, followed, other.parted.text(), last,
                     other.newer ? ", later than of the one that is followed" : "", other.timeline,
                     other.broken ? "; of it " + *other.broken : "");
}

std::string describe(const FormerTimeline& former, uint32_t followed) {
  return fmt::format(
      "timeline {} is followed, though the newest point is of timeline {}: they part at {}, and all that "
      "is known of {} came after all that is stored of {} (--timeline {} stays on that)",
      followed, former.timeline, former.parted.text(), followed, former.timeline, former.timeline);
}

std::string describe(const EarlierTimeline& earlier, uint32_t followed) {
  const std::string since = earlier.until ? "began at " + format_rfc3339(*earlier.until) : "began later";
  return fmt::format(
      "at that instant timeline {} was at work: timeline {}, which goes on without what was committed on {} behind "
      "{}, {} (--timeline {} goes along that)",
      earlier.timeline, followed, earlier.timeline, earlier.parted.text(), since, followed);
}

}  // namespace holdfast::postgres
