#pragma once

#include <string_view>

#include "base/result.h"

namespace holdfast::store {

constexpr size_t kMaxNameBytes = 512;

// Where a local store writes objects before they get their names. Not listed with the objects;
// list("tmp/") shows what is there, of which only what is named as a temporary is the store's own.
constexpr std::string_view kTemporaryPrefix = "tmp/";
constexpr size_t kTemporaryDigits = 24;
// Whether `name` is "tmp/" and that many lower-case hexadecimal digits.
bool is_temporary_name(std::string_view name);

// kInvalidData unless `name` is one that the contract in object_store.h allows:
// what a caller made of stored bytes can't lead outside of the store.
Result<void> check_name(std::string_view name);
// The same for a prefix: empty, or a name that ends in '/'.
Result<void> check_prefix(std::string_view prefix);

}  // namespace holdfast::store
