#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"
#include "source/source.h"

namespace holdfast::recovery {

enum class VerifyMode {
  kOffline,  // from the repository alone: every page and byte is read and checked
  kBoot,     // restored aside; a database is started there and asked
};

struct VerifyRequest {
  std::string point = "latest";         // id prefix or "latest"
  std::vector<std::string> components;  // empty: all of the point
  VerifyMode mode = VerifyMode::kOffline;
  std::string scratch_directory;  // kBoot: where there is room; "" : the system's temporary directory
  bool amcheck = true;
  Duration deadline = Duration::hours(1);
};

struct ComponentVerified {
  std::string component, kind;
  source::VerifyReport report;
  Duration took;
  std::vector<std::string> notes = {};  // what the snapshot lacks since it was taken: right, yet worth a word
};

struct VerifyOutcome {
  repo::Point point;
  std::vector<ComponentVerified> components;
  bool recorded = false;              // as verified, in the repository
  std::optional<Error> not_recorded;  // why not, where it should have been
  size_t findings() const;
};

// Proves a point. When every component of it is right, the point is recorded as
// verified (retention then never drops the newest such). What is wrong is in the
// outcome's findings; damage of the repository is a finding too.
Result<VerifyOutcome> verify_point(Workspace& workspace, const VerifyRequest& request);

// Reads every block that a tree refers to, from the repository: bytes and ids are
// proven by reading. For components that have no checks of their own.
Result<source::VerifyReport> verify_readable(source::World& world, repo::Repository& repository,
                                             const repo::Snapshot& snapshot);

}  // namespace holdfast::recovery
