#include "base/time.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <optional>

namespace holdfast {

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int64_t kSecondsPerDay = 86400;

struct Civil {
  int64_t year;
  int64_t month, day, hour, minute, second;
};

// Days since 1970-01-01 in the proleptic Gregorian calendar. Years begin in
// March here, so that the leap day is the last of its year.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

int64_t days_in_month(int64_t year, int64_t month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Takes text from its front.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool digits(size_t count, int64_t& value) {
    if (text_.size() < count) return false;
    value = 0;
    for (size_t i = 0; i < count; i++) {
      if (!std::isdigit(static_cast<unsigned char>(text_[i]))) return false;
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return true;
  }
  bool one_of(std::string_view set, char* found = nullptr) {
    if (text_.empty() || set.find(text_[0]) == std::string_view::npos) return false;
    if (found) *found = text_[0];
    text_.remove_prefix(1);
    return true;
  }
  // Digits after a decimal point, in nanoseconds; what is finer is cut off.
  bool fraction(int64_t& nanoseconds) {
    size_t count = 0;
    nanoseconds = 0;
    int64_t weight = kNanosecondsPerSecond / 10;
    while (count < text_.size() && std::isdigit(static_cast<unsigned char>(text_[count]))) {
      nanoseconds += (text_[count++] - '0') * weight;
      weight /= 10;
    }
    text_.remove_prefix(count);
    return count > 0;
  }
  void spaces() {
    while (one_of(" \t")) continue;
  }
  std::string_view rest() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string_view text_;
};

Error not_a_time(std::string_view text) {
  return make_error(ErrorCode::kUsage, "'{}' is not a time", text)
      .with_hint("write it like 2026-03-01T09:30:00Z or '2026-03-01 09:30:00+01:00', or like '10 minutes ago'");
}

// "Z", "+01:00", "-0330", "+01"; with a space before it or none. In seconds east.
bool scan_zone(Scanner& scanner, int64_t& offset_s) {
  scanner.spaces();
  if (scanner.one_of("Zz")) {
    offset_s = 0;
    return scanner.empty();
  }
  char sign = 0;
  int64_t hours = 0, minutes = 0;
  if (!scanner.one_of("+-", &sign) || !scanner.digits(2, hours)) return false;
  const bool colon = scanner.one_of(":");
  if ((colon || !scanner.empty()) && !scanner.digits(2, minutes)) return false;
  if (hours > 23 || minutes > 59 || !scanner.empty()) return false;
  offset_s = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
  return true;
}

bool valid(const Civil& civil) {
  return civil.month >= 1 && civil.month <= 12 && civil.day >= 1 &&
         civil.day <= days_in_month(civil.year, civil.month) && civil.hour <= 23 && civil.minute <= 59 &&
         civil.second <= 60;
}

Result<Time> parse_rfc3339(std::string_view text) {
  Scanner scanner(text);
  Civil civil{};
  int64_t nanoseconds = 0, offset_s = 0;
  const bool date = scanner.digits(4, civil.year) && scanner.one_of("-") && scanner.digits(2, civil.month) &&
                    scanner.one_of("-") && scanner.digits(2, civil.day);
  if (!date || !scanner.one_of("Tt ")) return not_a_time(text);
  if (!scanner.digits(2, civil.hour) || !scanner.one_of(":") || !scanner.digits(2, civil.minute))
    return not_a_time(text);
  if (scanner.one_of(":") && !scanner.digits(2, civil.second)) return not_a_time(text);
  if (scanner.one_of(".,") && !scanner.fraction(nanoseconds)) return not_a_time(text);
  if (!valid(civil)) return not_a_time(text);
  if (scanner.empty()) {
    return make_error(ErrorCode::kUsage, "the time '{}' has no zone", text)
        .with_hint("add Z for UTC, or an offset such as +01:00");
  }
  if (!scan_zone(scanner, offset_s)) return not_a_time(text);

  const int64_t days = days_from_civil(civil.year, civil.month, civil.day);
  const int64_t seconds = days * kSecondsPerDay + civil.hour * 3600 + civil.minute * 60 + civil.second - offset_s;
  int64_t result = 0;
  if (__builtin_mul_overflow(seconds, kNanosecondsPerSecond, &result) ||
      __builtin_add_overflow(result, nanoseconds, &result)) {
    return not_a_time(text);
  }
  return Time{result};
}

struct UnitName {
  std::string_view name;
  int64_t seconds;
};

constexpr UnitName kAgoUnits[] = {
    {"second", 1},
    {"sec", 1},
    {"s", 1},
    {"minute", 60},
    {"min", 60},
    {"m", 60},
    {"hour", 3600},
    {"h", 3600},
    {"day", kSecondsPerDay},
    {"d", kSecondsPerDay},
    {"week", 7 * kSecondsPerDay},
    {"w", 7 * kSecondsPerDay},
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::optional<int64_t> unit_seconds(std::string_view unit) {
  for (const auto& known : kAgoUnits) {
    const bool plural = known.name.size() > 1 && unit.size() == known.name.size() + 1 && unit.ends_with('s');
    if (unit == known.name || (plural && unit.starts_with(known.name))) return known.seconds;
  }
  return std::nullopt;
}

// `words` is lower-case and ends in "ago".
Result<Time> parse_ago(std::string_view text, std::string_view words, Time now) {
  std::string_view rest = trimmed(words.substr(0, words.size() - 3));
  int64_t count = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
  if (error != std::errc() || count < 0) return not_a_time(text);
  rest = trimmed(rest.substr(static_cast<size_t>(end - rest.data())));
  const auto unit = unit_seconds(rest);
  int64_t nanoseconds = 0, result = 0;
  if (!unit || __builtin_mul_overflow(count, *unit * kNanosecondsPerSecond, &nanoseconds) ||
      __builtin_sub_overflow(now.ns, nanoseconds, &result)) {
    return not_a_time(text);
  }
  return Time{result};
}

struct DurationUnit {
  std::string_view name;
  int64_t nanoseconds;
};

constexpr DurationUnit kDurationUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", kNanosecondsPerSecond},
    {"m", 60 * kNanosecondsPerSecond},
    {"min", 60 * kNanosecondsPerSecond},
    {"h", 3600 * kNanosecondsPerSecond},
    {"d", kSecondsPerDay* kNanosecondsPerSecond},
    {"w", 7 * kSecondsPerDay* kNanosecondsPerSecond},
};

// Takes "NUMBER UNIT" from the front of `rest`; in nanoseconds.
std::optional<int64_t> take_duration_part(std::string_view& rest) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  size_t length = 0;
  while (length < rest.size() && std::isalpha(static_cast<unsigned char>(rest[length]))) length++;
  const std::string_view name = rest.substr(0, length);
  rest.remove_prefix(length);
  for (const auto& unit : kDurationUnits) {
    int64_t nanoseconds = 0;
    if (unit.name != name) continue;
    if (__builtin_mul_overflow(count, unit.nanoseconds, &nanoseconds)) return std::nullopt;
    return nanoseconds;
  }
  return std::nullopt;
}

class SystemClock final : public Clock {
 public:
  Time now() override { return {read(CLOCK_REALTIME)}; }
  Duration monotonic() override { return {read(CLOCK_MONOTONIC)}; }
  void sleep(Duration duration) override {
    if (duration.ns <= 0) return;
    const timespec wanted{duration.ns / kNanosecondsPerSecond, duration.ns % kNanosecondsPerSecond};
    nanosleep(&wanted, nullptr);
  }

 private:
  static int64_t read(clockid_t clock) {
    timespec value{};
    clock_gettime(clock, &value);
    return value.tv_sec * kNanosecondsPerSecond + value.tv_nsec;
  }
};

}  // namespace

std::string format_rfc3339(Time time) {
  const time_t seconds = floor_divide(time.ns, kNanosecondsPerSecond);
  const int64_t microseconds = (time.ns - seconds * kNanosecondsPerSecond) / 1000;
  tm broken{};
  gmtime_r(&seconds, &broken);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", broken.tm_year + 1900, broken.tm_mon + 1,
                     broken.tm_mday, broken.tm_hour, broken.tm_min, broken.tm_sec, microseconds);
}

std::string format_local(Time time) {
  const time_t seconds = floor_divide(time.ns, kNanosecondsPerSecond);
  tm broken{};
  localtime_r(&seconds, &broken);
  const long offset_minutes = std::abs(broken.tm_gmtoff) / 60;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}{}{:02}:{:02}", broken.tm_year + 1900, broken.tm_mon + 1,
                     broken.tm_mday, broken.tm_hour, broken.tm_min, broken.tm_sec, broken.tm_gmtoff < 0 ? '-' : '+',
                     offset_minutes / 60, offset_minutes % 60);
}

Result<Time> parse_time(std::string_view text, Time now) {
  const std::string_view content = trimmed(text);
  const std::string words = lower(content);
  if (words == "now") return now;
  if (words.ends_with("ago")) return parse_ago(text, words, now);
  return parse_rfc3339(content);
}

Result<Duration> parse_duration(std::string_view text) {
  const auto refuse = [&] {
    return make_error(ErrorCode::kUsage, "'{}' is not a duration", text)
        .with_hint("write numbers with units, such as 250ms, 30s, 5m, 1h30m, 7d or 2w");
  };
  std::string_view rest = trimmed(text);
  if (rest.empty()) return refuse();
  int64_t total = 0;
  while (!rest.empty()) {
    const auto part = take_duration_part(rest);
    if (!part || __builtin_add_overflow(total, *part, &total)) return refuse();
  }
  return Duration{total};
}

std::string format_duration(Duration duration) {
  if (duration.ns < 0) return "-" + format_duration({duration.ns == INT64_MIN ? INT64_MAX : -duration.ns});
  if (duration.ns < 9'995'000'000) return fmt::format("{:.2f} s", duration.in_seconds());
  const int64_t seconds =
      duration.ns / kNanosecondsPerSecond + (duration.ns % kNanosecondsPerSecond >= 500'000'000 ? 1 : 0);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < kSecondsPerDay) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / kSecondsPerDay, seconds / 3600 % 24);
}

Clock& system_clock() {
  static SystemClock* const clock = new SystemClock;
  return *clock;
}

}  // namespace holdfast
