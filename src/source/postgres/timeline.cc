#include "source/postgres/timeline.h"

#include <charconv>

namespace holdfast::postgres {

namespace {

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view next_word(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  line.remove_prefix(begin);
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

std::string history_name(uint32_t timeline) { return fmt::format("{:08X}.history", timeline); }

Result<uint32_t> parse_history_name(std::string_view name) {
  uint32_t timeline = 0;
  if (!is_history_name(name)) return make_error(ErrorCode::kUsage, "'{}' is not the name of a timeline history", name);
  std::from_chars(name.data(), name.data() + 8, timeline, 16);
  return timeline;
}

Result<std::vector<TimelineSwitch>> parse_history(ByteView content, uint32_t timeline) {
  constexpr size_t kMaxLines = 100'000;
  std::vector<TimelineSwitch> switches;
  std::string_view rest = as_text(content);
  for (size_t number = 1; !rest.empty(); number++) {
    std::string_view line = next_line(rest);
    const std::string_view id = next_word(line);
    if (id.empty() || id.starts_with('#')) continue;
    TimelineSwitch entry;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), entry.timeline);
    const auto left_at = parse_lsn(next_word(line));
    if (error != std::errc() || end != id.data() + id.size() || !left_at.ok() || number > kMaxLines)
      return make_error(ErrorCode::kInvalidData, "the history of timeline {} can't be understood in line {}", timeline,
                        number);
    entry.left_at = left_at.value();
    const bool ascending = switches.empty() || entry.timeline > switches.back().timeline;
    if (!ascending || entry.timeline == 0 || entry.timeline >= timeline)
      return make_error(ErrorCode::kInvalidData, "the history of timeline {} is out of order in line {}", timeline,
                        number);
    // A recovery that stops before it has reached a switch on its way is left where
    // it stops: PostgreSQL writes down the ancestors' switches all the same.
    for (auto earlier = switches.rbegin(); earlier != switches.rend() && earlier->left_at > entry.left_at; ++earlier)
      earlier->left_at = entry.left_at;
    switches.push_back(entry);
  }
  return switches;
}

std::vector<TimelinePiece> path_to(uint32_t timeline, const std::vector<TimelineSwitch>& ancestors) {
  std::vector<TimelinePiece> pieces;
  Lsn from;
  for (const TimelineSwitch& ancestor : ancestors) {
    pieces.push_back({ancestor.timeline, from, ancestor.left_at});
    from = ancestor.left_at;
  }
  pieces.push_back({timeline, from, Lsn{UINT64_MAX}});
  return pieces;
}

}  // namespace holdfast::postgres
