#include "recovery/clocks.h"

namespace holdfast::recovery {

std::string ahead_note(const std::vector<repo::Point>& points, Time now) {
  size_t count = 0;
  const repo::Point* furthest = nullptr;
  for (const repo::Point& point : points) {
    if (!repo::is_ahead(point, now)) continue;
    count++;
    if (furthest == nullptr || furthest->time < point.time) furthest = &point;
  }
  if (count == 0) return "";
  const std::string id = furthest->id.hex().substr(0, 8), until = format_local(furthest->time);
  if (count == 1)
    return fmt::format("point {} is dated in the future, {}, by a clock that was ahead on {}", id, until,
                       furthest->host);
  return fmt::format("{} points are dated in the future, up to {} ({}), by a clock that was ahead on {}", count, until,
                     id, furthest->host);
}

Result<Time> agreed_time(Workspace& workspace) {
  const Time stores = TRY(workspace.repository().environment().store.server_time());
  const Duration ahead = workspace.machine().clock.now() - stores;
  const Duration apart = ahead < Duration{} ? Duration{} - ahead : ahead;
  if (apart <= repo::kClockTolerance) return stores;
  return make_error(ErrorCode::kRefused,
                    "this machine's clock is {} {} that of the repository's disk: points are judged by their dates, "
                    "and one of the two is wrong",
                    format_duration(apart), ahead < Duration{} ? "behind" : "ahead of")
      .with_hint("set the clock that is wrong ('date', 'timedatectl status'), then prune again");
}

}  // namespace holdfast::recovery
