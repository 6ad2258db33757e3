#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "crypto/kdf.h"
#include "crypto/key.h"
#include "repo/repository.h"

namespace holdfast::repo {

// A key slot's object: the root key, sealed under a key that is derived from one
// passphrase. Its name is the digest of its bytes (docs/format.md, "Key slots").
struct SlotFields {
  crypto::ArgonCost cost;
  std::string label;  // sealed under the root key, as are those that follow
  std::string host;
  Time created;
};

// Argon2id takes a tenth of a second: slots of one cost share it. The repository's
// id is the salt, so that one derivation serves all slots of that cost.
class PassphraseKeys {
 public:
  PassphraseKeys(const Secret& passphrase, std::string repository_id);
  Result<const crypto::Key*> key(const crypto::ArgonCost& cost);

 private:
  struct Derived {
    crypto::ArgonCost cost;
    crypto::Key key;
  };
  const Secret& passphrase_;
  const std::string repository_id_;
  std::vector<std::unique_ptr<Derived>> derived_;
};

Result<Bytes> encode_slot(PassphraseKeys& passphrase, const std::string& repository_id, const crypto::Key& root,
                          const SlotFields& fields, Random& random);

// The cost and whether the slot belongs to that repository; needs no key.
struct SlotHeader {
  crypto::ArgonCost cost;
  std::string repository_id;
};
Result<SlotHeader> decode_slot_header(ByteView object, const std::string& name);
// The root key; kWrongPassphrase when the passphrase is another.
Result<crypto::Key> open_slot(PassphraseKeys& passphrase, ByteView object, const std::string& name);
// What is sealed under the root key.
Result<SlotFields> decode_slot_fields(const crypto::Key& root, ByteView object, const std::string& name);

// An intact slot object, or its copy, of this repository.
struct StoredSlot {
  std::string id;    // digest, in hex
  std::string name;  // of the object that was read
  Bytes object;
};
// All slots of the repository that can be read; the others go to `damaged`.
Result<std::vector<StoredSlot>> read_slots(store::ObjectStore& store, const std::string& repository_id,
                                           const std::function<void(const std::string&, const Error&)>& damaged);
// Creates the slot's object and its copy; returns its id. Durable.
Result<std::string> store_slot(store::ObjectStore& store, ByteView object);
Result<void> remove_slot(store::ObjectStore& store, const std::string& id);

}  // namespace holdfast::repo
