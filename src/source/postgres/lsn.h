#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::postgres {

// Position in the write-ahead log: a byte offset since the cluster's creation.
struct Lsn {
  uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
  std::string text() const;  // "0/3000148"
};
Result<Lsn> parse_lsn(std::string_view text);

// Name of the segment that holds `lsn`: 24 hexadecimal digits.
std::string segment_name(uint32_t timeline, Lsn lsn, uint64_t segment_bytes);

struct SegmentAddress {
  uint32_t timeline = 0;
  Lsn start;
};
bool is_segment_name(std::string_view name);
bool is_history_name(std::string_view name);  // "00000002.history"
Result<SegmentAddress> parse_segment_name(std::string_view name, uint64_t segment_bytes);

}  // namespace holdfast::postgres
