#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/point.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::postgres {

// The instants that a component can be restored to.
struct RecoveryWindow {
  std::optional<Time> from;   // the oldest snapshot's consistent end
  std::optional<Time> until;  // proven: every commit up to here is stored
  Lsn end;
  uint32_t timeline = 0;
  std::vector<std::string> gaps;
  std::optional<std::string> broken;  // more is stored behind `end`: why it can't be reached
  std::vector<std::string> notes;     // timelines that are left aside
};

// A target that was proven reachable: which snapshot, which timeline, and what to
// write into the recovery settings.
struct ResolvedTarget {
  size_t snapshot_index = 0;  // into the list given
  uint32_t timeline = 0;
  Lsn replay_from, replay_to;  // WAL that recovery will need; replay_to is exclusive
  // recovery_target_* settings as name, value; recovery_target_timeline is always
  // among them, and alone it means: replay all that is stored.
  std::vector<std::pair<std::string, std::string>> settings;
  // For a standby: it has to be told `timeline`, since by what is stored PostgreSQL would take
  // another for the latest, or since it was asked for.
  bool names_timeline = false;
  Time instant;  // what the outcome will stand for, as far as known
  // Where the last record that is stored begins, when all that is stored is to be replayed: a
  // server ends such a recovery wherever it finds no more. Empty: it is told where to stop,
  // and fails when it does not get there, or there is nothing to replay.
  std::optional<Lsn> last_record;
  bool as_captured = false;  // nothing beyond the snapshot's own end is wanted
  // Tablespaces that the WAL on the way makes, at the places where the original had
  // them: replay goes there, whatever the directory restored to.
  std::vector<WalSummary::Tablespace> tablespaces;
  std::vector<std::string> notes;  // timelines that are left aside
  std::string description;         // for people: "latest: last commit 2026-..., 3 segments to replay"
};

// Chooses the newest snapshot that serves the target and proves by reading the WAL
// (records, not file names) that the target exists and that nothing is missing on
// the way. kUnreachableTarget says the window. When a time lies after the last
// commit but is proven covered by a mark, the last stored record becomes the
// target: no commit is missed, PostgreSQL need not find a later one, and WAL that
// arrives meanwhile changes nothing. Without a timeline the target's is chosen
// (timeline_choice.h), for a time the one that was at work then; where it is not clear which one
// is the newest, and the target depends on it, kUnreachableTarget names both. With `only`, an index of the list, the
// restore begins with that snapshot; the others tell what the cluster went through. Errors of reading the archive
// pass through.
Result<ResolvedTarget> resolve_target(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots,
                                      const source::RestoreTarget& target, std::optional<size_t> only = std::nullopt);
Result<RecoveryWindow> recovery_window(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots);
// The notes of that window, without reading the log where it has one timeline only.
Result<std::vector<std::string>> timelines_left_aside(WalArchive& archive,
                                                      const std::vector<repo::Snapshot>& snapshots);

// The same instants, divided: one stretch of them ends where the log is broken, and the
// next begins with the first snapshot behind. One without the WAL that makes it whole begins none. Oldest
// first, each instant along the timeline that was at work then. Without the instants that
// resolve_target() refuses although the log goes on, between the last that is known of a timeline and
// the first of the one that a restore to the past began.
struct RecoveryStretch {
  Time from, until;
  // The snapshot that it begins with, in the list given; none where it goes along another timeline
  // than the one before.
  std::optional<size_t> snapshot_index;
};
Result<std::vector<RecoveryStretch>> recovery_stretches(WalArchive& archive,
                                                        const std::vector<repo::Snapshot>& snapshots);
// The same with what two timelines that both went on put in doubt, which is refused until one of them is
// named or has ended: who decides what may go counts it as reachable.
Result<std::vector<RecoveryStretch>> stretches_to_keep(WalArchive& archive,
                                                       const std::vector<repo::Snapshot>& snapshots);
// Those of the list given (as indices) that do not lead to the timeline that is followed: a restore
// to an instant before their end went another way. Read from the histories alone.
Result<std::vector<size_t>> snapshots_astray(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots);
// "the recovery window is A to B", "the recovery windows are A to B and C to D"; "" for none.
std::string describe(const std::vector<RecoveryStretch>& stretches);

}  // namespace holdfast::postgres
