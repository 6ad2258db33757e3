#pragma once

#include <memory>
#include <vector>

#include "repo/access.h"
#include "repo/repository.h"

namespace holdfast::repo {

// A write session that stores blocks anew although the index has them in one of
// `avoid` packs: to repack and to re-seal. Blocks in tombstoned packs are never
// reused by any session (src/repo/README.md).
struct SessionInternals {
  std::vector<ObjectDigest> avoid;
};
Result<std::unique_ptr<WriteSession>> begin_session(Repository& repository, const WriteOptions& options,
                                                    const SessionInternals& internals);

}  // namespace holdfast::repo
