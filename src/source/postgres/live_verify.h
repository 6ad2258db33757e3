#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "source/postgres/connection.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::postgres {

// Where the stored log of a cluster ends.
struct LogEnd {
  uint32_t timeline = 0;
  Lsn end;
  std::optional<Time> last_commit;  // of what is stored
};

struct LiveVerifyOptions {
  std::string database;
  nlohmann::json recorded;         // what the point recorded of the database: count_rows()
  bool full_check = false;         // reads every value, runs amcheck
  std::optional<Duration> recent;  // transactions of this span must be there
  std::optional<LogEnd> log;       // with `recent`
  // The ancestry of a timeline as it is stored (of the first: none); an error when it is not.
  std::function<Result<std::vector<TimelineSwitch>>(uint32_t timeline)> history;
  Duration deadline = Duration::hours(24);  // of each statement
};

// Findings are damage; changes are what a database that lives does; what was asked for and could
// not be done is not proven; notes say what else could not be looked at.
struct LiveVerifyReport {
  source::VerifyReport report;
  std::vector<std::string> changes, not_proven, notes;
};

// Holds a live database against what a point recorded of it (docs/one-database.md). Takes
// only locks that readers and writers do not notice, and leaves nothing behind.
Result<LiveVerifyReport> verify_live(source::World& world, const Connection& connection,
                                     const LiveVerifyOptions& options);

}  // namespace holdfast::postgres
