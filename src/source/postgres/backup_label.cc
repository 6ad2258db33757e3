#include "source/postgres/backup_label.h"

#include <charconv>
#include <optional>

namespace holdfast::postgres {
namespace {

constexpr size_t kLongestLabel = 64 * 1024;

Error bad_line(std::string_view line) {
  return make_error(ErrorCode::kInvalidData, "backup_label has a line that can't be understood: '{}'",
                    line.substr(0, 200));
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "0/2000028 (file 000000010000000000000002)"
Result<void> read_start(std::string_view value, std::string_view line, BackupLabel& label) {
  const size_t space = value.find(" (file ");
  if (space == std::string_view::npos || !value.ends_with(")")) return bad_line(line);
  label.start = TRY(parse_lsn(value.substr(0, space)));
  label.start_segment = value.substr(space + 7, value.size() - space - 8);
  if (!is_segment_name(label.start_segment)) return bad_line(line);
  return {};
}

Result<void> read_line(std::string_view line, BackupLabel& label) {
  const size_t colon = line.find(": ");
  if (colon == std::string_view::npos) return bad_line(line);
  const std::string_view key = line.substr(0, colon), value = line.substr(colon + 2);
  if (key == "START WAL LOCATION") return read_start(value, line, label);
  if (key == "CHECKPOINT LOCATION") {
    label.checkpoint = TRY(parse_lsn(value));
  } else if (key == "BACKUP FROM") {
    // PostgreSQL 13 says "master".
    if (value != "primary" && value != "master" && value != "standby") return bad_line(line);
    label.from_standby = value == "standby";
  } else if (key == "START TIMELINE") {
    const auto timeline = number(value);
    if (!timeline || *timeline == 0) return bad_line(line);
    label.timeline = *timeline;
  } else if (key == "LABEL") {
    label.label = value;
  } else if (key.starts_with("INCREMENTAL FROM")) {
    return make_error(ErrorCode::kUnsupported,
                      "backup_label is of an incremental backup made by the server's own tools");
  }
  return {};  // method, time: nothing that we need; later servers may add more
}

}  // namespace

Result<BackupLabel> parse_backup_label(std::string_view text) {
  if (text.size() > kLongestLabel)
    return make_error(ErrorCode::kInvalidData, "backup_label is {} bytes long", text.size());
  BackupLabel label;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) TRY(read_line(line, label));
  }
  if (label.start_segment.empty() || label.checkpoint.value == 0 || label.timeline == 0) {
    return make_error(ErrorCode::kInvalidData, "backup_label lacks the start, the checkpoint or the timeline");
  }
  return label;
}

Result<std::vector<TablespaceLine>> parse_tablespace_map(std::string_view text) {
  std::vector<TablespaceLine> lines;
  std::string line;
  const auto finish = [&]() -> Result<void> {
    if (line.empty()) return {};
    const size_t space = line.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == line.size() || !number(line.substr(0, space))) {
      return make_error(ErrorCode::kInvalidData, "tablespace_map has a line that can't be understood: '{}'",
                        line.substr(0, 200));
    }
    lines.push_back({line.substr(0, space), line.substr(space + 1)});
    line.clear();
    return {};
  };
  bool escaped = false;
  for (const char c : text) {
    if (escaped) {
      line += c;
      escaped = false;
    } else if (c == '\\') {
      escaped = true;
    } else if (c == '\n') {
      TRY(finish());
    } else {
      line += c;
    }
  }
  if (escaped) return make_error(ErrorCode::kInvalidData, "tablespace_map ends within an escape");
  TRY(finish());
  return lines;
}

}  // namespace holdfast::postgres
