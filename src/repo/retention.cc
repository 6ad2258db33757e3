#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "repo/collect.h"
#include "repo/missing.h"
#include "repo/point_dates.h"

// Rules count within a group: the points of one stack that hold the same components (a point of
// the database alone must not push out one of everything). They count once more among those
// without faults alone: one of which a part could not be read must not push out one that is whole.
//
// Points carry the date of the machine that took them. One from a clock that was ahead must
// not pass for the newest, nor fill a rule, or each right point would go as soon as it is
// there: such points stay until their dates have passed, and count for no rule, then or later.

namespace holdfast::repo {
namespace {

using Label = std::string (*)(Time);

std::chrono::year_month_day day_of(Time time) {
  return std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(time.ns)));
}

std::string day_label(Time time) {
  const auto day = day_of(time);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

std::string hour_label(Time time) {
  const int64_t seconds = time.ns / 1'000'000'000 - (time.ns % 1'000'000'000 < 0);
  const int64_t in_day = ((seconds % 86400) + 86400) % 86400;
  return fmt::format("{}T{:02}", day_label(time), in_day / 3600);
}

std::string month_label(Time time) { return day_label(time).substr(0, 7); }
std::string year_label(Time time) { return day_label(time).substr(0, 4); }

// ISO 8601: a week belongs to the year that its Thursday is in.
std::string week_label(Time time) {
  const std::chrono::sys_days day = day_of(time);
  const std::chrono::sys_days thursday = day - (std::chrono::weekday(day) - std::chrono::Monday) + std::chrono::days(3);
  const std::chrono::year_month_day date = thursday;
  const auto week = (thursday - std::chrono::sys_days(date.year() / std::chrono::January / 1)).count() / 7 + 1;
  return fmt::format("{:04}-W{:02}", static_cast<int>(date.year()), week);
}

struct Rule {
  uint32_t count;
  const char* name;
  Label label;
};

class Decider {
 public:
  Decider(const RetentionPolicy& policy, std::vector<const Point*> points, const RetentionFacts& facts, Time now)
      : policy_(policy),
        facts_(facts),
        verified_(facts.verified.begin(), facts.verified.end()),
        now_(now),
        by_age_(std::move(points)) {
    std::sort(by_age_.begin(), by_age_.end(),
              [](const Point* a, const Point* b) { return a->time != b->time ? a->time > b->time : a->id < b->id; });
  }

  // Of a point that is kept only because newer ones have faults: the components that they have them in.
  std::optional<std::set<std::string>> logs_of(const Point& point) const {
    if (ordinary_.contains(point.id)) return std::nullopt;
    std::set<std::string> components;
    for (const Snapshot& snapshot : point.snapshots) {
      if (snapshot.faults.empty() && faulty_now_.contains({point.stack, snapshot.component}))
        components.insert(snapshot.component);
    }
    return components;
  }

  std::map<PointId, std::vector<std::string>> reasons() {
    find_faulty();
    protect_newest();
    if (policy_.empty()) keep_all();
    keep_held_and_young();
    keep_window();
    keep_by_rules();
    return std::move(reasons_);
  }

 private:
  static std::string group_of(const Point& point) {
    std::set<std::string> components;
    for (const Snapshot& snapshot : point.snapshots) components.insert(snapshot.component);
    std::string group = point.stack;
    for (const std::string& component : components) group += '\0' + component;
    return group;
  }

  void find_faulty() {
    Names seen;
    for (const Point* point : by_age_) {
      for (const Snapshot& snapshot : point->snapshots) {
        const bool newest = seen.insert({point->stack, snapshot.component}).second;
        if (newest && !snapshot.faults.empty()) faulty_now_.insert({point->stack, snapshot.component});
      }
    }
  }

  bool is_astray(const Point& point, const std::string& component) const {
    return facts_.astray.contains({point.id, component});
  }

  // Whatever the policy says: the newest point, and the newest verified one, of each
  // component, and of the whole; and of those that lead on, and that have no faults, where the
  // newest do not.
  void protect_newest() {
    Seen newest, newest_verified, without_faults, verified_without_faults;
    for (const Point* point : by_age_) {
      protect(*point, newest, Of::kAny, "newest");
      protect(*point, without_faults, Of::kWithoutFaults, "newest");
      if (!verified_.count(point->id)) continue;
      protect(*point, newest_verified, Of::kAny, "last verified");
      protect(*point, verified_without_faults, Of::kWithoutFaults, "last verified");
    }
  }

  using Names = std::set<std::pair<std::string, std::string>>;
  struct Seen {
    Names any, leading_on;
  };
  enum class Of { kAny, kWithoutFaults };

  void protect(const Point& point, Seen& seen, Of of, const std::string& reason) {
    const auto [first, first_leading_on] = see(point, of, seen);
    if (!first && !first_leading_on) return;
    const std::string leading_on = first ? "" : " that leads on";
    if (of == Of::kAny) return keep(point, reason + leading_on);
    if (!is_kept_as(point, reason) && !is_kept_as(point, reason + leading_on))
      note(point, reason + " without faults" + leading_on);
  }

  // Whether a point is the first of anything, and the first that is not astray.
  std::pair<bool, bool> see(const Point& point, Of of, Seen& seen) const {
    bool first = false, first_leading_on = false, all_lead_on = true, all_count = true;
    const auto add = [&](const std::string& name, bool leads_on) {
      first |= seen.any.insert({point.stack, name}).second;
      if (leads_on) first_leading_on |= seen.leading_on.insert({point.stack, name}).second;
    };
    for (const Snapshot& snapshot : point.snapshots) {
      const bool counts = of == Of::kAny || snapshot.faults.empty();
      const bool leads_on = !is_astray(point, snapshot.component);
      all_lead_on &= leads_on;
      all_count &= counts;
      if (counts) add(snapshot.component, leads_on);
    }
    if (all_count && is_complete(point, facts_.components)) add("", all_lead_on);
    return {first, first_leading_on};
  }

  void keep_all() {
    for (const Point* point : by_age_) keep(*point, "no policy");
  }

  void keep_held_and_young() {
    for (const Point* point : by_age_) {
      const bool held = std::any_of(point->tags.begin(), point->tags.end(), [&](const std::string& tag) {
        return std::find(policy_.keep_tags.begin(), policy_.keep_tags.end(), tag) != policy_.keep_tags.end();
      });
      if (held) keep(*point, "held");
      if (const auto hold = facts_.held.find(point->id); hold != facts_.held.end())
        keep(*point, hold->second.empty() ? "held" : "held: " + hold->second);
      if (policy_.keep_within.ns > 0 && point->time > now_ - policy_.keep_within) {
        keep(*point, "within " + format_duration(policy_.keep_within));
      }
    }
  }

  // Of each component, of the snapshots that lead on: the newest at or before the window's
  // beginning (else the oldest there is), and of all each from which on a window of its own begins.
  void keep_window() {
    if (policy_.keep_window.ns <= 0) return;
    const Time begin = now_ - policy_.keep_window;
    struct Base {
      const Point* point = nullptr;
      Time instant;
    };
    std::map<std::pair<std::string, std::string>, Base> bases;
    const std::string reason = "window " + format_duration(policy_.keep_window);
    for (const Point* point : by_age_) {
      for (const Snapshot& snapshot : point->snapshots) {
        if (facts_.window_begins.count({point->id, snapshot.component}) && snapshot.instant > begin)
          keep_once(*point, reason);
        if (is_astray(*point, snapshot.component)) continue;
        Base& base = bases[{point->stack, snapshot.component}];
        const bool covers = base.point != nullptr && base.instant <= begin;
        const bool better =
            covers ? snapshot.instant > base.instant && snapshot.instant <= begin : snapshot.instant < base.instant;
        if (base.point == nullptr || better) base = {point, snapshot.instant};
      }
    }
    for (const auto& [component, base] : bases) keep_once(*base.point, reason);
  }

  bool is_kept_as(const Point& point, const std::string& reason) const {
    const auto found = reasons_.find(point.id);
    return found != reasons_.end() &&
           std::find(found->second.begin(), found->second.end(), reason) != found->second.end();
  }

  void keep_once(const Point& point, const std::string& reason) {
    if (!is_kept_as(point, reason)) keep(point, reason);
  }

  // What the rules keep where faults do not count is kept whatever there is.
  void keep_by_rules() {
    std::vector<const Point*> whole;
    std::copy_if(by_age_.begin(), by_age_.end(), std::back_inserter(whole),
                 [](const Point* point) { return !has_faults(*point); });
    apply_rules(by_age_, [&](const Point& point, const std::string& reason) { keep(point, reason); });
    apply_rules(whole, [&](const Point& point, const std::string& reason) {
      if (!is_kept_as(point, reason)) note(point, reason);
    });
  }

  static bool has_faults(const Point& point) {
    return std::any_of(point.snapshots.begin(), point.snapshots.end(),
                       [](const Snapshot& snapshot) { return !snapshot.faults.empty(); });
  }

  using Keep = std::function<void(const Point& point, const std::string& reason)>;

  void apply_rules(const std::vector<const Point*>& counted, const Keep& keep) const {
    const Rule rules[] = {{policy_.keep_hourly, "hourly", hour_label},
                          {policy_.keep_daily, "daily", day_label},
                          {policy_.keep_weekly, "weekly", week_label},
                          {policy_.keep_monthly, "monthly", month_label},
                          {policy_.keep_yearly, "yearly", year_label}};
    std::map<std::string, std::vector<const Point*>> groups;
    for (const Point* point : counted) groups[group_of(*point)].push_back(point);
    for (const auto& [group, points] : groups) {
      for (size_t i = 0; i < points.size() && i < policy_.keep_last; i++) {
        keep(*points[i], fmt::format("last {}", policy_.keep_last));
      }
      for (const Rule& rule : rules) keep_newest_of_each(points, rule, keep);
    }
  }

  // The newest point of each of the last `count` hours (days, ...) that have one.
  static void keep_newest_of_each(const std::vector<const Point*>& points, const Rule& rule, const Keep& keep) {
    std::string last;
    uint32_t kept = 0;
    for (const Point* point : points) {
      if (kept == rule.count) return;
      const std::string label = rule.label(point->time);
      if (label == last) continue;
      last = label;
      kept++;
      keep(*point, fmt::format("{} {}", rule.name, label));
    }
  }

  void keep(const Point& point, std::string reason) {
    ordinary_.insert(point.id);
    note(point, std::move(reason));
  }
  void note(const Point& point, std::string reason) { reasons_[point.id].push_back(std::move(reason)); }

  const RetentionPolicy& policy_;
  const RetentionFacts& facts_;
  const std::set<PointId> verified_;
  const Time now_;
  std::vector<const Point*> by_age_;  // newest first
  std::map<PointId, std::vector<std::string>> reasons_;
  std::set<PointId> ordinary_;  // kept also if nothing had faults
  Names faulty_now_;            // stack and component of newest snapshots with faults
};

// When it was stored it was dated in the future, by the store's clock.
bool was_ahead(const Point& point, const StoredTimes& stored) {
  const auto found = stored.find(point.id);
  return found != stored.end() && is_ahead(point, found->second);
}

}  // namespace

bool RetentionPolicy::empty() const {
  return keep_last == 0 && keep_hourly == 0 && keep_daily == 0 && keep_weekly == 0 && keep_monthly == 0 &&
         keep_yearly == 0 && keep_within.ns <= 0;
}

std::vector<RetentionDecision> decide(const RetentionPolicy& policy, const std::vector<Point>& points,
                                      const RetentionFacts& facts, Time now) {
  return decide(policy, points, facts, {}, now);
}

std::vector<RetentionDecision> decide(const RetentionPolicy& policy, const std::vector<Point>& points,
                                      const RetentionFacts& facts, const StoredTimes& stored, Time now) {
  std::vector<const Point*> credible, past;
  for (const Point& point : points) {
    if (is_ahead(point, now)) continue;
    past.push_back(&point);
    if (!was_ahead(point, stored)) credible.push_back(&point);
  }
  Decider decider(policy, credible, facts, now);
  auto reasons = decider.reasons();
  // What would be kept if every date were right stays as well, yet takes nobody's place.
  if (credible.size() < past.size()) {
    auto others = Decider(policy, past, facts, now).reasons();
    for (const Point* point : past) {
      if (was_ahead(*point, stored) && others.contains(point->id)) reasons[point->id] = std::move(others[point->id]);
    }
  }
  for (const Point& point : points) {
    if (is_ahead(point, now)) reasons[point.id] = {"dated in the future"};
  }
  std::vector<RetentionDecision> decisions;
  for (const Point& point : points) {
    RetentionDecision decision{point.id, point.time, false, {}, {}};
    if (const auto found = reasons.find(point.id); found != reasons.end()) {
      decision.keep = true;
      decision.reasons = found->second;
      if (std::find(credible.begin(), credible.end(), &point) != credible.end())
        decision.logs_of = decider.logs_of(point);
    }
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

}  // namespace holdfast::repo
