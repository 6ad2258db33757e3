#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// One passphrase that opens the repository.
struct KeySlot {
  std::string id;  // digest of the slot's object; people see 8 digits
  std::string label;
  std::string host;
  Time created;
  uint64_t kdf_memory_bytes = 0;
  uint32_t kdf_passes = 0;
  bool current = false;  // the one that opened this repository
};

// One key under which packs and records are sealed, from its creation until the next.
struct Epoch {
  uint32_t number = 0;
  Time created;
  uint64_t packs = 0;  // sealed under it
  uint64_t packed_bytes = 0;
};

// Each step creates objects before it removes any, so that a crash in between
// leaves the repository readable with every passphrase that was good before.
Result<std::vector<KeySlot>> list_keys(Repository& repository);
Result<std::vector<Epoch>> list_epochs(Repository& repository);
Result<KeySlot> add_key(Repository& repository, const Secret& passphrase, const std::string& label);
// `slot`: unambiguous prefix. kRefused for the last one, and without `even_in_use` for the
// one that opened this repository: others rely on the same passphrase.
Result<void> remove_key(Repository& repository, const std::string& slot, bool even_in_use = false);
// Adds `passphrase` and removes the slot that opened this repository.
Result<KeySlot> change_key(Repository& repository, const Secret& passphrase);
// A new epoch from now on. With `reseal`, every pack and log record of older
// epochs is written anew under it and the old ones are tombstoned.
Result<Epoch> rotate_epoch(Repository& repository, bool reseal, Progress& progress);

}  // namespace holdfast::repo
