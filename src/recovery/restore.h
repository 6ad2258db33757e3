#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recovery/workspace.h"
#include "repo/point.h"
#include "source/files/changes.h"
#include "source/postgres/materialise.h"
#include "source/postgres/target.h"
#include "source/redis/target.h"

namespace holdfast::recovery {

// What a person asks for.
struct RestoreRequest {
  std::vector<std::string> components;  // empty: all that the point holds
  std::optional<std::string> point;     // id prefix or "latest": its state, unless a target says otherwise
  source::RestoreTarget target;
  bool newest = false;            // --at latest: with `point`, replay on from it
  std::string to;                 // "" : where each component was
  std::vector<std::string> only;  // paths inside files components
  bool delta = false;
  bool remove_extra = false;  // with delta: what the point lacks goes; of a cluster its own goes anyway
  bool numeric_ids = false;
  bool keep_archiving = false;  // a cluster that is restored aside archives and replicates as the original did
  bool standby = false;
  std::string primary_conninfo;
  postgres::AfterRecovery action = postgres::AfterRecovery::kPromote;
  std::map<std::string, std::string> tablespaces;
  std::optional<uint32_t> uid, gid;  // owner of a restored cluster; when root and not set, as it was
  std::string into;                  // address of a running Redis server to load a component into; "": a directory
  std::string into_password;         // secret reference; "": the component's, where it is the component's server
  bool replace = false;              // with into: over the keys that the server has
};

// One component of a restore, resolved: nothing is written before all are.
struct ComponentPlan {
  std::string component, kind;
  repo::PointId point;
  Time point_time;
  repo::Snapshot snapshot;
  std::optional<postgres::ResolvedTarget> target;  // postgres
  std::optional<redis::ResolvedTarget> redis_target;
  std::string restore_command;  // postgres
  std::string to;               // a directory, or the server's address
  std::string owner;            // postgres: whom the files will belong to; "": us. Known once rehearsed
  bool into_server = false;     // redis: what is loaded is a running server
  bool archiving_off = false;   // postgres: not where it was, so that the original may live on
  Time instant;                 // what will exist afterwards
  std::string description;      // for people
  uint64_t bytes = 0;
  files::Changes changes;  // what a dry run said: of files all, of a cluster what would be removed
  std::vector<std::string> notes;
  std::string obstacle;  // why it can't be restored so; "" when nothing is known to be in the way
};

// Beside those that the plan has; one that it has already is not said twice.
void add_notes(ComponentPlan& plan, const std::vector<std::string>& notes);

struct RestorePlan {
  Time now;
  std::vector<ComponentPlan> components;
  std::vector<std::string> notes;  // of the whole: what the points chosen from lack
  uint64_t bytes() const;
  // How far apart the instants of the components will lie: nothing for one alone.
  Duration spread() const;
};

// Chooses the points, proves PostgreSQL's and Redis's targets reachable by reading their
// logs, and settles where everything goes. Writes nothing. kUnreachableTarget says the
// window; kNotFound, kUsage for what can't be meant.
Result<RestorePlan> plan_restore(Workspace& workspace, const RestoreRequest& request);

// Asks every component whether its target could be written (empty or delta, not
// running, space, same cluster). Writes nothing; adds changes, notes and obstacles to the
// plan. The error is that of the first component with an obstacle, and tells of them all.
Result<void> rehearse_restore(Workspace& workspace, const RestoreRequest& request, RestorePlan& plan);

struct ComponentRestored {
  std::string component;
  uint64_t files = 0, bytes = 0, bytes_written = 0;
  Duration took;
  std::vector<std::string> faults, notes;
  std::string owner;  // as in the plan
};

// Carries a plan out, after rehearsing it whole: a component that can't be
// restored stops the others from being touched. kIncomplete faults are in the
// outcome, not an error.
Result<std::vector<ComponentRestored>> carry_out(Workspace& workspace, const RestoreRequest& request,
                                                 RestorePlan& plan);

}  // namespace holdfast::recovery
