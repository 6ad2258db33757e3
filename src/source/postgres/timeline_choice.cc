#include "source/postgres/timeline_choice.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
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
  std::optional<Time> idle_until;  // by a mark at the very position: the server was there, and had written nothing
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
    for (const uint32_t timeline : unknown_)
      if (auto other = TRY(word_of_unknown(timeline))) choice.others.push_back(*other);
    return choice;
  }

  Result<std::vector<TimelineAtWork>> at_work(uint32_t followed) {
    const auto timelines = TRY(reachable());
    std::vector<TimelineAtWork> begun;
    for (const uint32_t timeline : timelines) {
      const auto parent = TRY(parent_of(timeline, timelines));
      TimelineAtWork each;
      each.timeline = timeline;
      if (parent) each.from = TRY(beginning_of(timeline, parent->left_at));
      // Nothing is known of it, or it neither came of another one nor leads to the followed.
      if (!each.from && timeline != followed && (parent || !TRY(leads_along(followed, timeline)))) continue;
      begun.push_back(each);
    }
    put_in_order(begun, followed);
    std::vector<TimelineAtWork> found;
    for (TimelineAtWork& each : begun) {
      const bool on_the_way = each.timeline == followed || TRY(leads_along(followed, each.timeline));
      if (!on_the_way && (found.empty() || TRY(went_on_beside(found.back().timeline, each)))) continue;
      if (each.timeline != followed) {
        each.parted = TRY(parting(followed, each.timeline));
        // What came of another one than the followed lacks what the followed has since.
        each.apart = on_the_way ? TRY(departure_of(each.timeline, each.parted, followed)) : each.from;
      }
      if (!found.empty()) found.back().until = each.from;
      found.push_back(each);
    }
    return found;
  }

 private:
  // Those of which something is stored and that a snapshot leads to; the others whose history is not
  // stored are unknown_.
  Result<std::set<uint32_t>> reachable() {
    std::set<uint32_t> stored, reachable;
    for (const SnapshotSource& snapshot : snapshots_) stored.insert(snapshot.timeline);
    for (const WalPiece& piece : TRY(archive_.pieces())) stored.insert(piece.timeline);
    for (const uint32_t timeline : stored) {
      for (const SnapshotSource& snapshot : snapshots_) {
        const auto leads = leads_to(archive_, snapshot, timeline);
        if (!leads.ok() && leads.error().code() == ErrorCode::kNotFound) {
          unknown_.insert(timeline);
          break;
        }
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

  Result<bool> leads_along(uint32_t timeline, uint32_t other) {
    const auto ancestors = TRY(archive_.history(timeline));
    return std::any_of(ancestors.begin(), ancestors.end(), [&](const auto& each) { return each.timeline == other; });
  }

  // Whether the timeline that was at work when another began was that afterwards, too: a copy lived
  // beside it then. Unless backups were taken of the other since: an old server was late to end.
  Result<bool> went_on_beside(uint32_t timeline, const TimelineAtWork& other) {
    const Lsn parted = TRY(parting(timeline, other.timeline));
    const Life life = TRY(life_of(timeline, parted));
    const std::optional<Time> last = std::max(life.last, life.idle_until);
    if (last && *last >= *other.from) {
      return std::none_of(snapshots_.begin(), snapshots_.end(), [&](const SnapshotSource& snapshot) {
        return snapshot.timeline == other.timeline && snapshot.stop_time > *last;
      });
    }
    // That of an idle server has checkpoints alone.
    const WalPath path = TRY(WalPath::follow(archive_, timeline, parted, WalPath::Purpose::kLook));
    return TRY(path.find(
                   parted, path.end(), [](const WalSummary&) { return true; },
                   [&](const WalEvent& event) { return event.time >= *other.from; }))
        .has_value();
  }

  // Where its own WAL begins: what lies before is of those that it came of.
  Result<Lsn> left_parent_at(uint32_t timeline) {
    const auto ancestors = TRY(archive_.history(timeline));
    return ancestors.empty() ? Lsn() : ancestors.back().left_at;
  }

  // The first that is known of its own; none of one that `other` came of, which was there before.
  Result<std::optional<Time>> begun_beside(uint32_t timeline, uint32_t other) {
    if (TRY(leads_along(other, timeline))) return std::optional<Time>();
    return beginning_of(timeline, TRY(left_parent_at(timeline)));
  }

  // The nearest one of these that it came of.
  Result<std::optional<TimelineSwitch>> parent_of(uint32_t timeline, const std::set<uint32_t>& timelines) {
    const auto ancestors = TRY(archive_.history(timeline));
    for (auto ancestor = ancestors.rbegin(); ancestor != ancestors.rend(); ++ancestor)
      if (timelines.contains(ancestor->timeline)) return std::optional(*ancestor);
    return std::optional<TimelineSwitch>();
  }

  // By time; of two that began at once the later number counts. What began after the followed one did
  // was left for it.
  static void put_in_order(std::vector<TimelineAtWork>& begun, uint32_t followed) {
    const auto rank = [&](const TimelineAtWork& each) {
      const Time from = each.from.value_or(Time{each.timeline == followed ? INT64_MAX : INT64_MIN});
      return std::tuple(from, each.timeline);
    };
    std::sort(begun.begin(), begun.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    const auto last =
        std::find_if(begun.begin(), begun.end(), [&](const TimelineAtWork& each) { return each.timeline == followed; });
    if (last != begun.end()) begun.erase(last + 1, begun.end());
  }

  // From when on the state of a timeline that the followed one came of is not the followed one's: from
  // its first commit behind the place where they part. Where a hole hides that, from the last that is
  // known before it.
  Result<std::optional<Time>> departure_of(uint32_t timeline, Lsn behind, uint32_t followed) {
    const WalPath path = TRY(WalPath::follow(archive_, timeline, behind, WalPath::Purpose::kLook));
    const auto commit = TRY(path.find(
        behind, path.end(), [](const WalSummary& summary) { return summary.commits > 0; },
        [](const WalEvent& event) { return event.kind == WalEventKind::kCommit; }));
    if (commit) return std::optional(commit->time);
    if (!path.broken()) return std::optional<Time>();
    Time known = std::max(path.proven_until().value_or(Time()), TRY(last_before(behind, followed)));
    for (const SnapshotSource& snapshot : snapshots_)
      if (snapshot.stop <= path.end() && TRY(leads_to(archive_, snapshot, timeline)))
        known = std::max(known, snapshot.stop_time);
    return std::optional(known + Duration::microseconds(1));
  }

  // The last that is known of the way to a timeline before a position; the epoch: nothing.
  Result<Time> last_before(Lsn position, uint32_t timeline) {
    Time last;
    std::optional<Lsn> start;
    for (const SnapshotSource& snapshot : snapshots_)
      if (snapshot.stop <= position && TRY(leads_to(archive_, snapshot, timeline))) start = snapshot.start;
    if (!start) return last;
    const WalPath path = TRY(WalPath::follow(archive_, timeline, *start, WalPath::Purpose::kLook));
    for (const WalPath::Stretch& stretch : path.stretches()) {
      if (stretch.from >= position) break;
      if (stretch.to <= position) {
        last = std::max(last, stretch.summary.latest.value_or(last));
        continue;
      }
      TRY(path.events(stretch.from, position, [&](const WalEvent& event) {
        if (event.kind == WalEventKind::kCommit || event.kind == WalEventKind::kAbort)
          last = std::max(last, event.time);
        return true;
      }));
    }
    return last;
  }

  // The first that is known of a timeline behind a position: also the record that ends the
  // recovery by which it began. Of a checkpoint the second is known: it had begun when that was over.
  Result<std::optional<Time>> beginning_of(uint32_t timeline, Lsn behind) {
    std::optional<Time> first = TRY(life_of(timeline, behind)).first;
    const WalPath path = TRY(WalPath::follow(archive_, timeline, behind, WalPath::Purpose::kLook));
    const auto event = TRY(path.find(
        behind, path.end(), [](const WalSummary&) { return true; },
        [](const WalEvent& each) { return each.time != Time(); }));
    if (!event) return first;
    const bool is_rounded = event->kind == WalEventKind::kCheckpoint;
    const Time begun = is_rounded ? event->time + Duration::seconds(1) : event->time;
    return first ? std::min(*first, begun) : begun;
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
    for (const WalMark& mark : TRY(archive_.marks())) {
      if (mark.timeline != timeline || mark.lsn < behind) continue;
      if (mark.lsn > behind)
        life.add(mark.time);
      else
        life.idle_until = std::max(life.idle_until, std::optional(mark.time));
    }
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
    if (path.broken()) TRY(add_stored(life, timeline, path.end()));
    lives_[{timeline, behind}] = life;
    return life;
  }

  // When the first and the last of what is stored from a position on was committed, also behind a hole. As the
  // headers of the log tell it: as few as it takes, and without those that can't be read.
  Result<void> add_stored(Life& life, uint32_t timeline, Lsn from) {
    std::vector<const WalPiece*> pieces;
    const auto all = TRY(archive_.pieces());
    for (const WalPiece& piece : all)
      if (piece.timeline == timeline && piece.from >= from) pieces.push_back(&piece);
    life.any_wal |= !pieces.empty();
    std::sort(pieces.begin(), pieces.end(), [](const auto* a, const auto* b) { return a->from < b->from; });
    const auto add_time_of = [&](const WalPiece& piece) -> Result<bool> {
      auto read = archive_.summary(piece.record);
      const bool is_away = !read.ok() && read.error().code() == ErrorCode::kNotFound;  // it went meanwhile
      if (is_away || (!read.ok() && is_unreadable(read.error()))) return false;
      const auto summary = TRY(std::move(read));
      life.add(summary->first_commit);
      life.add(summary->latest);
      return summary->latest.has_value();
    };
    for (const WalPiece* piece : pieces)
      if (TRY(add_time_of(*piece))) break;
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece)
      if (TRY(add_time_of(**piece))) break;
    return {};
  }

  // Whether a timeline is what came after the chosen one.
  Result<bool> takes_over(uint32_t timeline) {
    const Lsn parted = TRY(parting(chosen_, timeline));
    const Life theirs = TRY(life_of(timeline, std::max(parted, TRY(left_parent_at(timeline)))));
    if (!theirs.any_wal && !theirs.last) return false;
    const Life snapshots = TRY(by_snapshots(chosen_, parted));
    if (snapshots.last && (!theirs.last || *snapshots.last >= *theirs.last)) return false;
    const Life ours = TRY(life_of(chosen_, parted));
    if (stood_beside(ours, theirs)) return false;
    if (!ours.last) return theirs.last || timeline > chosen_;
    return theirs.last && *theirs.last > *ours.last && *theirs.first + kClocksDiffer >= *ours.last;
  }

  // A server that wrote nothing was there when the other timeline had commits: that is of a copy, or has taken over
  // from one that nobody has stopped.
  static bool stood_beside(const Life& idle, const Life& other) {
    return !idle.last && idle.idle_until && other.first && *idle.idle_until > *other.first + kClocksDiffer;
  }

  Result<std::optional<OtherTimeline>> worth_a_word(uint32_t timeline) {
    const Lsn parted = TRY(parting(chosen_, timeline));
    const Life theirs = TRY(life_of(timeline, parted));
    if (!theirs.any_wal && !theirs.last) return std::optional<OtherTimeline>();
    OtherTimeline other{timeline, parted, false, theirs.first, theirs.last, theirs.broken, false, std::nullopt};
    const Life snapshots = TRY(by_snapshots(chosen_, parted));
    const bool older = !theirs.last || (snapshots.last && *snapshots.last >= *theirs.last);
    if (!older) {
      const Life ours = TRY(life_of(chosen_, parted));
      if (stood_beside(ours, theirs)) other.idle_until = ours.idle_until;
      other.newer = other.idle_until || (ours.last && *theirs.last > *ours.last);
      other.at = std::max(TRY(begun_beside(timeline, chosen_)), TRY(begun_beside(chosen_, timeline)));
    }
    // A lower number that is older is what was left by a failover or a restore to the past.
    if (!other.newer && timeline < chosen_) return std::optional<OtherTimeline>();
    return std::optional(other);
  }

  // Of one whose history is not known: it is newer when it has commits that are later than all of the chosen one.
  Result<std::optional<OtherTimeline>> word_of_unknown(uint32_t timeline) {
    if (TRY(leads_along(chosen_, timeline))) return std::optional<OtherTimeline>();  // where it was left is known
    Life theirs;
    TRY(add_stored(theirs, timeline, Lsn()));
    Life ours = TRY(by_snapshots(chosen_, Lsn()));
    for (const WalMark& mark : TRY(archive_.marks()))
      if (mark.timeline == chosen_) ours.add(mark.time);
    TRY(add_stored(ours, chosen_, Lsn()));
    OtherTimeline other{timeline, Lsn(), true, theirs.first, theirs.last, std::nullopt, false, std::nullopt};
    other.newer = theirs.last && (!ours.last || *theirs.last > *ours.last);
    if (!other.newer && timeline < chosen_) return std::optional<OtherTimeline>();
    return std::optional(other);
  }

  WalArchive& archive_;
  const std::vector<SnapshotSource>& snapshots_;
  uint32_t chosen_ = 0;
  std::set<uint32_t> unknown_;  // timelines whose history is not stored
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

Result<std::vector<TimelineAtWork>> timelines_at_work(WalArchive& archive, const std::vector<SnapshotSource>& snapshots,
                                                      uint32_t followed) {
  return Chooser(archive, snapshots).at_work(followed);
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
  if (other.unknown) {
    return fmt::format(
        "timeline {}, of which WAL is stored, is left aside, since its history is not: {}{} (push {} of that server's "
        "pg_wal with 'holdfast wal push')",
        other.timeline, last, other.newer ? ", later than of the one that is followed" : "",
        history_name(other.timeline));
  }
  return fmt::format("timeline {}, which parts from {} at {}, is left aside: {}{} (--timeline {} follows it){}",
                     other.timeline, followed, other.parted.text(), last,
                     other.idle_until ? ", when the server of the one that is followed stood still"
                     : other.newer    ? ", later than of the one that is followed"
                                      : "",
                     other.timeline, other.broken ? "; of it " + *other.broken : "");
}

std::string describe(const FormerTimeline& former, uint32_t followed) {
  return fmt::format(
      "timeline {} is followed, though the newest point is of timeline {}: they part at {}, and all that "
      "is known of {} came after all that is stored of {} (--timeline {} stays on that)",
      followed, former.timeline, former.parted.text(), followed, former.timeline, former.timeline);
}

std::string describe(const TimelineAtWork& earlier, uint32_t followed) {
  return fmt::format(
      "at that instant timeline {} was at work{}: timeline {} goes on without what was committed on {} behind {} "
      "(--timeline {} goes along that)",
      earlier.timeline, earlier.until ? ", until " + format_rfc3339(*earlier.until) : "", followed, earlier.timeline,
      earlier.parted.text(), followed);
}

}  // namespace holdfast::postgres
