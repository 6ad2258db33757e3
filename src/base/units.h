#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;

// "0 B", "812 B", "4.10 KiB", "471 MiB", "4.20 GiB": three significant digits.
std::string format_bytes(uint64_t bytes);
// "64MiB", "1GB", "500K" (K, M, G, T are powers of 1024; KB, MB, GB, TB of 1000).
Result<uint64_t> parse_bytes(std::string_view text);
// 1234567 -> "1,234,567".
std::string format_count(uint64_t count);

}  // namespace holdfast
