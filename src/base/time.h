#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// Sums of what may be any 64 bits: they stop at the ends instead of overflowing.
constexpr int64_t saturating_sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}
constexpr int64_t saturating_difference(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? INT64_MAX : INT64_MIN;
}
constexpr int64_t saturating_product(int64_t a, int64_t b) {
  int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

// Nanoseconds. A type of its own so that seconds and nanoseconds can't be mixed. Saturates,
// as Time does.
struct Duration {
  int64_t ns = 0;
  static constexpr Duration nanoseconds(int64_t n) { return {n}; }
  static constexpr Duration microseconds(int64_t n) { return {saturating_product(n, 1'000)}; }
  static constexpr Duration milliseconds(int64_t n) { return {saturating_product(n, 1'000'000)}; }
  static constexpr Duration seconds(int64_t n) { return {saturating_product(n, 1'000'000'000)}; }
  static constexpr Duration hours(int64_t n) { return seconds(saturating_product(n, 3600)); }
  // Cut to whole milliseconds; what no Duration can hold, and what is no number, saturates or is 0.
  static constexpr Duration from_seconds(double s) {
    constexpr double kMost_ms = 9e12;
    if (!(s * 1000 < kMost_ms)) return s > 0 ? Duration{INT64_MAX} : Duration{};
    if (s * 1000 < -kMost_ms) return {INT64_MIN};
    return milliseconds(static_cast<int64_t>(s * 1000));
  }
  constexpr double in_seconds() const { return static_cast<double>(ns) / 1e9; }
  constexpr int64_t in_milliseconds() const { return ns / 1'000'000; }
  auto operator<=>(const Duration&) const = default;
};

// An instant: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds; the years
// 1678 to 2262. What is read from bytes may say anything: beyond these it saturates.
struct Time {
  int64_t ns = 0;
  static constexpr Time from_unix_seconds(int64_t s) { return {saturating_product(s, 1'000'000'000)}; }
  static constexpr Time from_unix_microseconds(int64_t us) { return {saturating_product(us, 1'000)}; }
  constexpr int64_t unix_seconds() const { return ns / 1'000'000'000; }
  auto operator<=>(const Time&) const = default;
};

constexpr Time operator+(Time t, Duration d) { return {saturating_sum(t.ns, d.ns)}; }
constexpr Time operator-(Time t, Duration d) { return {saturating_difference(t.ns, d.ns)}; }
constexpr Duration operator-(Time a, Time b) { return {saturating_difference(a.ns, b.ns)}; }
constexpr Duration operator+(Duration a, Duration b) { return {saturating_sum(a.ns, b.ns)}; }
constexpr Duration operator-(Duration a, Duration b) { return {saturating_difference(a.ns, b.ns)}; }

// RFC 3339 in UTC with microseconds: "2026-03-01T09:30:00.250000Z".
std::string format_rfc3339(Time time);
// The same, whole seconds, in the local zone with its offset: for people.
std::string format_local(Time time);

// Accepts RFC 3339 (with 'T' or a space, any fraction, 'Z' or an offset; without
// a zone it is refused with a hint), "now", and "N UNIT(s) ago" ("10 minutes
// ago"), relative to `now`. kUsage otherwise.
Result<Time> parse_time(std::string_view text, Time now);

// "250ms", "30s", "5m", "1h30m", "7d", "2w"; a bare number is refused.
Result<Duration> parse_duration(std::string_view text);
// "0.25 s", "41 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
std::string format_duration(Duration duration);

// The source of time. Injected everywhere, so that tests can drive it.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() = 0;
  // Never goes backward; only differences mean something.
  virtual Duration monotonic() = 0;
  // May return early; callers wait in a loop for their condition.
  virtual void sleep(Duration duration) = 0;
};

// The machine's clock. Lives for ever.
Clock& system_clock();

}  // namespace holdfast
