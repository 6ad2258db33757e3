#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/progress.h"
#include "repo/access.h"
#include "repo/collect.h"
#include "repo/lease.h"
#include "repo/tombstone.h"

namespace holdfast::repo {

// What a collection would do, decided before it does anything. src/repo/README.md,
// "Collection", has the rules and why they are safe.
struct CollectPlan {
  std::set<ObjectDigest> deleted;                             // condemned, waited for, still unneeded
  std::set<ObjectDigest> condemned;                           // to be tombstoned: nothing in them is needed
  std::map<ObjectDigest, std::set<BlockId>> repacked;         // to be tombstoned once these blocks are elsewhere
  std::vector<Tombstone> tombstones;                          // as they were found
  std::map<std::string, std::set<ObjectDigest>> resurrected;  // by tombstone
  std::set<ObjectDigest> stored;                              // packs that exist
  CollectReport report;
};

// Reads all that the decision needs. The order matters: leases before points, points
// before the rest; the caller holds the collector's lease `own` ("" in a dry run).
Result<CollectPlan> plan_collection(RepositoryAccess& repository, const CollectOptions& options,
                                    Duration visibility_margin, const std::string& own, Progress& progress);

}  // namespace holdfast::repo
