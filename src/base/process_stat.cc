#include "base/process_stat.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/filesystem.h"

namespace holdfast {
namespace {

constexpr uint64_t kMaxBytes = 64 << 10;
constexpr size_t kState = 0, kParent = 1, kSession = 3, kStart = 19;  // counted after the name

pid_t number_of(std::string_view text) {
  pid_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

// The second field is the program's name in parentheses and may hold anything; what
// follows the last parenthesis is numbers.
std::optional<ProcessStat> process_stat(const std::string& process) {
  const auto content = read_file(real_file_system(), "/proc/" + process + "/stat", kMaxBytes);
  if (!content.ok()) return std::nullopt;
  std::string_view line = as_text(*content);
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::vector<std::string_view> fields;
  for (size_t at = name_end + 2; at < line.size() && fields.size() <= kStart;) {
    const size_t end = std::min(line.find(' ', at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  if (fields.size() <= kStart || fields[kState].empty()) return std::nullopt;
  return ProcessStat{fields[kState][0], number_of(fields[kParent]), number_of(fields[kSession]),
                     std::string(fields[kStart])};
}

}  // namespace holdfast
