#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::redis {

// Unpacks LZF (LibLZF's format, as RDB strings use it) to exactly `unpacked_bytes`;
// kInvalidData when it is not that.
Result<std::string> unpack_lzf(std::string_view packed, size_t unpacked_bytes);

}  // namespace holdfast::redis
