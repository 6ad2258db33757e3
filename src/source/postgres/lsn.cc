#include "source/postgres/lsn.h"

#include <charconv>
#include <optional>

namespace holdfast::postgres {

namespace {

// PostgreSQL writes upper-case digits; names in other letters are not its own.
bool is_upper_hex(std::string_view text) {
  for (const char c : text)
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return false;
  return !text.empty();
}

std::optional<uint32_t> hex32(std::string_view text) {
  uint32_t value = 0;
  if (text.empty() || text.size() > 8) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string Lsn::text() const {
  return fmt::format("{:X}/{:X}", static_cast<uint32_t>(value >> 32), static_cast<uint32_t>(value));
}

Result<Lsn> parse_lsn(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto high = hex32(text.substr(0, slash)), low = hex32(text.substr(slash + 1));
    if (high && low) return Lsn{(static_cast<uint64_t>(*high) << 32) | *low};
  }
  return make_error(ErrorCode::kUsage, "'{}' is not a WAL position", text).with_hint("write it like 0/3000148");
}

std::string segment_name(uint32_t timeline, Lsn lsn, uint64_t segment_bytes) {
  const uint64_t number = lsn.value / segment_bytes;
  const uint64_t per_file_id = 0x100000000ull / segment_bytes;
  return fmt::format("{:08X}{:08X}{:08X}", timeline, number / per_file_id, number % per_file_id);
}

bool is_segment_name(std::string_view name) { return name.size() == 24 && is_upper_hex(name); }

bool is_history_name(std::string_view name) {
  return name.size() == 16 && name.ends_with(".history") && is_upper_hex(name.substr(0, 8));
}

Result<SegmentAddress> parse_segment_name(std::string_view name, uint64_t segment_bytes) {
  if (!is_segment_name(name))
    return make_error(ErrorCode::kUsage, "'{}' is not the name of a WAL segment (24 hexadecimal digits)", name);
  const uint64_t per_file_id = 0x100000000ull / segment_bytes;
  const uint64_t high = *hex32(name.substr(8, 8)), low = *hex32(name.substr(16, 8));
  if (low >= per_file_id)
    return make_error(ErrorCode::kMismatch, "'{}' can't be a WAL segment of {} bytes: its last part is above {:08X}",
                      name, segment_bytes, per_file_id - 1);
  return SegmentAddress{*hex32(name.substr(0, 8)), Lsn{(high * per_file_id + low) * segment_bytes}};
}

}  // namespace holdfast::postgres
