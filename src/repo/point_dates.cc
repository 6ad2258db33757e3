#include "repo/point_dates.h"

#include <algorithm>
#include <tuple>

#include "repo/access.h"
#include "repo/object_names.h"

namespace holdfast::repo {

bool is_ahead(const Point& point, Time now) { return point.time > now + kClockTolerance; }

Result<StoredTimes> stored_times(Repository& repository) {
  StoredTimes stored;
  TRY(access(repository).store().list(kPointsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (const auto id = digest_of_name(info.name); id.ok()) stored[*id] = info.modified;
    return {};
  }));
  return stored;
}

void sort_by_age(std::vector<Point>& points, const StoredTimes& stored, Time now) {
  const auto age = [&](const Point& point) {
    const auto found = is_ahead(point, now) ? stored.find(point.id) : stored.end();
    return std::tuple(found == stored.end() ? point.time : found->second, point.id);
  };
  std::sort(points.begin(), points.end(), [&](const Point& a, const Point& b) { return age(a) < age(b); });
}

}  // namespace holdfast::repo
