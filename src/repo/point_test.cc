// Covers: points as JSON (every field, odd text, refusals), retention rules by example
// and by property, records of verification.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "repo/collect.h"
#include "repo/missing.h"
#include "repo/point.h"
#include "repo/point_dates.h"

namespace holdfast::repo {
namespace {

Point sample_point() {
  Point point;
  point.time = {1'700'000'000'123'456'789};
  point.stack = "demo";
  point.host = "db1";
  point.version = "0.1.0";
  point.tags = {"before-upgrade"};
  Snapshot snapshot;
  snapshot.component = "db";
  snapshot.kind = "postgres";
  snapshot.root.bytes.fill(0xAB);
  snapshot.instant = {1'700'000'000'000'000'001};
  snapshot.source_bytes = UINT64_MAX;
  snapshot.read_bytes = 2;
  snapshot.stored_bytes = 3;
  snapshot.files = 4;
  snapshot.took = Duration::milliseconds(1500);
  snapshot.incremental = true;
  snapshot.source = {{"system_id", "7311"}, {"tablespaces", nlohmann::json::array({1, 2})}};
  snapshot.faults = {"bad page"};
  point.snapshots = {snapshot, Snapshot{}};
  return point;
}

Result<Point> parse(const std::string& text) { return point_from_json(nlohmann::json::parse(text)); }

TEST(Point, keeps_every_field) {
  const Point point = sample_point();
  const auto back = parse(to_json(point).dump());
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(to_json(back.value()), to_json(point));
  EXPECT_EQ(back->snapshots[0].root, point.snapshots[0].root);
  EXPECT_EQ(back->snapshots[0].source_bytes, UINT64_MAX);
  EXPECT_EQ(back->time, point.time);
}

TEST(Point, text_that_is_not_utf8_is_shown_not_lost) {
  Point point = sample_point();
  point.snapshots[0].faults = {"file \xff\xc3\xa9\xc3: unreadable"};
  point.snapshots[0].source["path"] = "odd \xfe";
  const auto back = parse(to_json(point).dump());
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(back->snapshots[0].faults[0], "file \\xff\xc3\xa9\\xc3: unreadable");
}

TEST(Point, refuses_what_it_does_not_know) {
  EXPECT_EQ(parse("[]").error().message(), "field \"format\" is not there or no unsigned number");
  EXPECT_EQ(parse("{}").error().message(), "field \"format\" is not there or no unsigned number");
  EXPECT_EQ(parse("{\"format\":2}").error().code(), ErrorCode::kNewerFormat);
  nlohmann::json json = to_json(sample_point());
  for (const auto& [key, value] : json.items()) {
    nlohmann::json less = json;
    less.erase(key);
    EXPECT_FALSE(point_from_json(less).ok()) << key;
  }
  for (const auto& [key, value] : json["snapshots"][0].items()) {
    nlohmann::json less = json;
    less["snapshots"][0][key] = nullptr;
    EXPECT_EQ(point_from_json(less).ok(), key == "source") << key;
  }
  json["snapshots"][0]["root"] = "abcd";
  EXPECT_EQ(point_from_json(json).error().message(), "\"abcd\" is not the id of a block");
}

// ---- Retention

constexpr Time kNow = Time::from_unix_seconds(1'772'800'000);  // 2026-03-06T12:26:40Z, a Friday

Point point_at(Time time, uint64_t number, const std::string& component = "db") {
  Point point;
  std::memcpy(point.id.bytes.data(), &number, sizeof number);
  point.time = time;
  point.stack = "demo";
  Snapshot snapshot;
  snapshot.component = component;
  point.snapshots = {snapshot};
  return point;
}

std::vector<std::string> kept(const std::vector<RetentionDecision>& decisions) {
  std::vector<std::string> lines;
  for (const RetentionDecision& decision : decisions) {
    EXPECT_EQ(decision.keep, !decision.reasons.empty());
    std::string line = decision.keep ? format_rfc3339(decision.time).substr(0, 13) + ":" : "";
    for (const std::string& reason : decision.reasons) line += " " + reason + ";";
    if (decision.keep) lines.push_back(line);
  }
  return lines;
}

TEST(Retention, keeps_the_newest_of_each_day_week_month_year) {
  std::vector<Point> points;
  for (int i = 0; i < 100; i++) points.push_back(point_at(kNow - Duration::hours(12 * i), static_cast<uint64_t>(i)));
  RetentionPolicy policy;
  policy.keep_last = 1;
  policy.keep_daily = 2;
  policy.keep_weekly = 2;
  policy.keep_monthly = 2;
  policy.keep_yearly = 5;
  EXPECT_EQ(
      kept(decide(policy, points, {}, kNow)),
      (std::vector<std::string>{
          "2026-03-06T12: newest; last 1; daily 2026-03-06; weekly 2026-W10; monthly 2026-03; yearly 2026;",
          "2026-03-05T12: daily 2026-03-05;", "2026-03-01T12: weekly 2026-W09;", "2026-02-28T12: monthly 2026-02;"}));
}

// Hours in UTC that have a point; one of two within an hour is the newest.
TEST(Retention, keeps_the_newest_of_each_hour_that_has_one) {
  std::vector<Point> points;
  for (const int minutes_ago : {0, 10, 26, 27, 86, 87, 200, 300, 301, 1500})
    points.push_back(point_at(kNow - Duration::seconds(60 * minutes_ago), points.size()));
  RetentionPolicy policy;
  policy.keep_hourly = 4;
  std::vector<uint64_t> numbers;
  std::vector<std::string> reasons;
  for (const RetentionDecision& decision : decide(policy, points, {}, kNow)) {
    if (!decision.keep) continue;
    numbers.push_back(decision.id.bytes[0]);
    reasons.push_back(decision.reasons.back());
  }
  // 12:26, 12:16, 12:00 | 11:59, 11:00 | 10:59 | 09:06 | 07:26, 07:25 | the day before
  EXPECT_EQ(numbers, (std::vector<uint64_t>{0, 3, 5, 6}));
  EXPECT_EQ(reasons, (std::vector<std::string>{"hourly 2026-03-06T12", "hourly 2026-03-06T11", "hourly 2026-03-06T10",
                                               "hourly 2026-03-06T09"}));
}

TEST(Retention, weeks_follow_iso_8601_over_the_turn_of_the_year) {
  RetentionPolicy policy;
  policy.keep_weekly = 3;
  const auto label = [&](const char* day) {
    const Time time = parse_time(std::string(day) + "T10:00:00Z", kNow).value();
    return decide(policy, {point_at(time, 1)}, {}, kNow)[0].reasons.back();
  };
  EXPECT_EQ(label("2024-12-30"), "weekly 2025-W01");
  EXPECT_EQ(label("2021-01-03"), "weekly 2020-W53");
  EXPECT_EQ(label("2023-01-01"), "weekly 2022-W52");
  EXPECT_EQ(label("1969-12-31"), "weekly 1970-W01");
}

TEST(Retention, without_a_policy_everything_stays) {
  const auto decisions = decide({}, {point_at(kNow - Duration::hours(100000), 1), point_at(kNow, 2)}, {}, kNow);
  EXPECT_TRUE(decisions[0].keep);
  EXPECT_EQ(decisions[0].reasons, std::vector<std::string>{"no policy"});
  EXPECT_TRUE(decisions[1].keep);
}

TEST(Retention, a_point_of_one_component_does_not_push_out_another) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  const auto decisions = decide(policy,
                                {point_at(kNow - Duration::hours(50), 1, "files"), point_at(kNow, 2, "db"),
                                 point_at(kNow - Duration::hours(1), 3, "db")},
                                {}, kNow);
  EXPECT_TRUE(decisions[0].keep);
  EXPECT_TRUE(decisions[1].keep);
  EXPECT_FALSE(decisions[2].keep);
}

TEST(Retention, never_drops_newest_verified_or_held_and_is_idempotent) {
  for (uint64_t seed = 0; seed < 2000; seed++) {
    std::mt19937_64 random(seed);
    RetentionPolicy policy;
    for (uint32_t* count : {&policy.keep_last, &policy.keep_hourly, &policy.keep_daily, &policy.keep_weekly,
                            &policy.keep_monthly, &policy.keep_yearly}) {
      if (random() % 3 == 0) *count = static_cast<uint32_t>(random() % 5);
    }
    if (random() % 4 == 0) policy.keep_within = Duration::hours(static_cast<int64_t>(random() % 1000));
    policy.keep_tags = {"hold"};
    std::vector<Point> points;
    std::vector<PointId> verified;
    const size_t count = 1 + random() % 40;
    for (size_t i = 0; i < count; i++) {
      points.push_back(point_at(kNow - Duration::seconds(static_cast<int64_t>(random() % (1u << (10 + random() % 16)))),
                                i, random() % 2 ? "db" : "files"));
      if (random() % 5 == 0) points.back().tags = {"hold"};
      if (random() % 4 == 0) verified.push_back(points.back().id);
    }
    const auto decisions = decide(policy, points, {.verified = verified}, kNow);
    ASSERT_EQ(decisions.size(), points.size());
    std::vector<Point> left;
    const Point* newest = nullptr;
    const Point* newest_verified = nullptr;
    for (size_t i = 0; i < points.size(); i++) {
      ASSERT_EQ(decisions[i].id, points[i].id);
      if (decisions[i].keep) left.push_back(points[i]);
      const bool must_stay = !points[i].tags.empty() || points[i].time > kNow - policy.keep_within;
      ASSERT_TRUE(decisions[i].keep || !must_stay) << "held or young, seed " << seed;
      if (!newest || points[i].time > newest->time) newest = &points[i];
      const bool is_verified = std::count(verified.begin(), verified.end(), points[i].id) > 0;
      if (is_verified && (!newest_verified || points[i].time > newest_verified->time)) newest_verified = &points[i];
    }
    const auto is_left = [&](const Point& point) {
      return std::any_of(left.begin(), left.end(), [&](const Point& each) { return each.id == point.id; });
    };
    ASSERT_TRUE(is_left(*newest)) << "seed " << seed;
    ASSERT_TRUE(!newest_verified || is_left(*newest_verified)) << "seed " << seed;
    ASSERT_GE(left.size(), std::min<size_t>(points.size(), policy.keep_last)) << "seed " << seed;
    for (const RetentionDecision& again : decide(policy, left, {.verified = verified}, kNow)) {
      ASSERT_TRUE(again.keep) << "a second run drops more, seed " << seed;
    }
  }
}

// A point of several components, each at the point's own time.
Point point_of(Time time, uint64_t number, const std::vector<std::string>& components) {
  Point point = point_at(time, number);
  point.snapshots.clear();
  for (const std::string& component : components) {
    Snapshot snapshot;
    snapshot.component = component;
    snapshot.instant = time;
    point.snapshots.push_back(snapshot);
  }
  return point;
}

TEST(Retention, points_dated_in_the_future_stay_and_count_for_no_rule) {
  RetentionPolicy policy;
  policy.keep_last = 2;
  policy.keep_daily = 1;
  std::vector<Point> points;
  for (int hours = 0; hours < 4; hours++)
    points.push_back(point_at(kNow - Duration::hours(hours), static_cast<uint64_t>(hours)));
  for (int days = 1; days < 4; days++)
    points.push_back(point_at(kNow + Duration::hours(24 * days), 10 + static_cast<uint64_t>(days)));
  EXPECT_EQ(kept(decide(policy, points, {.verified = {points.back().id, points[1].id}}, kNow)),
            (std::vector<std::string>{"2026-03-06T12: newest; last 2; daily 2026-03-06;",
                                      "2026-03-06T11: last verified; last 2;", "2026-03-07T12: dated in the future;",
                                      "2026-03-08T12: dated in the future;", "2026-03-09T12: dated in the future;"}));
}

// A clock that is a minute ahead is right enough.
TEST(Retention, a_point_that_is_hardly_ahead_is_the_newest) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  const std::vector<Point> points = {point_at(kNow, 1), point_at(kNow + Duration::seconds(60), 2)};
  EXPECT_EQ(kept(decide(policy, points, {}, kNow)), std::vector<std::string>{"2026-03-06T12: newest; last 1;"});
}

// Once its date has passed a point that was stored long before is a point like others, but takes
// no right one's place.
TEST(Retention, a_point_that_was_dated_in_the_future_pushes_out_no_other) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  std::vector<Point> points = {point_at(kNow - Duration::hours(2), 1), point_at(kNow - Duration::hours(1), 2)};
  const StoredTimes stored = {{points[0].id, points[0].time}, {points[1].id, kNow - Duration::hours(24 * 400)}};
  EXPECT_EQ(kept(decide(policy, points, {}, stored, kNow)),
            (std::vector<std::string>{"2026-03-06T10: newest; last 1;", "2026-03-06T11: newest; last 1;"}));
  points.push_back(point_at(kNow, 3));
  EXPECT_EQ(kept(decide(policy, points, {}, stored, kNow)), std::vector<std::string>{"2026-03-06T12: newest; last 1;"});
}

TEST(Retention, a_held_point_stays_and_says_why) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  const std::vector<Point> points = {point_at(kNow - Duration::hours(2), 1), point_at(kNow - Duration::hours(1), 2),
                                     point_at(kNow, 3)};
  RetentionFacts facts;
  facts.held = {{points[0].id, "audit"}, {points[1].id, ""}};
  const auto decisions = decide(policy, points, facts, kNow);
  EXPECT_EQ(decisions[0].reasons, std::vector<std::string>{"held: audit"});
  EXPECT_EQ(decisions[1].reasons, std::vector<std::string>{"held"});
}

TEST(Retention, a_degraded_point_is_the_newest_of_what_it_holds_only) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  std::vector<Point> points = {point_of(kNow - Duration::hours(3), 1, {"db", "data"}),
                               point_of(kNow - Duration::hours(2), 2, {"db", "data"}),
                               point_of(kNow - Duration::hours(1), 3, {"db"}), point_of(kNow, 4, {"data"})};
  note_missing(points[2], "data", "it was away");
  note_missing(points[3], "db", "it was away");
  RetentionFacts facts;
  facts.verified = {points[0].id, points[2].id, points[3].id};
  const auto decisions = decide(policy, points, facts, kNow);
  // Each component has newer ones, but only these two are of the whole.
  EXPECT_EQ(decisions[0].reasons, std::vector<std::string>{"last verified"});
  EXPECT_EQ(decisions[1].reasons, (std::vector<std::string>{"newest", "last 1"}));
  EXPECT_TRUE(decisions[2].keep);
  EXPECT_TRUE(decisions[3].keep);
}

TEST(Retention, a_point_of_some_components_is_not_of_the_whole) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  const std::vector<Point> points = {point_of(kNow - Duration::hours(2), 1, {"db", "data"}),
                                     point_of(kNow - Duration::hours(1), 2, {"data"}), point_of(kNow, 3, {"db"})};
  RetentionFacts facts;
  facts.components = {"db", "data"};
  facts.verified = {points[0].id, points[1].id, points[2].id};
  for (const RetentionDecision& decision : decide(policy, points, facts, kNow))
    EXPECT_EQ(decision.reasons, (std::vector<std::string>{"newest", "last verified", "last 1"}));
  EXPECT_TRUE(is_complete(points[0], facts.components));
  EXPECT_FALSE(is_complete(points[1], facts.components));
  EXPECT_TRUE(is_complete(points[1], {})) << "nobody knows what the whole is";
}

TEST(Retention, a_point_with_faults_pushes_out_none_that_is_whole) {
  std::vector<Point> points;
  for (int i = 0; i < 6; i++)
    points.push_back(point_of(kNow - Duration::hours(5 - i), static_cast<uint64_t>(i), {"db", "data"}));
  for (const size_t i : {3u, 4u, 5u}) points[i].snapshots[1].faults = {"secret.txt: permission denied"};
  RetentionFacts facts;
  facts.components = {"db", "data"};
  facts.verified = {points[0].id, points[1].id, points[3].id};
  RetentionPolicy policy;
  policy.keep_within = Duration::seconds(1);
  const auto decisions = decide(policy, points, facts, kNow);
  EXPECT_FALSE(decisions[0].keep);
  EXPECT_EQ(decisions[1].reasons, std::vector<std::string>{"last verified without faults"});
  EXPECT_EQ(decisions[2].reasons, std::vector<std::string>{"newest without faults"});
  EXPECT_EQ(decisions[3].reasons, std::vector<std::string>{"last verified"});
  EXPECT_FALSE(decisions[4].keep);
  EXPECT_EQ(decisions[5].reasons, (std::vector<std::string>{"newest", "within 1.00 s"}));
  // Nor by a rule that counts.
  policy = {};
  policy.keep_last = 2;
  const auto counted = decide(policy, points, {}, kNow);
  EXPECT_EQ(counted[1].reasons, std::vector<std::string>{"last 2"});
  EXPECT_EQ(counted[2].reasons, (std::vector<std::string>{"newest without faults", "last 2"}));
  EXPECT_EQ(counted[4].reasons, std::vector<std::string>{"last 2"});
  EXPECT_EQ(counted[5].reasons, (std::vector<std::string>{"newest", "last 2"}));
}

TEST(Retention, a_point_with_faults_goes_like_any_other_once_newer_ones_have_none) {
  std::vector<Point> points;
  for (int i = 0; i < 6; i++)
    points.push_back(point_of(kNow - Duration::hours(5 - i), static_cast<uint64_t>(i), {"db", "data"}));
  points[0].snapshots[1].faults = points[3].snapshots[0].faults = {"secret.txt: permission denied"};
  RetentionPolicy policy;
  policy.keep_last = 1;
  auto decisions = decide(policy, points, {}, kNow);
  for (size_t i = 0; i < 5; i++) EXPECT_FALSE(decisions[i].keep) << i;
  EXPECT_EQ(decisions[5].logs_of, std::nullopt);
  policy.keep_last = 3;
  decisions = decide(policy, points, {}, kNow);
  EXPECT_FALSE(decisions[1].keep);
  EXPECT_EQ(decisions[2].reasons, std::vector<std::string>{"last 3"});
  EXPECT_EQ(decisions[3].reasons, std::vector<std::string>{"last 3"});
  EXPECT_EQ(decisions[3].logs_of, std::nullopt) << "the rule keeps it, and its log";
}

// A database's log would else be kept for ever for the sake of a file that nobody can read.
TEST(Retention, what_is_kept_for_having_no_faults_needs_the_logs_of_the_faulty_alone) {
  std::vector<Point> points;
  for (int i = 0; i < 6; i++)
    points.push_back(point_of(kNow - Duration::hours(5 - i), static_cast<uint64_t>(i), {"db", "data"}));
  for (const size_t i : {4u, 5u}) points[i].snapshots[1].faults = {"secret.txt: permission denied"};
  RetentionFacts facts;
  facts.components = {"db", "data"};
  RetentionPolicy policy;
  policy.keep_last = 3;
  auto decisions = decide(policy, points, facts, kNow);
  EXPECT_FALSE(decisions[0].keep);
  for (const size_t i : {1u, 2u}) EXPECT_EQ(decisions[i].logs_of, std::set<std::string>{"data"}) << i;
  for (const size_t i : {3u, 4u, 5u}) EXPECT_EQ(decisions[i].logs_of, std::nullopt) << i;
  policy = {};
  policy.keep_within = Duration::seconds(1);
  decisions = decide(policy, points, facts, kNow);
  EXPECT_EQ(decisions[3].reasons, std::vector<std::string>{"newest without faults"});
  EXPECT_EQ(decisions[3].logs_of, std::set<std::string>{"data"});
  facts.held = {{points[3].id, "audit"}};
  EXPECT_EQ(decide(policy, points, facts, kNow)[3].logs_of, std::nullopt);
}

TEST(Retention, what_is_astray_is_not_the_only_one_that_stays) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  std::vector<Point> points;
  for (int i = 0; i < 5; i++)
    points.push_back(point_of(kNow - Duration::hours(4 - i), static_cast<uint64_t>(i), {"db"}));
  RetentionFacts facts;
  facts.components = {"db"};
  facts.verified = {points[0].id, points[3].id};
  facts.astray = {{points[2].id, "db"}, {points[3].id, "db"}, {points[4].id, "db"}};
  const auto decisions = decide(policy, points, facts, kNow);
  EXPECT_EQ(decisions[0].reasons, std::vector<std::string>{"last verified that leads on"});
  EXPECT_EQ(decisions[1].reasons, std::vector<std::string>{"newest that leads on"});
  EXPECT_FALSE(decisions[2].keep);
  EXPECT_EQ(decisions[3].reasons, std::vector<std::string>{"last verified"});
  EXPECT_EQ(decisions[4].reasons, (std::vector<std::string>{"newest", "last 1"}));
}

TEST(Retention, a_window_is_kept_along_what_leads_on) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  policy.keep_window = Duration::seconds(90 * 60);
  std::vector<Point> points;
  for (int i = 0; i < 5; i++)
    points.push_back(point_of(kNow - Duration::hours(4 - i), static_cast<uint64_t>(i), {"db"}));
  RetentionFacts facts;
  facts.astray = {{points[1].id, "db"}, {points[2].id, "db"}};
  facts.window_begins = {{points[2].id, "db"}};
  std::vector<size_t> left;
  const auto decisions = decide(policy, points, facts, kNow);
  for (size_t i = 0; i < decisions.size(); i++) {
    if (decisions[i].keep) left.push_back(i);
  }
  EXPECT_EQ(left, (std::vector<size_t>{0, 4})) << "the one of two hours is nearer, and leads nowhere";
  policy.keep_window = Duration::seconds(150 * 60);
  EXPECT_TRUE(decide(policy, points, facts, kNow)[2].keep) << "a window of its own begins with it";
}

TEST(Retention, a_window_keeps_what_leads_to_its_beginning_and_where_new_ones_begin) {
  RetentionPolicy policy;
  policy.keep_last = 1;
  policy.keep_window = Duration::hours(24);
  std::vector<Point> points;
  for (int i = 0; i < 8; i++)
    points.push_back(point_of(kNow - Duration::hours(7 * (7 - i)), static_cast<uint64_t>(i), {"db"}));
  RetentionFacts facts;
  facts.window_begins = {{points[1].id, "db"}, {points[5].id, "db"}, {points[6].id, "data"}};
  // 49, 42, ... hours old: the one of 28 hours leads to the beginning, and behind the one
  // of 14 hours the log begins anew. What began anew before the window does not matter.
  std::vector<size_t> left;
  const auto decisions = decide(policy, points, facts, kNow);
  for (size_t i = 0; i < decisions.size(); i++) {
    if (decisions[i].keep) left.push_back(i);
  }
  EXPECT_EQ(left, (std::vector<size_t>{3, 5, 7}));
  EXPECT_EQ(decisions[3].reasons, std::vector<std::string>{"window 1 d 0 h"});
}

TEST(Retention, a_window_never_gets_shorter_than_it_was_or_was_asked_to_be) {
  for (uint64_t seed = 0; seed < 500; seed++) {
    std::mt19937_64 random(seed);
    std::vector<Point> points;
    for (size_t i = 0; i < 1 + random() % 20; i++) {
      std::vector<std::string> components;
      for (const char* name : {"db", "data"}) {
        if (random() % 3 > 0) components.push_back(name);
      }
      points.push_back(point_of(kNow - Duration::hours(static_cast<int64_t>(random() % 500)), i, components));
    }
    RetentionPolicy policy;
    policy.keep_last = 1;
    policy.keep_window = Duration::hours(static_cast<int64_t>(1 + random() % 400));
    const auto decisions = decide(policy, points, {}, kNow);
    for (const std::string component : {"db", "data"}) {
      std::optional<Time> before, after;
      for (size_t i = 0; i < points.size(); i++) {
        for (const Snapshot& snapshot : points[i].snapshots) {
          if (snapshot.component != component) continue;
          if (!before || snapshot.instant < *before) before = snapshot.instant;
          if (decisions[i].keep && (!after || snapshot.instant < *after)) after = snapshot.instant;
        }
      }
      if (!before) continue;
      ASSERT_TRUE(after) << "seed " << seed;
      EXPECT_LE(*after, std::max(*before, kNow - policy.keep_window)) << "seed " << seed;
    }
  }
}

TEST(Missing, is_read_back_and_tags_of_people_stay_theirs) {
  Point point = point_at(kNow, 1);
  point.tags = {"nightly"};
  EXPECT_FALSE(is_degraded(point));
  note_missing(point, "data", "a path: it's gone");
  const Point read = point_from_json(to_json(point)).value();
  EXPECT_TRUE(is_degraded(read));
  ASSERT_EQ(missing_components(read).size(), 1u);
  EXPECT_EQ(missing_components(read)[0].component, "data");
  EXPECT_EQ(missing_components(read)[0].problem, "a path: it's gone");
  EXPECT_EQ(own_tags(read), std::vector<std::string>{"nightly"});
  // Whatever stands there, nothing falls over.
  Point odd = point_at(kNow, 2);
  odd.tags = {"missing:", "missing:x", "missing:x:"};
  EXPECT_EQ(missing_components(odd).size(), 3u);
}

}  // namespace
}  // namespace holdfast::repo
