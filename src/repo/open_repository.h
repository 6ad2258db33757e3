#pragma once

#include <memory>
#include <string>

#include "repo/key_set.h"
#include "repo/repository.h"

namespace holdfast::repo {

// An open repository, given its keys; `slot` is the id of the key slot that opened it.
std::unique_ptr<Repository> make_open_repository(Environment environment, std::unique_ptr<KeySet> keys,
                                                 std::string slot);

// The content of a point's object; kUnsupported when no reader would open it.
Result<std::string> describe_point(const Point& point, size_t limit_bytes = kMaxSealedBytes);

// Creates an epoch's object and its copy; kAlreadyExists when another made that number. Durable.
Result<void> store_epoch(store::ObjectStore& store, const KeySet& keys, const EpochKey& epoch,
                         const crypto::Key& id_key, Random& random);

}  // namespace holdfast::repo
