#pragma once

#include <set>

#include "base/result.h"
#include "repo/access.h"

namespace holdfast::repo {

// Writes index objects anew where that is worthwhile: those that name packs which
// are about to be `deleted` or do not exist (`stored` lists those that do), and the
// small ones when there are many. New objects are durable before old ones go, so a
// crash leaves blocks indexed twice, never not at all. An object of an epoch whose key is missing
// stays as it is.
Result<void> compact_index(RepositoryAccess& repository, const std::set<ObjectDigest>& deleted,
                           const std::set<ObjectDigest>& stored);

}  // namespace holdfast::repo
