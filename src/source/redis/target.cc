#include "source/redis/target.h"

#include <algorithm>

#include "base/units.h"
#include "source/redis/command_stream.h"

namespace holdfast::redis {
namespace {

// Documents and people give times in microseconds, as frames have them.
bool not_after(Time instant, Time until) { return instant.ns / 1000 <= until.ns / 1000; }

// Where what was received after a snapshot ends. That nobody received is no gap.
Result<LogEnd> end_of(CommandLog& log, const repo::Snapshot& snapshot) {
  const Position from = TRY(snapshot_source(snapshot)).position;
  if (!log.knows(from)) return LogEnd{from, snapshot.instant};
  LogEnd end = TRY(log.reach(from));
  end.covered_until = std::max(end.covered_until, snapshot.instant);
  return end;
}

// The last instant of which a snapshot may show something.
Result<Time> latest_of(const repo::Snapshot& snapshot) {
  return std::max(TRY(snapshot_source(snapshot)).latest.value_or(snapshot.instant), snapshot.instant);
}

// One that can't be understood is of no history.
std::vector<SnapshotPlace> places_of(const std::vector<repo::Snapshot>& snapshots) {
  std::vector<SnapshotPlace> places;
  for (const repo::Snapshot& snapshot : snapshots) {
    auto place = snapshot_place(snapshot);
    places.push_back(place.ok() ? std::move(place).value() : SnapshotPlace{{}, snapshot.instant});
  }
  return places;
}

// Whether an older snapshot may take the place of a newer one, where its commands go further.
bool may_outlive(const CommandLog& log, const std::vector<SnapshotPlace>& places, size_t newer, size_t older) {
  return is_one_line(log, places[newer].position, places[older].position) ||
         is_left_for(log, places, places[newer], places[older]);
}

struct Furthest {
  size_t index = 0;
  LogEnd end;
  std::optional<Time> kept_back_until;  // where older ones would go further, but may not
};

// Of one line the place tells which goes further, whatever the dates say.
bool goes_beyond(const CommandLog& log, const LogEnd& end, const LogEnd& other) {
  if (end.position != other.position && log.leads_to(other.position, end.position)) return true;
  const bool is_before = end.position != other.position && log.leads_to(end.position, other.position);
  return !is_before && end.covered_until > other.covered_until;
}

// Damage in what only older ones need is no reason to restore nothing.
Result<Furthest> find_furthest(CommandLog& log, const std::vector<repo::Snapshot>& snapshots,
                               const std::vector<SnapshotPlace>& places) {
  const size_t top = snapshots.size() - 1;
  Furthest furthest{top, TRY(end_of(log, snapshots[top])), std::nullopt};
  Time kept_back{INT64_MIN};
  for (size_t i = top; i-- > 0;) {
    auto end = end_of(log, snapshots[i]);
    if (!end.ok() || !goes_beyond(log, *end, furthest.end)) continue;
    if (may_outlive(log, places, top, i)) {
      furthest.index = i;
      furthest.end = std::move(end).value();
    } else {
      kept_back = std::max(kept_back, end->covered_until);
    }
  }
  if (kept_back > furthest.end.covered_until) furthest.kept_back_until = kept_back;
  return furthest;
}

class Resolver {
 public:
  Resolver(CommandLog& log, const std::vector<repo::Snapshot>& snapshots, const source::RestoreTarget& target)
      : log_(log), snapshots_(snapshots), places_(places_of(snapshots)), target_(target) {}

  Result<ResolvedTarget> resolve() {
    if (target_.lsn || target_.xid || target_.name || target_.timeline) {
      return make_error(ErrorCode::kUsage,
                        "Redis has no LSN, transaction number, restore point or timeline to restore to")
          .with_hint("use --at TIME or --point ID");
    }
    if (snapshots_.empty()) return make_error(ErrorCode::kNotFound, "there is no snapshot to restore from");
    if (target_.time) {
      TRY(go_to_instant());
    } else if (target_.immediate) {
      TRY(choose(snapshots_.size() - 1));
    } else {
      TRY(go_furthest());
    }
    if (target_.immediate) return as_captured();
    TRY(find_boundary());
    describe();
    return std::move(resolved_);
  }

  Result<std::vector<std::string>> notes_of_newest() {
    TRY(go_furthest());
    return std::move(resolved_.notes);
  }

 private:
  Result<void> choose(size_t index) {
    resolved_.snapshot_index = index;
    resolved_.from = TRY(snapshot_source(snapshot())).position;
    resolved_.to = resolved_.from.offset;
    resolved_.instant = snapshot().instant;
    return {};
  }

  // The newest that is not younger and whose commands go so far.
  Result<void> go_to_instant() {
    std::optional<Error> nearest;
    std::optional<size_t> top;       // the newest that holds nothing later
    std::optional<size_t> doubtful;  // the newest that may
    bool is_kept_back = false;
    for (size_t i = snapshots_.size(); i-- > 0;) {
      if (!not_after(snapshots_[i].instant, *target_.time)) continue;
      if (!top && !not_after(TRY(latest_of(snapshots_[i])), *target_.time)) {
        if (!doubtful) doubtful = i;
        continue;
      }
      if (!top) top = i;
      if (!may_outlive(log_, places_, *top, i)) {
        is_kept_back = true;
        continue;
      }
      TRY(choose(i));
      auto reached = choose_end();
      if (reached.ok()) return note_left(*top);
      if (reached.error().code() != ErrorCode::kUnreachableTarget) return reached;
      if (!nearest) nearest = std::move(reached).error();
    }
    if (doubtful) return take_doubtful(*doubtful);
    std::string why = nearest ? nearest->text() : "its oldest snapshot is younger";
    if (is_kept_back) why += "; the commands behind older snapshots are " + kept_back(*top);
    return outside(why);
  }

  // Nothing older leads to the instant.
  Result<void> take_doubtful(size_t index) {
    TRY(choose(index));
    resolved_.instant = *target_.time;
    resolved_.notes.push_back(fmt::format(
        "its snapshot was begun between {} and {}: what was done after {} may be in this state",
        format_local(snapshot().instant), format_local(TRY(latest_of(snapshot()))), format_local(*target_.time)));
    return {};
  }

  // The newest of those whose commands go furthest.
  Result<void> go_furthest() {
    const Furthest furthest = TRY(find_furthest(log_, snapshots_, places_));
    const size_t top = snapshots_.size() - 1;
    TRY(choose(furthest.index));
    resolved_.to = furthest.end.position.offset;
    resolved_.instant = furthest.end.covered_until;
    TRY(note_left(top));
    if (furthest.kept_back_until)
      resolved_.notes.push_back(fmt::format("commands were received until {}, which are {}",
                                            format_local(*furthest.kept_back_until), kept_back(top)));
    if (auto hole = TRY(hole_behind(log_, resolved_.from, furthest.end)); !hole.empty())
      resolved_.notes.push_back(std::move(hole));
    return {};
  }

  // Why older ones do not take the place of `top`.
  std::string kept_back(size_t top) const {
    return fmt::format(
        "of another history than its snapshot of {}, and nothing proves that the server went back to that one (--point "
        "of an older snapshot, with --at, restores them)",
        format_local(snapshots_[top].instant));
  }

  // The newest was passed over.
  Result<void> note_left(size_t top) {
    if (is_one_line(log_, places_[top].position, resolved_.from)) return {};
    const LogEnd end = TRY(end_of(log_, snapshots_[top]));
    resolved_.notes.push_back(
        fmt::format("a newer snapshot, of {}, is of another history, which ends at {} and which the server left; "
                    "--point restores it",
                    format_local(snapshots_[top].instant), format_local(end.covered_until)));
    return {};
  }

  const repo::Snapshot& snapshot() const { return snapshots_[resolved_.snapshot_index]; }

  Result<ResolvedTarget> as_captured() {
    resolved_.description = fmt::format("as its snapshot of {} has it", format_local(snapshot().instant));
    return std::move(resolved_);
  }

  // Says the window, which an older error may not know.
  Error outside(const std::string& why) {
    const auto window = recovery_window(log_, snapshots_);
    std::string text = "it is not known";
    if (window.ok() && window.value().from && window.value().until)
      text = fmt::format("{} to {}", format_local(*window.value().from), format_local(*window.value().until));
    return make_error(ErrorCode::kUnreachableTarget, "it can't be restored to {}: {}; the recovery window is {}",
                      format_local(*target_.time), why, text)
        .with_hint("'holdfast log' shows the window and its gaps");
  }

  Result<void> choose_end() {
    resolved_.instant = *target_.time;
    if (target_.immediate || snapshot().instant.ns / 1000 == target_.time->ns / 1000) return {};
    resolved_.to = TRY(log_.position_at(resolved_.from, *target_.time)).position.offset;
    note_absence();
    return {};
  }

  // Nobody knows when in an absence something was done.
  void note_absence() {
    for (const LogAbsence& absence : log_.absences()) {
      if (!(absence.from_instant < *target_.time && *target_.time < absence.to_instant)) continue;
      if (!log_.leads_to(resolved_.from, {absence.replid, absence.to})) continue;
      resolved_.notes.push_back(
          fmt::format("commands came late from {} to {}, as the receiver was away or behind: what the server did in "
                      "between, and had not come by then, counts as done at its end and is not in this state",
                      format_local(absence.from_instant), format_local(absence.to_instant)));
    }
  }

  // Reads what will be replayed: the proof that it is there, and where it may end.
  Result<void> find_boundary() {
    if (resolved_.to == resolved_.from.offset) return {};
    CommandStream commands(resolved_.from.offset);
    LogUntil until;
    until.offset = resolved_.to;
    TRY(log_.read(resolved_.from, until, [&](const Frame& frame) { return commands.feed(frame.bytes); }));
    resolved_.to = commands.boundary();
    return {};
  }

  void describe() {
    if (resolved_.to == resolved_.from.offset) {
      resolved_.description = fmt::format("its snapshot of {}; no commands are stored after it until then",
                                          format_local(snapshot().instant));
      return;
    }
    resolved_.description = fmt::format("its snapshot of {}, and {} of commands after it",
                                        format_local(snapshot().instant), format_bytes(resolved_.replay_bytes()));
  }

  CommandLog& log_;
  const std::vector<repo::Snapshot>& snapshots_;
  const std::vector<SnapshotPlace> places_;
  const source::RestoreTarget& target_;
  ResolvedTarget resolved_;
};

}  // namespace

bool is_one_line(const CommandLog& log, const Position& a, const Position& b) {
  return log.leads_to(a, b) || log.leads_to(b, a);
}

bool is_left_for(const CommandLog& log, const std::vector<SnapshotPlace>& all, const SnapshotPlace& left,
                 const SnapshotPlace& other) {
  const auto tells = [&](const LogGap& gap) {
    return log.leads_to(left.position, gap.from) && is_one_line(log, gap.to, other.position);
  };
  const auto shows = [&](const SnapshotPlace& place) {
    return place.instant > left.instant && is_one_line(log, place.position, other.position) &&
           !is_one_line(log, place.position, left.position);
  };
  return std::any_of(log.gaps().begin(), log.gaps().end(), tells) || std::any_of(all.begin(), all.end(), shows);
}

Result<ResolvedTarget> resolve_target(CommandLog& log, const std::vector<repo::Snapshot>& snapshots,
                                      const source::RestoreTarget& target) {
  return Resolver(log, snapshots, target).resolve();
}

Result<RecoveryWindow> recovery_window(CommandLog& log, const std::vector<repo::Snapshot>& snapshots) {
  RecoveryWindow window;
  if (snapshots.empty()) return window;
  window.from = snapshots.front().instant;
  window.until = TRY(find_furthest(log, snapshots, places_of(snapshots))).end.covered_until;
  return window;
}

Result<std::vector<std::string>> notes_of_newest(CommandLog& log, const std::vector<repo::Snapshot>& snapshots) {
  return Resolver(log, snapshots, {}).notes_of_newest();
}

Result<std::string> hole_behind(CommandLog& log, const Position& from, const LogEnd& end) {
  for (const LogRange& range : TRY(log.ranges())) {
    if (range.to <= end.position.offset || !log.leads_to(from, {range.replid, range.to})) continue;
    return fmt::format("commands received until {} can't be reached from it: the log has a gap behind {}",
                       format_local(range.last), to_text(end.position));
  }
  return std::string();
}

}  // namespace holdfast::redis
