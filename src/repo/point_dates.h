#pragma once

#include <map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/collect.h"
#include "repo/point.h"

namespace holdfast::repo {

// ---- The dates of points. A point carries the date of the machine that took it, and that
// machine's clock may be wrong. Its object carries the store's.

// Clocks that are right differ by less.
constexpr Duration kClockTolerance = Duration::seconds(300);

// Dated in the future: the clock of the machine that took it was ahead.
bool is_ahead(const Point& point, Time now);

// When points were stored, by the store's clock. A store that was copied may give its objects
// later times.
using StoredTimes = std::map<PointId, Time>;
Result<StoredTimes> stored_times(Repository& repository);

// Oldest first. Points that are ahead have no date to go by but the store's.
void sort_by_age(std::vector<Point>& points, const StoredTimes& stored, Time now);

// As decide() of collect.h, and tells also points that were ahead when they were stored and whose
// dates have passed since: such a one keeps no other from being the newest or from filling a rule.
std::vector<RetentionDecision> decide(const RetentionPolicy& policy, const std::vector<Point>& points,
                                      const RetentionFacts& facts, const StoredTimes& stored, Time now);

}  // namespace holdfast::repo
