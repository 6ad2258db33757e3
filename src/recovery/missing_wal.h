#pragma once

#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::recovery {

// A PostgreSQL snapshot that can't be restored at all: WAL that makes it whole is not stored,
// or it does not say which that is.
struct MissingWal {
  repo::PointId point;
  Time point_time;
  std::string component;
  std::string problem;
};

// Looks at every point in the repository that can be read, of other stacks too. Goes by the names
// of the logs' records and by histories: what a record holds is for a check that reads data.
Result<std::vector<MissingWal>> missing_wal(Workspace& workspace);

// Where the log of a cluster goes on behind what `prune` has taken out of it (postgres::expired_until);
// Lsn{} also where that can't be told.
postgres::Lsn wal_expired_until(Workspace& workspace, postgres::WalArchive& archive);

}  // namespace holdfast::recovery
