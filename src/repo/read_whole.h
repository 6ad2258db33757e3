#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "store/object_store.h"

namespace holdfast::repo {

// The most that the object of this name can have, by its kind.
uint64_t size_limit_of(std::string_view name);

// All bytes of an object. kDamaged, and no room is made for it, when it is larger than any of its
// kind: what a file system says of a size after a crash may be anything.
Result<Bytes> read_whole(store::ObjectStore& store, std::string_view name);

}  // namespace holdfast::repo
