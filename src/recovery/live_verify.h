#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"
#include "source/postgres/live_verify.h"

namespace holdfast::recovery {

struct LiveVerifyRequest {
  std::string point = "latest";         // what it is compared with: id prefix or "latest"
  std::vector<std::string> components;  // at most one; none: the stack's only PostgreSQL
  std::string database;
  bool full_check = false;
  std::optional<Duration> recent;
  Duration deadline = Duration::hours(24);  // of each statement
};

struct LiveVerifyOutcome {
  std::string component;
  repo::Point point;
  postgres::LiveVerifyReport live;
  Duration took;
};

// Holds a live database against what a point recorded. kMismatch when the server is
// another cluster than the point's; what is wrong with the data is in the outcome.
Result<LiveVerifyOutcome> verify_live_database(Workspace& workspace, const LiveVerifyRequest& request);

}  // namespace holdfast::recovery
