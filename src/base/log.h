#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace holdfast {

// Structured events with stable names ("repo.pack.written"). They go to standard
// error (warnings and worse by default; HOLDFAST_LOG=debug|info|warn|error|off,
// HOLDFAST_LOG_FORMAT=text|json). What a person sees of a command is not this:
// that is the words of the cli room.
enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

using LogValue = std::variant<std::string, int64_t, uint64_t, double, bool>;
using LogField = std::pair<std::string_view, LogValue>;

void set_log_level(LogLevel level);
void log_event(LogLevel level, std::string_view event, std::vector<LogField> fields = {});

inline void log_debug(std::string_view event, std::vector<LogField> fields = {}) {
  log_event(LogLevel::kDebug, event, std::move(fields));
}
inline void log_info(std::string_view event, std::vector<LogField> fields = {}) {
  log_event(LogLevel::kInfo, event, std::move(fields));
}
inline void log_warn(std::string_view event, std::vector<LogField> fields = {}) {
  log_event(LogLevel::kWarn, event, std::move(fields));
}
inline void log_error(std::string_view event, std::vector<LogField> fields = {}) {
  log_event(LogLevel::kError, event, std::move(fields));
}

}  // namespace holdfast
