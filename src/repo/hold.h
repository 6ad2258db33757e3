#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// ---- Holds: points that retention does not remove until they are released.
// Objects holds/<point>.<time>, docs/format.md, "Holds".

struct Hold {
  PointId point;
  Time time;
  std::string reason, host;  // for people
};

// Whoever removes points by rules holds a collector's lease of this purpose while it
// does: a hold that was made while one lives may have come too late to be seen.
inline constexpr std::string_view kRetentionPurpose = "retention";

// Holds a point; one that is held already is held for this reason, too. kNotFound
// when the point is gone, kLocked (retryable) while points are being removed: then
// no hold was made.
Result<void> place_hold(Repository& repository, const PointId& point, const std::string& reason, Time now);
// Ends all holds of a point; returns how many there were.
Result<uint64_t> release_holds(Repository& repository, const PointId& point);
// All holds, by point and time. One whose content is damaged holds all the same: its
// name says which point.
Result<std::vector<Hold>> all_holds(Repository& repository);

}  // namespace holdfast::repo
