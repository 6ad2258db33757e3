#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/log_environment.h"
#include "base/time.h"

namespace holdfast {

namespace {

constexpr const char* kLevelNames[] = {"debug", "info", "warn", "error", "off"};

LogLevel level_from_environment() {
  const char* wanted = std::getenv("HOLDFAST_LOG");
  for (int i = 0; wanted && i < 5; i++) {
    if (std::string_view(wanted) == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return LogLevel::kWarn;
}

bool json_from_environment() {
  const char* wanted = std::getenv("HOLDFAST_LOG_FORMAT");
  return wanted && std::string_view(wanted) == "json";
}

std::atomic<LogLevel>& threshold() {
  static std::atomic<LogLevel> level{level_from_environment()};
  return level;
}

// A value that could break the line or be taken for two is quoted as in JSON.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string text_of(const LogValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    bool plain = !text->empty();
    for (const char c : *text) plain = plain && c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    return plain ? *text : quoted(*text);
  }
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

std::string text_line(LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  std::string line =
      fmt::format("{} {:5} {}", format_rfc3339(system_clock().now()), kLevelNames[static_cast<int>(level)], event);
  for (const auto& [name, value] : fields) line += fmt::format(" {}={}", name, text_of(value));
  return line;
}

std::string json_line(LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  nlohmann::ordered_json object;
  object["time"] = format_rfc3339(system_clock().now());
  object["level"] = kLevelNames[static_cast<int>(level)];
  object["event"] = std::string(event);
  for (const auto& [name, value] : fields) {
    std::visit([&, key = std::string(name)](const auto& v) { object[key] = v; }, value);
  }
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string problem_of_log_environment() {
  const auto value_of = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value != '\0' ? value : nullptr;
  };
  const char* level = value_of("HOLDFAST_LOG");
  const char* format = value_of("HOLDFAST_LOG_FORMAT");
  const auto is = [](const char* value) {
    return [value](const char* name) { return std::string_view(value) == name; };
  };
  if (level && std::none_of(std::begin(kLevelNames), std::end(kLevelNames), is(level)))
    return fmt::format("HOLDFAST_LOG is '{}', which is none of {}: warn is taken", level, fmt::join(kLevelNames, ", "));
  if (format && !json_from_environment() && std::string_view(format) != "text")
    return fmt::format("HOLDFAST_LOG_FORMAT is '{}', which is neither text nor json: text is taken", format);
  return "";
}

void set_log_level(LogLevel level) { threshold() = level; }

void log_event(LogLevel level, std::string_view event, std::vector<LogField> fields) {
  if (level < threshold().load(std::memory_order_relaxed) || level >= LogLevel::kOff) return;
  try {
    static const bool as_json = json_from_environment();
    const std::string line = (as_json ? json_line(level, event, fields) : text_line(level, event, fields)) + "\n";
    // One write, so that lines of several threads and processes do not mix.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  } catch (...) {
    // A log line that can't be built must not end the backup that it tells of.
  }
}

}  // namespace holdfast
