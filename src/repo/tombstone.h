#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/ids.h"
#include "repo/lease.h"
#include "repo/repository.h"

namespace holdfast::repo {

// ---- Tombstones say which packs are about to go. docs/format.md, "Tombstones".
//
// One tombstone is a few immutable objects `tombs/<id>.<event>`: `packs` (which
// packs), `settled` (since when every newcomer is sure to have seen the first), and
// `alive-<n>` (packs that are needed after all). Nothing is ever replaced, so a
// listing that runs meanwhile can miss only what makes a pack usable again, never
// what forbids its use. Only the collector, which holds the exclusive lease, writes.

struct Tombstone {
  Time announced;                    // read before `packs` was made
  std::string id;                    // 16 hex digits, random
  std::optional<Time> settled;       // read after `packs` was there for all to see; not before the store had both
  std::set<ObjectDigest> packs;      // without those that were resurrected
  bool damaged = false;              // an event can't be read: the collector gives the tombstone up
  std::vector<std::string> objects;  // names, in the order in which they are removed
};

// Announces that these packs will go.
Result<Tombstone> announce_tombstone(Environment& environment, const std::set<ObjectDigest>& packs);
// Records the time from which on every new lease holder knows of it.
Result<void> settle_tombstone(Environment& environment, Tombstone& tombstone);
// Makes packs of it usable again.
Result<void> resurrect(Environment& environment, Tombstone& tombstone, const std::set<ObjectDigest>& packs);
// Removes the tombstone's objects; for when its packs are gone or resurrected.
Result<void> remove_tombstone(Environment& environment, const Tombstone& tombstone);

// All tombstones, by id. Objects that can't be understood are told to `damaged`
// when given; collection never deletes a pack by such a tombstone.
Result<std::vector<Tombstone>> load_tombstones(store::ObjectStore& store, const OnDamagedObject& damaged = nullptr);

// The packs whose blocks a writer must not refer to: it stores such blocks anew.
// Call it after the lease was taken and before the index is loaded.
Result<std::set<ObjectDigest>> tombstoned_packs(store::ObjectStore& store);

}  // namespace holdfast::repo
