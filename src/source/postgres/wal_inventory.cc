#include "source/postgres/wal_inventory.h"

#include <algorithm>
#include <charconv>

namespace holdfast::postgres {

namespace {

// Takes exactly `digits` hexadecimal digits from the front.
std::optional<uint64_t> take_hex(std::string_view& text, size_t digits) {
  if (text.size() < digits) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
  if (error != std::errc() || end != text.data() + digits) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

std::optional<WalMark> parse_mark(std::string_view name) {
  if (!take(name, "mark.")) return std::nullopt;
  const auto timeline = take_hex(name, 8);
  if (!timeline || !take(name, ".")) return std::nullopt;
  const auto lsn = take_hex(name, 16);
  if (!lsn || !take(name, ".")) return std::nullopt;
  const auto microseconds = take_hex(name, 16);
  if (!microseconds || !name.empty() || *microseconds > INT64_MAX / 1000) return std::nullopt;
  return WalMark{static_cast<uint32_t>(*timeline), Lsn{*lsn},
                 Time::from_unix_microseconds(static_cast<int64_t>(*microseconds))};
}

std::optional<WalInventory::Part> parse_part(std::string_view name) {
  std::string_view rest = name.substr(24);
  if (!take(rest, ".")) return std::nullopt;
  const auto from = take_hex(rest, 8);
  if (!from || !take(rest, "-")) return std::nullopt;
  const auto to = take_hex(rest, 8);
  if (!to || !rest.empty() || *from >= *to) return std::nullopt;
  return WalInventory::Part{*from, *to, std::string(name)};
}

void add_name(WalInventory& inventory, const std::string& name, uint64_t segment_bytes) {
  if (const auto mark = parse_mark(name)) {
    inventory.marks.push_back(*mark);
    return;
  }
  if (is_history_name(name)) {
    if (const auto timeline = parse_history_name(name); timeline.ok()) inventory.histories.insert(timeline.value());
    return;
  }
  const auto address = parse_segment_name(std::string_view(name).substr(0, 24), segment_bytes);
  if (!address.ok()) return;
  auto& segments = inventory.timelines[address.value().timeline];
  if (name.size() == 24) {
    segments[address.value().start].whole = true;
  } else if (const auto part = parse_part(name); part && part->to <= segment_bytes) {
    segments[address.value().start].parts.push_back(*part);
  } else {
    inventory.others.push_back(name);
  }
}

}  // namespace

std::string part_name(const std::string& segment, uint64_t from, uint64_t to) {
  return fmt::format("{}.{:08X}-{:08X}", segment, from, to);
}

std::string mark_name(const WalMark& mark) {
  return fmt::format("mark.{:08X}.{:016X}.{:016X}", mark.timeline, mark.lsn.value,
                     static_cast<uint64_t>(mark.time.ns / 1000));
}

std::vector<WalInventory::Part> WalInventory::Segment::gapless() const {
  std::vector<Part> chosen;
  uint64_t end = 0;
  for (size_t next = 0; next < parts.size();) {
    const Part* best = nullptr;
    for (; next < parts.size() && parts[next].from <= end; next++)
      if (parts[next].to > end && (!best || parts[next].to > best->to)) best = &parts[next];
    if (!best) break;
    chosen.push_back(*best);
    end = best->to;
  }
  return chosen;
}

WalInventory WalInventory::of(const std::vector<std::string>& names, uint64_t segment_bytes) {
  WalInventory inventory;
  for (const std::string& name : names) add_name(inventory, name, segment_bytes);
  for (auto& [timeline, segments] : inventory.timelines)
    for (auto& [start, segment] : segments)
      std::sort(segment.parts.begin(), segment.parts.end(),
                [](const Part& a, const Part& b) { return a.from != b.from ? a.from < b.from : a.to > b.to; });
  // A name with another ending is no WAL, so its segment's entry may be empty.
  std::erase_if(inventory.timelines, [](const auto& entry) { return entry.second.empty(); });
  return inventory;
}

std::vector<WalRange> WalInventory::ranges(uint64_t segment_bytes) const {
  std::vector<WalRange> ranges;
  for (const auto& [timeline, segments] : timelines) {
    for (const auto& [start, segment] : segments) {
      uint64_t stored = segment_bytes;
      if (!segment.whole) {
        const auto parts = segment.gapless();
        stored = parts.empty() ? 0 : parts.back().to;
      }
      if (stored == 0) continue;
      const Lsn end{start.value + stored};
      if (!ranges.empty() && ranges.back().timeline == timeline && ranges.back().to == start)
        ranges.back().to = end;
      else
        ranges.push_back({timeline, start, end, {}, {}, {}});
    }
  }
  return ranges;
}

std::vector<std::string> gaps_along(const std::vector<TimelinePiece>& path, const std::vector<WalRange>& ranges,
                                    const WalSpan& span, uint64_t segment_bytes) {
  std::vector<std::string> lines;
  Lsn position = span.from;
  for (size_t i = 0; i < path.size() && position < span.to; i++) {
    const Lsn end = std::min(span.to, path[i].to);
    while (position < end) {
      // The segment in which a timeline was left is stored again under its successor's name.
      Lsn covered = position, next = end;
      for (const WalRange& range : ranges) {
        const bool on_path =
            std::any_of(path.begin() + i, path.end(), [&](const auto& p) { return p.timeline == range.timeline; });
        if (!on_path) continue;
        if (range.from <= position && range.to > covered) covered = range.to;
        if (range.from > position && range.from < next) next = range.from;
      }
      if (covered > position) {
        position = std::min(covered, end);  // behind it the older timeline is another one
        continue;
      }
      const std::string first = segment_name(path[i].timeline, position, segment_bytes);
      const std::string last = segment_name(path[i].timeline, Lsn{next.value - 1}, segment_bytes);
      lines.push_back(fmt::format("WAL from {} to {} is missing (segment {}{})", position.text(), next.text(), first,
                                  first == last ? "" : " to " + last));
      position = next;
    }
  }
  return lines;
}

}  // namespace holdfast::postgres
