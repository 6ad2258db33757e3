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

class Resolver {
 public:
  Resolver(CommandLog& log, const std::vector<repo::Snapshot>& snapshots, const source::RestoreTarget& target)
      : log_(log), snapshots_(snapshots), target_(target) {}

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

 private:
  Result<void> choose(size_t index) {
    resolved_.snapshot_index = index;
    resolved_.from = TRY(snapshot_source(snapshot())).position;
    resolved_.to = resolved_.from.offset;
    resolved_.instant = snapshot().instant;
    return {};
  }

  // The newest that is not younger and whose commands go so far. One of a history that was
  // left behind leaves the instant to those before it.
  Result<void> go_to_instant() {
    std::optional<Error> nearest;
    for (size_t i = snapshots_.size(); i-- > 0;) {
      if (!not_after(snapshots_[i].instant, *target_.time)) continue;
      TRY(choose(i));
      auto reached = choose_end();
      if (reached.ok() || reached.error().code() != ErrorCode::kUnreachableTarget) return reached;
      if (!nearest) nearest = std::move(reached).error();
    }
    return outside(nearest ? nearest->text() : "its oldest snapshot is younger");
  }

  // The newest of those whose commands go furthest. Damage in what only older ones need is
  // no reason to restore nothing.
  Result<void> go_furthest() {
    std::optional<LogEnd> furthest;
    size_t index = 0;
    for (size_t i = snapshots_.size(); i-- > 0;) {
      auto end = end_of(log_, snapshots_[i]);
      if (furthest && (!end.ok() || end.value().covered_until <= furthest->covered_until)) continue;
      furthest = TRY(std::move(end));
      index = i;
    }
    TRY(choose(index));
    resolved_.to = furthest->position.offset;
    resolved_.instant = furthest->covered_until;
    if (auto hole = TRY(hole_behind(log_, resolved_.from, *furthest)); !hole.empty())
      resolved_.notes.push_back(std::move(hole));
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
                      "between counts as done at its end, and is not in this state",
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
  const source::RestoreTarget& target_;
  ResolvedTarget resolved_;
};

}  // namespace

Result<ResolvedTarget> resolve_target(CommandLog& log, const std::vector<repo::Snapshot>& snapshots,
                                      const source::RestoreTarget& target) {
  return Resolver(log, snapshots, target).resolve();
}

Result<RecoveryWindow> recovery_window(CommandLog& log, const std::vector<repo::Snapshot>& snapshots) {
  RecoveryWindow window;
  if (snapshots.empty()) return window;
  window.from = window.until = snapshots.front().instant;
  for (const repo::Snapshot& snapshot : snapshots)
    window.until = std::max(*window.until, TRY(end_of(log, snapshot)).covered_until);
  return window;
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
