#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/point.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// A snapshot that a recovery may begin with, and where it is in the list given.
struct Candidate {
  size_t index = 0;
  SnapshotSource source;
};

// The snapshots of the archive's cluster, oldest first.
Result<std::vector<Candidate>> candidates_of(WalArchive& archive, const std::vector<repo::Snapshot>& snapshots);
std::vector<SnapshotSource> sources_of(const std::vector<Candidate>& candidates);

// PostgreSQL counts these: the instant without what is finer.
constexpr Time whole_microseconds(Time time) { return Time{time.ns - ((time.ns % 1000) + 1000) % 1000}; }

// recovery_stretches(), by the records themselves: as much of the log as there is is read.
Result<std::vector<RecoveryStretch>> proven_stretches(WalArchive& archive,
                                                      const std::vector<repo::Snapshot>& snapshots);

}  // namespace holdfast::postgres
