#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/extra_files.h"
#include "source/postgres/target.h"
#include "source/source.h"

namespace holdfast::postgres {

enum class AfterRecovery { kPromote, kPause, kShutdown };

struct MaterialiseOptions {
  std::string to;                                  // data directory
  std::map<std::string, std::string> tablespaces;  // oid or old location -> new location
  bool delta = false;
  // With delta what the snapshot lacks goes wherever it is PostgreSQL's own; with this also
  // what somebody else has put into the data directory.
  bool remove_extra = false;
  bool standby = false;          // standby.signal instead of recovery.signal
  std::string primary_conninfo;  // with standby
  AfterRecovery action = AfterRecovery::kPromote;
  std::string restore_command;  // "" : no WAL replay settings are written
  // Beside a cluster that may live on: it archives nothing, its subscriptions do not run, and
  // its commits wait for no standby.
  bool archiving_off = false;
  // Asked before anything is written, of the data directory and each tablespace's place.
  std::function<Result<void>(const std::string& directory)> check_place;
  // Asked before anything is written, with the places of the data directory and of tablespaces and
  // the account that the server will run under; none: ours (only root can give files away). Says
  // what speaks against it without forbidding it; "": nothing.
  std::function<Result<std::string>(const std::vector<std::string>& places, std::optional<uint32_t> uid,
                                    std::optional<uint32_t> gid)>
      check_account;
  bool dry_run = false;
  std::optional<uint32_t> uid, gid;  // owner of what is written, when root
};

struct MaterialiseReport {
  uint64_t files = 0;
  uint64_t bytes = 0, bytes_written = 0;
  std::vector<std::string> tablespaces;           // "16385 -> /path"
  std::vector<ExtraFiles::Removed> would_remove;  // of a dry run over an old cluster
  std::vector<std::string> notes;
  std::string owner;  // whom the files belong to; "": us
};

// Makes a data directory from a snapshot. Refuses a place that another restore is writing to
// (kLocked), a running target (kTargetRunning), a non-empty one without `delta` (kTargetNotEmpty), a `delta`
// over another cluster (kMismatch), tablespaces at places that a cluster uses
// (kTargetNotEmpty, or kRefused where replay would make them), places inside of another
// data directory (kRefused), too little space (kNoSpace), all before anything is
// written. global/pg_control is written last, by rename, so that a server can't start
// from a half-made directory. Durable when it returns.
Result<MaterialiseReport> materialise(source::World& world, repo::Repository& repository,
                                      const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                      const MaterialiseOptions& options);

}  // namespace holdfast::postgres
