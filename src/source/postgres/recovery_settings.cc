#include "source/postgres/recovery_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace holdfast::postgres {
namespace {

// "name = value" or "name value", names in any case; "" for other lines.
std::string setting_name(std::string_view line) {
  size_t begin = 0;
  while (begin < line.size() && (line[begin] == ' ' || line[begin] == '\t')) begin++;
  size_t end = begin;
  while (end < line.size() &&
         (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_' || line[end] == '.'))
    end++;
  std::string name(line.substr(begin, end - begin));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

}  // namespace

std::string comment_out_settings(std::string_view text, bool (*matches)(std::string_view name)) {
  std::string result;
  result.reserve(text.size() + 64);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const std::string name = setting_name(line);
    if (!name.empty() && matches(name)) result += "# Disabled by holdfast: ";
    result += line;
    if (end == std::string_view::npos) break;
    result += '\n';
    text = text.substr(end + 1);
  }
  return result;
}

bool is_target_setting(std::string_view name) { return name.starts_with("recovery_target"); }

bool is_recovery_setting(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "restore_command",   "archive_cleanup_command", "recovery_end_command", "primary_conninfo",
      "primary_slot_name", "promote_trigger_file",    "recovery_prefetch"};
  return is_target_setting(name) || std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool is_place_setting(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"data_directory", "hba_file", "ident_file",
                                                             "external_pid_file", "config_file"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::vector<std::pair<std::string, std::string>> settings_emptied(
    const std::vector<std::pair<std::string, std::string>>& settings, bool with_commands) {
  std::vector<std::pair<std::string, std::string>> emptied;
  for (const char* name : {"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
                           "recovery_target_xid"}) {
    const bool is_set =
        std::any_of(settings.begin(), settings.end(), [&](const auto& setting) { return setting.first == name; });
    if (!is_set) emptied.emplace_back(name, "");
  }
  if (!with_commands) return emptied;
  emptied.emplace_back("archive_cleanup_command", "");
  emptied.emplace_back("recovery_end_command", "");
  return emptied;
}

std::string format_settings(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string lines;
  for (const auto& [name, value] : settings) {
    lines += name + " = '";
    for (const char c : value) {
      if (c == '\'' || c == '\\') lines += c;
      lines += c;
    }
    lines += "'\n";
  }
  return lines;
}

}  // namespace holdfast::postgres
