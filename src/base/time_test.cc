#include "base/time.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <ctime>

#include "base/random.h"

namespace holdfast {
namespace {

constexpr Time kNow = Time::from_unix_seconds(1'700'000'000);  // 2023-11-14T22:13:20Z

int64_t parsed_seconds(std::string_view text) {
  const auto time = parse_time(text, kNow);
  EXPECT_TRUE(time.ok()) << text << ": " << time.error().text();
  return time.ok() ? time->unix_seconds() : -1;
}

TEST(Time, FormatsMicrosecondsInUtc) {
  EXPECT_EQ(format_rfc3339(kNow), "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(format_rfc3339({kNow.ns + 250'000'999}), "2023-11-14T22:13:20.250000Z");
  EXPECT_EQ(format_rfc3339({-1}), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_rfc3339({}), "1970-01-01T00:00:00.000000Z");
}

TEST(Time, FormatsTheLocalZoneWithItsOffset) {
  ::setenv("TZ", "XST-5:45", 1);  // east of Greenwich, as POSIX writes it
  ::tzset();
  EXPECT_EQ(format_local(kNow), "2023-11-15 03:58:20+05:45");
  ::setenv("TZ", "XST3:30", 1);
  ::tzset();
  EXPECT_EQ(format_local(kNow), "2023-11-14 18:43:20-03:30");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Time, ReadsEveryZoneForm) {
  for (const char* text :
       {"2023-11-14T22:13:20Z", "2023-11-14t22:13:20z", "2023-11-14 22:13:20Z", "2023-11-14 22:13:20 Z",
        "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20-00:00", "2023-11-15T03:58:20+05:45",
        "2023-11-15T03:58:20+0545", "2023-11-14 18:43:20-03:30", "2023-11-14 18:43:20 -0330", "2023-11-15 12:13:20+14",
        "2023-11-14 23:13:20+01", "2023-11-14T10:13:20-12:00", "  2023-11-14T22:13:20Z  ",
        "2023-11-14T22:13:20.000000000999Z", "2023-11-14T22:13:20,0Z"}) {
    EXPECT_EQ(parsed_seconds(text), 1'700'000'000) << text;
  }
  EXPECT_EQ(parsed_seconds("2023-11-14T22:13Z"), 1'699'999'980 + 0);
}

TEST(Time, ReadsAnyFraction) {
  EXPECT_EQ(parse_time("2023-11-14T22:13:20.25Z", kNow)->ns, kNow.ns + 250'000'000);
  EXPECT_EQ(parse_time("2023-11-14T22:13:20.000000001Z", kNow)->ns, kNow.ns + 1);
  EXPECT_EQ(parse_time("1969-12-31T23:59:59.5Z", kNow)->ns, -500'000'000);
}

TEST(Time, RefusesATimeWithoutZoneAndSaysWhy) {
  const auto time = parse_time("2023-11-14 22:13:20", kNow);
  ASSERT_FALSE(time.ok());
  EXPECT_EQ(time.error().code(), ErrorCode::kUsage);
  EXPECT_EQ(time.error().text(),
            "the time '2023-11-14 22:13:20' has no zone (add Z for UTC, or an offset such as +01:00)");
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* text : {"",
                           " ",
                           "yesterday",
                           "2023-11-14",
                           "2023-11-14Z",
                           "2023-13-01T00:00:00Z",
                           "2023-00-01T00:00:00Z",
                           "2023-02-29T00:00:00Z",
                           "2100-02-29T00:00:00Z",
                           "2023-04-31T00:00:00Z",
                           "2023-01-01T24:00:00Z",
                           "2023-01-01T00:60:00Z",
                           "2023-01-01T00:00:61Z",
                           "2023-01-01T00:00:00.Z",
                           "2023-01-01T00:00:00+24:00",
                           "2023-01-01T00:00:00+01:60",
                           "2023-01-01T00:00:00+1:00",
                           "2023-01-01T00:00:00+01:",
                           "2023-01-01T00:00:00Zx",
                           "2023-1-1T00:00:00Z",
                           "20230101T000000Z",
                           "9999-12-31T23:59:59Z",
                           "0001-01-01T00:00:00Z",
                           "ago",
                           "10 ago",
                           "minutes ago",
                           "-5 minutes ago",
                           "10 fortnights ago",
                           "99999999999999 weeks ago",
                           "10minutess ago",
                           "1.5 hours ago"}) {
    const auto time = parse_time(text, kNow);
    EXPECT_FALSE(time.ok()) << text;
    if (!time.ok()) {
      EXPECT_EQ(time.error().code(), ErrorCode::kUsage) << text;
    }
  }
}

TEST(Time, LeapDaysAndSeconds) {
  EXPECT_EQ(parsed_seconds("2000-02-29T00:00:00Z"), 951'782'400);
  EXPECT_EQ(parsed_seconds("2016-12-31T23:59:60Z"), parsed_seconds("2017-01-01T00:00:00Z"));
}

TEST(Time, ReadsWordsRelativeToNow) {
  EXPECT_EQ(parsed_seconds("now"), 1'700'000'000);
  EXPECT_EQ(parsed_seconds(" Now "), 1'700'000'000);
  EXPECT_EQ(parsed_seconds("10 minutes ago"), 1'700'000'000 - 600);
  EXPECT_EQ(parsed_seconds("1 minute ago"), 1'700'000'000 - 60);
  EXPECT_EQ(parsed_seconds("90 seconds ago"), 1'700'000'000 - 90);
  EXPECT_EQ(parsed_seconds("2 Hours Ago"), 1'700'000'000 - 7200);
  EXPECT_EQ(parsed_seconds("3d ago"), 1'700'000'000 - 3 * 86400);
  EXPECT_EQ(parsed_seconds("1 week  ago"), 1'700'000'000 - 7 * 86400);
  EXPECT_EQ(parsed_seconds("0 seconds ago"), 1'700'000'000);
}

TEST(Time, AnyTimeReadsBackAsItWasFormatted) {
  const auto random = seeded_random(11);
  for (int round = 0; round < 20000; round++) {
    const int64_t microseconds = static_cast<int64_t>(random->below(8'000'000'000'000'000)) - 1'000'000'000'000'000;
    const Time time = Time::from_unix_microseconds(microseconds);
    ASSERT_EQ(parse_time(format_rfc3339(time), kNow)->ns, time.ns) << format_rfc3339(time);
  }
}

TEST(Time, StopsAtItsEnds) {
  constexpr Time kFirst{INT64_MIN}, kLast{INT64_MAX};
  EXPECT_EQ(Time::from_unix_seconds(18'000'000'000), kLast);
  EXPECT_EQ(Time::from_unix_microseconds(INT64_MAX / 1000 + 1), kLast);
  EXPECT_EQ(Time::from_unix_microseconds(INT64_MAX / 1000).ns, INT64_MAX / 1000 * 1000);
  EXPECT_EQ(Time::from_unix_microseconds(INT64_MIN), kFirst);
  EXPECT_EQ(kLast + Duration::seconds(1), kLast);
  EXPECT_EQ(kFirst + Duration::seconds(-1), kFirst);
  EXPECT_EQ(kFirst - Duration::seconds(1), kFirst);
  EXPECT_EQ(kLast - Duration::seconds(-1), kLast);
  EXPECT_EQ((kLast - kFirst).ns, INT64_MAX);
  EXPECT_EQ((kFirst - kLast).ns, INT64_MIN);
}

TEST(Duration, StopsAtItsEnds) {
  EXPECT_EQ(Duration::milliseconds(INT64_MAX).ns, INT64_MAX);
  EXPECT_EQ(Duration::milliseconds(INT64_MIN).ns, INT64_MIN);
  EXPECT_EQ(Duration::hours(INT64_MAX / 2).ns, INT64_MAX);
  EXPECT_EQ(Duration::seconds(-3).ns, -3'000'000'000);
  EXPECT_EQ(Duration::from_seconds(1e300).ns, INT64_MAX);
  EXPECT_EQ(Duration::from_seconds(-1e300).ns, INT64_MIN);
  EXPECT_EQ(Duration::from_seconds(std::nan("")).ns, 0);
  EXPECT_EQ(Duration::from_seconds(-1.5), Duration::milliseconds(-1500));
}

TEST(Duration, ReadsNumbersWithUnits) {
  const std::pair<const char*, Duration> cases[] = {
      {"250ms", Duration::milliseconds(250)}, {"30s", Duration::seconds(30)},
      {"5m", Duration::seconds(300)},         {"5min", Duration::seconds(300)},
      {"1h30m", Duration::seconds(5400)},     {"7d", Duration::hours(168)},
      {"2w", Duration::hours(336)},           {"0s", Duration{}},
      {"15us", Duration::microseconds(15)},   {" 3s ", Duration::seconds(3)},
  };
  for (const auto& [text, duration] : cases) EXPECT_EQ(parse_duration(text)->ns, duration.ns) << text;
}

TEST(Duration, RefusesABareNumberAndNonsense) {
  EXPECT_EQ(parse_duration("30").error().text(),
            "'30' is not a duration (write numbers with units, such as 250ms, 30s, 5m, 1h30m, 7d or 2w)");
  for (const char* text : {"", " ", "s", "-5s", "5", "1h30", "5 m", "5x", "1.5h", "5M", "99999999999w",
                           "9223372036854775807s", "150000w150000w"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
}

TEST(Duration, IsWrittenForPeople) {
  const std::pair<Duration, const char*> cases[] = {
      {Duration{}, "0.00 s"},
      {Duration::milliseconds(250), "0.25 s"},
      {Duration::milliseconds(9990), "9.99 s"},
      {Duration::milliseconds(9996), "10 s"},
      {Duration::seconds(41), "41 s"},
      {Duration::milliseconds(59'600), "1 min 0 s"},
      {Duration::seconds(200), "3 min 20 s"},
      {Duration::seconds(7500), "2 h 5 min"},
      {Duration::hours(76), "3 d 4 h"},
      {Duration::seconds(-41), "-41 s"},
      {Duration{INT64_MIN}, "-106751 d 23 h"},
  };
  for (const auto& [duration, text] : cases) EXPECT_EQ(format_duration(duration), text);
}

TEST(Clock, SystemClockMovesForward) {
  Clock& clock = system_clock();
  const Duration before = clock.monotonic();
  clock.sleep(Duration{});
  EXPECT_GE(clock.monotonic().ns, before.ns);
  EXPECT_GT(clock.now().unix_seconds(), 1'700'000'000);
}

}  // namespace
}  // namespace holdfast
