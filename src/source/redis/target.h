#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/point.h"
#include "source/redis/command_log.h"
#include "source/source.h"

namespace holdfast::redis {

// Whether two places are on one line: bytes of one lead to the other.
bool is_one_line(const CommandLog& log, const Position& a, const Position& b);
// Whether it is proven that the server left the history of `left` for that of `other`: a gap
// of the log says so, or a snapshot among `all` that is of the line of `other` and younger than
// `left`. Else `left` may be what the server went to, while what it was still was received.
bool is_left_for(const CommandLog& log, const std::vector<SnapshotPlace>& all, const SnapshotPlace& left,
                 const SnapshotPlace& other);

// The instants that a component can be restored to: from the oldest snapshot to where the
// newest restore goes. Gaps lie between.
struct RecoveryWindow {
  std::optional<Time> from, until;
};

// A target that was proven reachable: which snapshot, and which commands after it.
struct ResolvedTarget {
  size_t snapshot_index = 0;  // into the list given
  Position from;              // of the snapshot
  uint64_t to = 0;            // commands before this offset are replayed; a boundary, never within MULTI and EXEC
  Time instant;               // what the outcome stands for
  std::string description;    // for people
  std::vector<std::string> notes;
  uint64_t replay_bytes() const { return to - from.offset; }
};

// Chooses the newest snapshot that is not younger than the instant and whose commands go so
// far, and proves by reading them that nothing is missing on the way and where the last whole
// command or transaction ends. No instant: the snapshot whose commands go furthest (on one line
// by its place), the newest of several, and all of them; `immediate`: the newest snapshot as it
// is. One of another history gives way to an older one only where it is_left_for() that one's; a
// note says that it did, and where an older one's commands go further. Snapshots are oldest first.
// kUnreachableTarget says the window. kUsage for what only other kinds of component
// have (LSN, transaction, restore point, timeline). Errors of reading pass through.
Result<ResolvedTarget> resolve_target(CommandLog& log, const std::vector<repo::Snapshot>& snapshots,
                                      const source::RestoreTarget& target);
Result<RecoveryWindow> recovery_window(CommandLog& log, const std::vector<repo::Snapshot>& snapshots);
// What a restore to the newest instant would note of what is stored and not in it. Snapshots
// are oldest first, at least one.
Result<std::vector<std::string>> notes_of_newest(CommandLog& log, const std::vector<repo::Snapshot>& snapshots);
// What to say of commands that are stored on the line of `from` and lie behind its `end`;
// "" when there are none.
Result<std::string> hole_behind(CommandLog& log, const Position& from, const LogEnd& end);

}  // namespace holdfast::redis
