#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast {

// Where a text stops to be UTF-8; its size when it does not.
size_t valid_utf8_bytes(std::string_view text);

inline bool is_utf8(std::string_view text) { return valid_utf8_bytes(text) == text.size(); }

}  // namespace holdfast
