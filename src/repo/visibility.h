#pragma once

#include "repo/collect.h"

namespace holdfast::repo {

// How long a listing may be out of date on another machine: network file systems remember what
// a directory held. So long after a tombstone was settled a newcomer may not see it.
constexpr Duration kVisibilityMargin = Duration::seconds(120);

// As collect() of collect.h, with another margin than kVisibilityMargin: for tests.
Result<CollectReport> collect(Repository& repository, const CollectOptions& options, Duration visibility_margin,
                              Progress& progress);

}  // namespace holdfast::repo
