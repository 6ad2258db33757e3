#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>

namespace holdfast {

std::string format_bytes(uint64_t bytes) {
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  static constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    unit++;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

Result<uint64_t> parse_bytes(std::string_view text) {
  const auto refuse = [&] {
    return make_error(ErrorCode::kUsage, "'{}' is not a size", text)
        .with_hint("write a number and a unit, such as 64MiB, 500K or 1GB");
  };
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return refuse();
  std::string unit(rest, text.data() + text.size());
  if (!unit.empty() && unit[0] == ' ') unit.erase(0, 1);
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit.empty() || unit == "B") return number;

  static constexpr std::string_view kPrefixes = "KMGT";
  const size_t power = kPrefixes.find(unit[0]);
  if (power == std::string_view::npos) return refuse();
  const std::string_view suffix = std::string_view(unit).substr(1);
  if (!suffix.empty() && suffix != "B" && suffix != "IB") return refuse();
  uint64_t factor = 1;
  for (size_t i = 0; i <= power; i++) factor *= suffix == "B" ? 1000 : 1024;
  if (number > UINT64_MAX / factor) return refuse();
  return number * factor;
}

std::string format_count(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t position = text.size(); position > 3;) text.insert(position -= 3, 1, ',');
  return text;
}

}  // namespace holdfast
