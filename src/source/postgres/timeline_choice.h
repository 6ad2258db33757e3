#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "source/postgres/lsn.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// A timeline of which something is stored, and that is not followed.
struct OtherTimeline {
  uint32_t timeline = 0;
  Lsn parted;              // where the two ways part
  bool unknown = false;    // its history is not stored: nobody can tell where, and nothing is restored along it
  std::optional<Time> at;  // the first that is known of the one that began later; before it is clear which is meant
  std::optional<Time> last;
  std::optional<std::string> broken;  // more is stored of its log behind a place that nothing gets past
  bool newer = false;                 // it was at work when the one that is followed was, and longer
  std::optional<Time> idle_until;     // so long at least the one that is followed stood where they part
};

// The timeline of the newest snapshot, from which another has taken over.
struct FormerTimeline {
  uint32_t timeline = 0;
  Lsn parted;  // where the two ways part
};

struct TimelineChoice {
  uint32_t timeline = 0;
  std::optional<FormerTimeline> former;
  std::vector<OtherTimeline> others;  // those worth a word
  // The one that makes it unclear what is the newest: a person has to choose.
  const OtherTimeline* rival() const;
};

// Which timeline "the newest" is on. Not the highest number: a standby that was promoted for
// a test, or a restored copy that archived for a moment, leaves a timeline too, and the server
// that counts goes on along the old one. The newest snapshot says where that is. Another
// timeline is followed instead when all that is known of it (commits and snapshots behind
// the place where the two part, marks there and behind it, also behind a hole) came after all that is known of the
// first: then it has taken over, by a failover or a restore to the past. Where both went on at the same time and the
// other for longer, nobody can tell: it is named as newer.
// `snapshots` are those of the cluster, oldest first, at least one.
Result<TimelineChoice> choose_timeline(WalArchive& archive, const std::vector<SnapshotSource>& snapshots);

// While which timeline was at work: each from the first that is known of it until the first that is
// known of the next one. The cluster's life before a restore to the past, or of a primary before a
// failover, is on a timeline that the followed one parts from.
struct TimelineAtWork {
  uint32_t timeline = 0;
  std::optional<Time> from, until;  // none: since ever, and to the end
  Lsn parted;                       // from the followed one
  // From when on its state is not the followed one's; none where that has all of it.
  std::optional<Time> apart;
  bool is_at_work(Time instant) const { return (!from || *from <= instant) && (!until || instant < *until); }
};
// In the order of time; `followed` is among them, the last. One that is left aside beside the
// timeline that it came of (a promotion for a test), or that nothing is known of, is not. A timeline
// begins, at the earliest, where it is certain that it had begun: a checkpoint tells whole seconds.
Result<std::vector<TimelineAtWork>> timelines_at_work(WalArchive& archive, const std::vector<SnapshotSource>& snapshots,
                                                      uint32_t followed);

// A snapshot leads to a timeline when its own end lies before the way to that timeline
// leaves the snapshot's.
Result<bool> leads_to(WalArchive& archive, const SnapshotSource& source, uint32_t timeline);

// "timeline 2, which parted from 1 at 0/5000000, is left aside; the last that is known of it is of ..."
std::string describe(const OtherTimeline& other, uint32_t followed);
// "timeline 2 is followed, though the newest point is of timeline 1: ..."
std::string describe(const FormerTimeline& former, uint32_t followed);
// "at that instant timeline 1 was at work, until ...: timeline 2 goes on without what ..."
std::string describe(const TimelineAtWork& earlier, uint32_t followed);

}  // namespace holdfast::postgres
