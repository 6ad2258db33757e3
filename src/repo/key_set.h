#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "repo/ids.h"
#include "repo/repository.h"
#include "repo/sealed_object.h"

namespace holdfast::repo {

struct EpochKey {
  uint32_t number = 0;
  Time created;
  crypto::Key key;
};

// The keys of an open repository: the root key, the key of each epoch, the id
// key. Thread-safe. References it gives stay good as long as it lives.
class KeySet {
 public:
  KeySet(std::string repository_id, crypto::Key root);

  // Reads every epoch that is not known yet from the store (a reader that has been
  // open for long meets packs of a later epoch). kDamaged when there is none.
  Result<void> load_epochs(store::ObjectStore& store);
  void add_epoch(EpochKey epoch, const crypto::Key& id_key);
  // Whether the key of an epoch is known. One that is not is looked for in the store, as it may have
  // begun since: false only where it is missing there, or damaged.
  Result<bool> knows_epoch(store::ObjectStore& store, uint32_t number);

  // kDamaged when no such epoch is known.
  Result<const crypto::Key*> epoch_key(uint32_t number) const;
  const EpochKey& newest() const;
  // That an epoch of this number has begun: something is sealed under it.
  void note_epoch(uint32_t number) const;
  // Call it before anything is sealed. Learns of epochs that have begun since; kDamaged when the key of
  // the newest is missing or damaged. To go on under an older one would undo a rotation in silence.
  Result<void> ensure_newest_known(store::ObjectStore& store);
  std::vector<uint32_t> epochs() const;
  const EpochKey* find(uint32_t number) const;
  const crypto::Key& root() const { return root_; }
  const crypto::Key& id_key() const { return *id_key_; }
  const std::string& repository_id() const { return repository_id_; }

  BlockId id_of(BlockKind kind, ByteView plain) const;

  // Seals under the newest epoch. `context` is bound to it but not stored: the
  // object's name, where the name is not a digest of the bytes.
  Bytes seal(ObjectType type, ByteView plain, std::string_view context, Random& random) const;
  Result<Bytes> open(ObjectType type, ByteView object, std::string_view context, std::string_view name) const;

 private:
  Result<void> load_epoch(store::ObjectStore& store, uint32_t number);
  Result<std::set<uint32_t>> list_epochs(store::ObjectStore& store) const;

  const std::string repository_id_;
  const crypto::Key root_;
  mutable std::mutex mutex_;
  mutable uint32_t newest_seen_ = 0;                      // guarded by mutex_
  std::map<uint32_t, std::unique_ptr<EpochKey>> epochs_;  // guarded by mutex_; entries are never removed
  std::unique_ptr<crypto::Key> id_key_;                   // set once, with the first epoch
  std::unique_ptr<crypto::HmacSha256> id_hmac_;
};

// Objects epochs/<number>.<repository id>, each with a second copy.
std::string epoch_name(uint32_t number, std::string_view repository_id);
// The number of an epoch (or its copy) of this repository by its object's name.
std::optional<uint32_t> epoch_of_name(std::string_view name, std::string_view repository_id);
// Whether an epoch's object opens and is what its name says.
Result<void> check_epoch(const KeySet& keys, ByteView object, const std::string& name);
Bytes encode_epoch(const KeySet& keys, const EpochKey& epoch, const crypto::Key& id_key, Random& random);

}  // namespace holdfast::repo
