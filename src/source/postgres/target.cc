#include "source/postgres/target.h"

#include <algorithm>
#include <utility>

#include "source/postgres/snapshot_source.h"
#include "source/postgres/target_candidates.h"
#include "source/postgres/timeline_choice.h"
#include "source/postgres/wal_path.h"

// A target is reachable when PostgreSQL, started on a snapshot and fed by the
// archive, is certain to stop there: it ends with "recovery ended before
// configured recovery target was reached" when it meets the end of the log first,
// and refuses to stop before the snapshot's own end. Both are decided here from
// the records themselves. Where a target lies behind the last stored record but is
// proven to be covered, the last record's own position becomes the target: that is
// always reached, and does not move when more is stored while recovery runs.

namespace holdfast::postgres {

namespace {

constexpr int kFirstMajorThatLooksAhead = 15;  // recovery_prefetch

// The settings' spelling of an instant; PostgreSQL counts microseconds.
std::string setting_time(Time time) {
  std::string text = format_rfc3339(time);
  std::replace(text.begin(), text.end(), 'T', ' ');
  text.pop_back();
  return text + "+00";
}

bool is_within(const std::vector<RecoveryStretch>& stretches, Time instant) {
  return std::any_of(stretches.begin(), stretches.end(), [&](const RecoveryStretch& stretch) {
    return stretch.from <= instant && instant <= stretch.until;
  });
}

class Resolver {
 public:
  Resolver(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots, const source::RestoreTarget& target,
           std::optional<size_t> only)
      : archive_(archive), snapshots_(snapshots), target_(target), only_(only) {}

  Result<ResolvedTarget> resolve() {
    TRY(collect());
    TRY(choose_timeline_and_candidates());
    TRY(check_rival());
    if (target_.immediate) return immediate();
    if (target_.time) return by_time();
    if (target_.lsn) return by_lsn();
    if (target_.xid) return by_event(fmt::format("transaction {}", *target_.xid));
    if (target_.name) return by_event(fmt::format("restore point \"{}\"", *target_.name));
    return latest();
  }

 private:
  // The windows by names, which are cheap; where these hold what is refused, they are read.
  Error unreachable(const std::string& why, std::optional<Time> refused = std::nullopt) const {
    const auto begins = only_ ? std::vector<repo::Snapshot>{snapshots_[*only_]} : snapshots_;
    auto stretches = recovery_stretches(archive_, begins);
    if (stretches.ok() && refused && is_within(*stretches, *refused)) stretches = proven_stretches(archive_, begins);
    const std::string words = stretches.ok() ? describe(*stretches) : "";
    std::string others;
    for (const OtherTimeline& other : choice_.others) others += "; " + describe(other, choice_.timeline);
    if (earlier_) others += "; " + *earlier_;
    return make_error(ErrorCode::kUnreachableTarget, "{}{}{}{}", why, words.empty() ? "" : "; ", words, others);
  }

  // What comes behind the place where two timelines part is another on each.
  Result<void> check_rival() const {
    const OtherTimeline* rival = choice_.rival();
    if (rival == nullptr) return {};
    const bool latest = !target_.time && !target_.lsn && !target_.xid && !target_.name;
    if (latest || (target_.time && rival->at && *target_.time >= *rival->at)) return not_clear(*rival);
    if (target_.lsn) rival = rival_at(TRY(parse_lsn(*target_.lsn)));
    return target_.lsn && rival ? Result<void>(not_clear(*rival)) : Result<void>();
  }

  // One that is newer and has a log of its own before a position.
  const OtherTimeline* rival_at(Lsn position) const {
    const auto found = std::find_if(choice_.others.begin(), choice_.others.end(), [&](const OtherTimeline& other) {
      return other.newer && !other.unknown && position > other.parted;
    });
    return found == choice_.others.end() ? nullptr : &*found;
  }

  Error not_clear(const OtherTimeline& rival) const {
    if (rival.unknown) {
      return make_error(
                 ErrorCode::kUnreachableTarget,
                 "it is not clear which timeline to follow: WAL of timeline {} is stored, whose last commit ({}) "
                 "is later than all that is known of {}, but its history is not stored",
                 rival.timeline, format_rfc3339(*rival.last), timeline_)
          .with_hint(fmt::format("push {} of that server's pg_wal ('holdfast wal push'), or choose --timeline {}",
                                 history_name(rival.timeline), timeline_));
    }
    if (rival.idle_until) {
      return make_error(
                 ErrorCode::kUnreachableTarget,
                 "it is not clear which timeline to follow: {}, which the newest snapshot leads to, and {} part at {}; "
                 "there the server of {} still stood at {}, when {} had commits already (the last: {})",
                 timeline_, rival.timeline, rival.parted.text(), timeline_, format_rfc3339(*rival.idle_until),
                 rival.timeline, format_rfc3339(*rival.last))
          .with_hint(fmt::format("choose --timeline {} if that is of a copy, and --timeline {} if its server has taken "
                                 "over; a backup of the server that counts says it for good",
                                 timeline_, rival.timeline));
    }
    return make_error(
               ErrorCode::kUnreachableTarget,
               "it is not clear which timeline to follow: {}, which the newest snapshot leads to, and {} part at "
               "{}, both went on, and the last that is known of {} ({}) is the newest",
               timeline_, rival.timeline, rival.parted.text(), rival.timeline, format_rfc3339(*rival.last))
        .with_hint(fmt::format("choose with --timeline {} or --timeline {}", timeline_, rival.timeline));
  }

  Result<void> collect() {
    all_ = TRY(candidates_of(archive_, snapshots_));
    if (all_.empty()) return make_error(ErrorCode::kUnreachableTarget, "there is no snapshot of this cluster");
    begin_ = all_.back().source;
    if (!only_) return {};
    const auto begin = std::find_if(all_.begin(), all_.end(), [&](const auto& each) { return each.index == *only_; });
    if (begin == all_.end())
      return make_error(ErrorCode::kUnreachableTarget, "the snapshot to begin with is of another cluster");
    begin_ = begin->source;
    return {};
  }

  Result<void> choose_timeline_and_candidates() {
    if (target_.timeline) {
      choice_.timeline = *target_.timeline;
    } else if (target_.immediate) {
      choice_.timeline = begin_.timeline;
    } else {
      auto choice = choose_timeline(archive_, sources_of(all_));
      if (!choice.ok()) return with_way_out(std::move(choice).error());
      choice_ = std::move(*choice);
      if (only_ && !TRY(leads_to(archive_, begin_, choice_.timeline))) TRY(stay_with_begin());
    }
    timeline_ = choice_.timeline;
    return choose_candidates();
  }

  // Damage of one timeline keeps nobody from another that a person names.
  Error with_way_out(Error error) const {
    if (!is_unreadable(error)) return error;
    return std::move(error).with_hint(
        fmt::format("--timeline {}, that of the {}, goes along it without a look at the others", begin_.timeline,
                    only_ ? "point to begin with" : "newest point"));
  }

  // The snapshot to begin with lies on a way that the cluster has left.
  Result<void> stay_with_begin() {
    const uint32_t left = choice_.timeline;
    auto choice = choose_timeline(archive_, {begin_});
    if (!choice.ok()) return with_way_out(std::move(choice).error());
    choice_ = std::move(*choice);
    earlier_ = fmt::format(
        "timeline {} is followed, which this point leads to: it is not on the way to {}, on which "
        "the cluster went on",
        choice_.timeline, left);
    return {};
  }

  // The snapshots that lead to the timeline.
  Result<void> choose_candidates() {
    candidates_.clear();
    leading_.clear();
    for (const Candidate& candidate : all_) {
      auto leads = leads_to(archive_, candidate.source, timeline_);
      if (!leads.ok() && leads.error().code() == ErrorCode::kNotFound)
        return unreachable(fmt::format("timeline {} is not known here: its history is not stored", timeline_));
      if (!TRY(std::move(leads))) continue;
      leading_.push_back(candidate);
      if (!only_ || candidate.index == *only_) candidates_.push_back(candidate);
    }
    if (!candidates_.empty()) return {};
    return unreachable(
        fmt::format("no snapshot leads to timeline {}: the {} was taken on timeline {} and ends at {}, "
                    "which is not on the way to it",
                    timeline_, only_ ? "one to begin with" : "newest", begin_.timeline, begin_.stop.text()));
  }

  // A restore to the past leaves behind what was committed after its target. Whoever asks for an
  // instant of that time means the state of then, and not what the new timeline has in common with it.
  Result<void> go_back_to(Time time) {
    if (target_.timeline) return {};
    auto at_work = timelines_at_work(archive_, sources_of(all_), timeline_);
    if (!at_work.ok()) return with_way_out(std::move(at_work).error());
    for (const TimelineAtWork& each : *at_work) {
      if (!each.is_at_work(time) || !each.apart || time < *each.apart) continue;
      earlier_ = describe(each, timeline_);
      timeline_ = each.timeline;
      break;
    }
    return {};
  }

  // The log from a snapshot on; fails when it does not even make the snapshot whole.
  Result<WalPath> path_from(const Candidate& candidate) {
    WalPath path = TRY(WalPath::follow(archive_, timeline_, candidate.source.start, WalPath::Purpose::kTarget));
    if (path.end() >= candidate.source.stop) return path;
    return unreachable(what_lacks(candidate, path), target_.time.value_or(candidate.source.stop_time));
  }

  std::string what_lacks(const Candidate& candidate, const WalPath& path) const {
    return fmt::format("the snapshot of {} needs the WAL from {} to {}, but {}",
                       format_rfc3339(candidate.source.stop_time), candidate.source.start.text(),
                       candidate.source.stop.text(), why_it_ends(path));
  }

  std::string why_it_ends(const WalPath& path) const {
    if (path.broken()) return *path.broken();
    return fmt::format("the stored WAL ends at {} (segment {})", path.end().text(),
                       segment_name(path.timeline(), path.end(), archive_.identity().segment_bytes));
  }

  // Summaries list them; only a log that was stored before they did is read.
  static Result<std::vector<WalSummary::Tablespace>> tablespaces_on(const WalPath& path, Lsn from, Lsn to) {
    std::vector<WalSummary::Tablespace> made;
    for (const auto& stretch : path.stretches()) {
      if (stretch.to <= from || stretch.from >= to) continue;
      if (stretch.summary.tablespaces_complete) {
        for (const auto& space : stretch.summary.tablespaces)
          if (space.start >= from && space.start < to) made.push_back(space);
        continue;
      }
      TRY(path.events(std::max(from, stretch.from), std::min(to, stretch.to), [&](const WalEvent& event) {
        if (event.kind == WalEventKind::kTablespace) made.push_back({event.oid, event.name, event.start});
        return true;
      }));
    }
    return made;
  }

  // PostgreSQL's latest timeline is the last of those whose histories it finds one after the
  // other, whether or not they come of the one that it is on.
  Result<bool> must_name_timeline(const Candidate& candidate, const WalPath& path) {
    if (target_.timeline) return true;
    uint32_t latest = candidate.source.timeline;
    std::vector<TimelineSwitch> ancestors;
    for (;; latest++) {
      auto history = archive_.history(latest + 1);
      if (!history.ok() && history.error().code() == ErrorCode::kNotFound) break;
      if (!history.ok()) return true;
      ancestors = std::move(*history);
    }
    if (latest == timeline_) return false;
    // One of which nothing is stored yet: it goes on where the log ends.
    const auto left = std::find_if(ancestors.begin(), ancestors.end(),
                                   [&](const TimelineSwitch& each) { return each.timeline == timeline_; });
    return left == ancestors.end() || left->left_at < path.end();
  }

  // For a number of its own a server asks, at its end of recovery, for one history after the other, until there is
  // none: it does not get past one that can't be read.
  Result<void> prove_histories_behind(uint32_t timeline) {
    for (uint32_t next = timeline + 1;; next++) {
      auto history = archive_.history(next);
      if (!history.ok() && history.error().code() == ErrorCode::kNotFound) return {};
      if (!history.ok() && is_unreadable(history.error()))
        return std::move(history).error().with_hint(fmt::format(
            "the server asks for it when recovery ends: push {} again, from the pg_wal of a server that has "
            "it ('holdfast wal push')",
            history_name(next)));
      TRY(std::move(history));
    }
  }

  // The timelines that were at work, too, and have another log before this position: positions, transactions and
  // names come again there.
  Result<std::vector<std::string>> namesakes(Lsn position) {
    std::vector<std::string> notes;
    if (target_.timeline) return notes;
    auto at_work = timelines_at_work(archive_, sources_of(all_), timeline_);
    if (!at_work.ok() && is_unreadable(at_work.error())) {
      notes.push_back("whether other timelines have the same is not known: " + at_work.error().text());
      return notes;
    }
    for (const TimelineAtWork& each : TRY(std::move(at_work))) {
      if (!each.apart || position <= each.parted) continue;
      notes.push_back(fmt::format(
          "timeline {} was at work{}, and has a log of its own behind {}, in which the same may stand again "
          "(--timeline {} goes along that)",
          each.timeline, each.until ? " until " + format_rfc3339(*each.until) : "", each.parted.text(), each.timeline));
    }
    return notes;
  }

  Result<ResolvedTarget> outcome(const Candidate& candidate, const WalPath& path, Lsn replay_to, Time instant,
                                 const std::string& what) {
    const uint64_t segment_bytes = archive_.identity().segment_bytes;
    ResolvedTarget resolved;
    resolved.snapshot_index = candidate.index;
    // Where the first WAL of the timeline is missing the server would ask for it; it need not get there.
    resolved.timeline = path.broken() ? path.timeline() : timeline_;
    resolved.names_timeline = resolved.timeline != timeline_ || TRY(must_name_timeline(candidate, path));
    resolved.replay_from = candidate.source.start;
    resolved.replay_to = std::max(replay_to, candidate.source.stop);
    resolved.instant = instant;
    const uint64_t segments =
        (resolved.replay_to.value + segment_bytes - 1) / segment_bytes - resolved.replay_from.value / segment_bytes;
    resolved.description =
        fmt::format("{}, from the snapshot of {}, {} segment{} to replay on timeline {}", what,
                    format_rfc3339(candidate.source.stop_time), segments, segments == 1 ? "" : "s", path.timeline());
    if (choice_.former && !earlier_ && resolved.replay_to > choice_.former->parted)
      resolved.notes.push_back(describe(*choice_.former, timeline_));
    for (const OtherTimeline& other : choice_.others) resolved.notes.push_back(describe(other, choice_.timeline));
    if (earlier_) resolved.notes.push_back(*earlier_);
    if (target_.lsn || target_.xid || target_.name)
      for (std::string& note : TRY(namesakes(resolved.replay_to))) resolved.notes.push_back(std::move(note));
    TRY(prove_histories_behind(resolved.timeline));
    resolved.settings.emplace_back("recovery_target_timeline", std::to_string(resolved.timeline));
    // A server that looks ahead of what it replays asks for the missing segment before it has got to
    // its target, and ends there.
    if (path.broken() && candidate.source.major >= kFirstMajorThatLooksAhead)
      resolved.settings.emplace_back("recovery_prefetch", "off");
    resolved.tablespaces = TRY(tablespaces_on(path, resolved.replay_from, resolved.replay_to));
    return resolved;
  }

  // Stops behind the last stored record. Where none is to be replayed at all, as on an
  // idle standby, no target can be met: the end of the log is where recovery ends.
  void stop_at_end(ResolvedTarget& resolved, const Candidate& candidate, const WalPath& path) {
    const auto last = path.last_record();
    if (!last || *last <= candidate.source.start) return;
    resolved.settings.emplace_back("recovery_target_lsn", last->text());
    resolved.settings.emplace_back("recovery_target_inclusive", "on");
  }

  // A later snapshot tells, too, how far the server was, and when.
  Time end_instant(const Candidate& candidate, const WalPath& path) const {
    Time until = std::max(candidate.source.stop_time, path.proven_until().value_or(candidate.source.stop_time));
    for (const Candidate& other : leading_)
      if (other.source.stop <= path.end()) until = std::max(until, other.source.stop_time);
    return until;
  }

  Result<ResolvedTarget> immediate() {
    const Candidate& candidate = candidates_.back();
    const WalPath path = TRY(path_from(candidate));
    ResolvedTarget resolved =
        TRY(outcome(candidate, path, candidate.source.stop, candidate.source.stop_time, "as the snapshot ended"));
    resolved.as_captured = true;
    // PostgreSQL stops "immediately" when it meets a record behind the place where the
    // snapshot is whole. A snapshot of a standby may be all that there is.
    const auto last = path.last_record();
    if (last && *last >= candidate.source.stop) {
      resolved.settings.emplace_back("recovery_target", "immediate");
    } else {
      stop_at_end(resolved, candidate, path);
    }
    return resolved;
  }

  Result<ResolvedTarget> latest() {
    const Candidate& candidate = candidates_.back();
    const WalPath path = TRY(path_from(candidate));
    if (path.broken())
      return unreachable(*path.broken())
          .with_hint(fmt::format("restore to --lsn {}, where the readable log ends, or push what is missing",
                                 path.end().text()));
    const auto commit = path.last_commit();
    ResolvedTarget resolved = TRY(outcome(candidate, path, path.end(), end_instant(candidate, path),
                                          commit ? fmt::format("latest: last commit {}", format_rfc3339(*commit))
                                                 : "latest: no commit since the snapshot"));
    if (const auto last = path.last_record(); last && *last > candidate.source.start) resolved.last_record = last;
    return resolved;
  }

  Result<ResolvedTarget> by_time() {
    const Time time = whole_microseconds(*target_.time);
    TRY(go_back_to(time));
    if (earlier_) TRY(choose_candidates());
    const bool beyond_fraction = !target_.inclusive && time != *target_.time;  // a commit at `time` still counts
    const bool inclusive = target_.inclusive || beyond_fraction;
    const auto stops = [&](Time at) { return inclusive ? at > time : at >= time; };
    const auto may_hold = [&](const WalSummary& summary) { return summary.latest && stops(*summary.latest); };
    const auto match = [&](const WalEvent& event) {
      return (event.kind == WalEventKind::kCommit || event.kind == WalEventKind::kAbort) && stops(event.time);
    };
    for (auto candidate = candidates_.rbegin(); candidate != candidates_.rend(); ++candidate) {
      if (candidate->source.stop_time > time) continue;
      const WalPath path = TRY(path_from(*candidate));
      const auto stop = TRY(path.find(candidate->source.start, path.end(), may_hold, match));
      if (stop && stop->start < candidate->source.stop) continue;  // it would stop before the snapshot is whole
      const std::string what = fmt::format("all up to {}", format_rfc3339(time));
      if (stop) {
        ResolvedTarget resolved = TRY(outcome(*candidate, path, stop->end, time, what));
        resolved.settings.emplace_back("recovery_target_time", setting_time(time));
        resolved.settings.emplace_back("recovery_target_inclusive", inclusive ? "on" : "off");
        return resolved;
      }
      if (end_instant(*candidate, path) < time)
        return unreachable(fmt::format("{} is not covered: {}", format_rfc3339(time), why_it_ends(path)), time);
      ResolvedTarget resolved = TRY(outcome(*candidate, path, path.end(), time, what));
      stop_at_end(resolved, *candidate, path);
      return resolved;
    }
    return unreachable(fmt::format("{} is before the end of the oldest snapshot that leads to timeline {}",
                                   format_rfc3339(time), timeline_));
  }

  Result<ResolvedTarget> by_lsn() {
    const Lsn lsn = TRY(parse_lsn(*target_.lsn));
    for (auto candidate = candidates_.rbegin(); candidate != candidates_.rend(); ++candidate) {
      if (candidate->source.stop > lsn) continue;
      const WalPath path = TRY(path_from(*candidate));
      if (path.end() < lsn) return unreachable(fmt::format("{} is not stored: {}", lsn.text(), why_it_ends(path)));
      const auto last = path.last_record();
      const bool at_end = !last || *last < lsn;
      const Time instant =
          at_end ? end_instant(*candidate, path)
                 : TRY(last_commit_up_to(path, candidate->source.stop, lsn)).value_or(candidate->source.stop_time);
      ResolvedTarget resolved =
          TRY(outcome(*candidate, path, at_end ? path.end() : lsn, instant, fmt::format("all up to {}", lsn.text())));
      if (at_end) {
        stop_at_end(resolved, *candidate, path);
      } else {
        resolved.settings.emplace_back("recovery_target_lsn", lsn.text());
        resolved.settings.emplace_back("recovery_target_inclusive", target_.inclusive ? "on" : "off");
      }
      return resolved;
    }
    return unreachable(fmt::format("{} is before the end of the oldest snapshot that leads to timeline {} ({})",
                                   lsn.text(), timeline_, candidates_.front().source.stop.text()));
  }

  // Of the stretch that recovery stops in the records are read: the rest of it is not replayed.
  Result<std::optional<Time>> last_commit_up_to(const WalPath& path, Lsn from, Lsn lsn) const {
    const Lsn end = target_.inclusive ? Lsn{lsn.value + 1} : lsn;
    std::optional<Time> last;
    for (const auto& stretch : path.stretches()) {
      if (stretch.to <= from || stretch.from >= end) continue;
      if (stretch.to <= lsn) {
        if (stretch.summary.last_commit) last = stretch.summary.last_commit;
        continue;
      }
      TRY(path.events(stretch.from, end, [&](const WalEvent& event) {
        if (event.kind == WalEventKind::kCommit) last = event.time;
        return true;
      }));
    }
    return last;
  }

  bool may_hold_event(const WalSummary& summary) const {
    if (target_.xid) {
      const auto xid = static_cast<uint32_t>(*target_.xid);
      return summary.min_xid && *summary.min_xid <= xid && xid <= *summary.max_xid;
    }
    return !summary.restore_points_complete ||
           std::any_of(summary.restore_points.begin(), summary.restore_points.end(),
                       [&](const auto& point) { return point.name == *target_.name; });
  }

  bool is_event(const WalEvent& event) const {
    if (target_.name) return event.kind == WalEventKind::kRestorePoint && event.name == *target_.name;
    return (event.kind == WalEventKind::kCommit || event.kind == WalEventKind::kAbort) &&
           event.xid == static_cast<uint32_t>(*target_.xid);
  }

  // A transaction or a restore point: PostgreSQL stops at the first one that it meets.
  Result<ResolvedTarget> by_event(const std::string& what) {
    std::optional<Lsn> searched_from;  // a later snapshot's log was searched already
    std::string end;
    for (auto candidate = candidates_.rbegin(); candidate != candidates_.rend(); ++candidate) {
      const WalPath path =
          TRY(WalPath::follow(archive_, timeline_, candidate->source.start, WalPath::Purpose::kTarget));
      const bool is_whole = path.end() >= candidate->source.stop;
      if (end.empty()) end = is_whole ? why_it_ends(path) : what_lacks(*candidate, path);
      if (!is_whole) continue;  // an older one may lead there, too
      const auto event = TRY(path.find(
          candidate->source.start, searched_from.value_or(path.end()),
          [&](const WalSummary& summary) { return may_hold_event(summary); },
          [&](const WalEvent& each) { return is_event(each); }));
      searched_from = candidate->source.stop;
      if (!event || event->start < candidate->source.stop) continue;
      if (const auto* rival = rival_at(event->end)) return not_clear(*rival);
      if (event->kind == WalEventKind::kAbort)
        return unreachable(fmt::format("{} was rolled back, at {}", what, format_rfc3339(event->time)));
      ResolvedTarget resolved = TRY(outcome(*candidate, path, event->end, event->time,
                                            fmt::format("{} of {}", what, format_rfc3339(event->time))));
      if (target_.name) {
        resolved.settings.emplace_back("recovery_target_name", *target_.name);
      } else {
        resolved.settings.emplace_back("recovery_target_xid", std::to_string(*target_.xid));
        resolved.settings.emplace_back("recovery_target_inclusive", target_.inclusive ? "on" : "off");
      }
      return resolved;
    }
    std::string elsewhere;
    for (const std::string& note : TRY(namesakes(Lsn{UINT64_MAX}))) elsewhere += "; " + note;
    return unreachable(fmt::format("{} {} in the stored WAL of timeline {} after a snapshot; {}{}", what,
                                   target_.name ? "is not found" : "has not committed", timeline_, end, elsewhere));
  }

  WalArchive& archive_;
  const std::vector<repo::Snapshot>& snapshots_;
  const source::RestoreTarget& target_;
  std::optional<size_t> only_;
  SnapshotSource begin_;  // the newest, or the only one to begin with
  // Oldest first: of the cluster, of these those that lead to the timeline, and of these those to begin with.
  std::vector<Candidate> all_, leading_, candidates_;
  TimelineChoice choice_;
  uint32_t timeline_ = 0;
  std::optional<std::string> earlier_;  // why it is not the one that was chosen
};

}  // namespace

Result<ResolvedTarget> resolve_target(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots,
                                      const source::RestoreTarget& target, std::optional<size_t> only) {
  return Resolver(archive, snapshots, target, only).resolve();
}

}  // namespace holdfast::postgres
