#include "source/files/faults.h"

#include <algorithm>

#include "base/units.h"

namespace holdfast::files {
namespace {

// Length of the valid UTF-8 sequence at the front of `text`, 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && byte(1) < 0xA0) return 0;  // over-long
  if (first == 0xED && byte(1) > 0x9F) return 0;  // surrogates
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

}  // namespace

std::string display_path(std::string_view path) {
  if (path.empty()) return "/";
  std::string shown;
  shown.reserve(path.size());
  while (!path.empty()) {
    const size_t length = utf8_length(path);
    const auto first = static_cast<uint8_t>(path[0]);
    if (length == 0 || first < 0x20 || first == 0x7F) {
      shown += fmt::format("\\x{:02x}", first);
      path.remove_prefix(1);
    } else if (first == '\\') {
      shown += "\\\\";
      path.remove_prefix(1);
    } else {
      shown += path.substr(0, length);
      path.remove_prefix(length);
    }
  }
  return shown;
}

std::string path_of_display(std::string_view shown) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string path;
  while (!shown.empty()) {
    size_t taken = 1;
    char byte = shown[0];
    if (shown.size() > 1 && shown.starts_with("\\\\")) {
      taken = 2;
    } else if (shown.size() > 3 && shown.starts_with("\\x") && digit(shown[2]) >= 0 && digit(shown[3]) >= 0) {
      byte = static_cast<char>(digit(shown[2]) * 16 + digit(shown[3]));
      taken = 4;
    }
    path += byte;
    shown.remove_prefix(taken);
  }
  return path;
}

bool tells_of_more(std::string_view line) {
  return line.starts_with("and ") && line.ends_with(" more") && line.find(": ") == std::string_view::npos;
}

std::string faults_note(const std::vector<std::string>& lines) {
  constexpr size_t kShown = 3;
  if (lines.empty()) return "";
  uint64_t count = lines.size();
  if (tells_of_more(lines.back())) {
    uint64_t more = 0;
    for (const char c : lines.back()) {
      if (c >= '0' && c <= '9') more = more * 10 + static_cast<uint64_t>(c - '0');
    }
    count += more - 1;
  }
  const std::vector<std::string> shown(lines.begin(),
                                       lines.begin() + static_cast<ptrdiff_t>(std::min(kShown, lines.size())));
  return fmt::format("{} {} could not be read when this point was taken: {}{}", format_count(count),
                     count == 1 ? "path" : "paths", fmt::join(shown, "; "), count > shown.size() ? "; ..." : "");
}

void Faults::add(std::string_view path, std::string_view problem) {
  std::lock_guard lock(mutex_);
  count_++;
  if (lines_.size() < kLimit) lines_.push_back(fmt::format("{}: {}", display_path(path), problem));
}

void Faults::add(std::string_view path, std::string_view problem, const Error& error) {
  // An error names the path that it met, which may hold any byte.
  add(path, fmt::format("{}: {}", problem, display_path(error.text())));
}

std::vector<std::string> Faults::take() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> lines = std::move(lines_);
  if (count_ > lines.size()) lines.push_back(fmt::format("and {} more", format_count(count_ - lines.size())));
  lines_.clear();
  count_ = 0;
  return lines;
}

uint64_t Faults::count() const {
  std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace holdfast::files
