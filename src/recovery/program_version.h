#pragma once

namespace holdfast::recovery {

// Of this program, as points and evidence record it.
inline constexpr const char* kProgramVersion = "0.1.0";

}  // namespace holdfast::recovery
