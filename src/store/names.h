#pragma once

#include <string_view>

#include "base/result.h"

namespace holdfast::store {

constexpr size_t kMaxNameBytes = 512;

// kInvalidData unless `name` is one that the contract in object_store.h allows:
// what a caller made of stored bytes can't lead outside of the store.
Result<void> check_name(std::string_view name);
// The same for a prefix: empty, or a name that ends in '/'.
Result<void> check_prefix(std::string_view prefix);

}  // namespace holdfast::store
