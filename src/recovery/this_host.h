#pragma once

#include <string>

namespace holdfast::recovery {

// What a recovery point says of where and by what it was taken.
inline constexpr const char* kProgramVersion = "0.1.0";
std::string host_name();

}  // namespace holdfast::recovery
