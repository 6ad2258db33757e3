#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "repo/index.h"
#include "repo/key_set.h"
#include "repo/object_names.h"
#include "repo/pack.h"
#include "repo/repository.h"

namespace holdfast::repo {

// What the rooms' own parts (trees, leases, collection, check, keys) may ask of an
// open repository beyond its public contract. Not for other rooms.
class RepositoryAccess : public Repository {
 public:
  virtual KeySet& keys() = 0;
  store::ObjectStore& store() { return environment().store; }
  Clock& clock() { return environment().clock; }
  Random& random() { return environment().random; }

  // The index, loaded at the first need; stays good while it is held, also across refresh().
  virtual Result<std::shared_ptr<const Index>> index() = 0;

  // The salt-derived key of a pack (cached): reads its header.
  virtual Result<std::shared_ptr<const PackKey>> pack_key(const PackInfo& pack) = 0;
  // A block from one certain place (not from the cache).
  virtual Result<Bytes> read_block_at(const PackInfo& pack, const IndexEntry& entry) = 0;

  // A point, sealed and created as points/<digest>; sets point.id. Durable. The
  // write session's commit() is who calls it, after all that it refers to.
  virtual Result<PointId> create_point(Point& point) = 0;
  virtual Result<Point> read_point(const PointId& id) = 0;

  // The key slot that opened the repository: the digest in its name.
  virtual const std::string& current_slot() const = 0;
};

// Every Repository is one.
RepositoryAccess& access(Repository& repository);

// An object whose name ends in the digest of its bytes, read whole and compared
// with it: kDamaged when they differ.
Result<Bytes> read_digested(store::ObjectStore& store, const std::string& name);
// create(); an object of that name with these bytes (the name is their digest) is there already: fine.
Result<ObjectDigest> create_digested(store::ObjectStore& store, std::string_view prefix, ByteView content);

// Every object whose loss or damage would lock people out or strand data: config,
// key slots, epochs, and their copies. Calls `damaged` for each that is not right.
Result<void> check_key_objects(RepositoryAccess& repository,
                               const std::function<void(const std::string& object, const Error& error)>& damaged);

}  // namespace holdfast::repo
