#pragma once

#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/target.h"
#include "source/source.h"

namespace holdfast::postgres {

// Reads every page of the snapshot from the repository and checks its header and
// checksum, and that the tree is a whole cluster (pg_control, backup_label, WAL range).
Result<source::VerifyReport> verify_offline(source::World& world, repo::Repository& repository,
                                            const repo::Snapshot& snapshot);

struct Assertion {
  std::string name;
  std::string database;
  std::string sql;  // must return one row whose first column is true
};

struct BootOptions {
  std::string bin_directory;      // of a server of the right major; "" : looked for
  std::string scratch_directory;  // a private directory is made and removed below it
  std::vector<Assertion> assertions;
  bool amcheck = true;
  std::string restore_command;  // how the scratch server fetches WAL
  Duration deadline = Duration::hours(1);
};

// Restores aside, boots on a private socket (no TCP, no archiving, no
// replication), runs pg_amcheck, looks for invalid indexes and unvalidated
// constraints, compares row counts with those recorded at capture (exact only for
// an "immediate" target), runs the assertions, then removes everything, whatever
// happened.
Result<source::VerifyReport> verify_by_booting(source::World& world, repo::Repository& repository,
                                               const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                               const BootOptions& options);

}  // namespace holdfast::postgres
