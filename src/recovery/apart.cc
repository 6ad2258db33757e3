#include "recovery/apart.h"

#include "base/places.h"

namespace holdfast::recovery {

Result<void> check_apart(FileSystem& fs, const std::string& directory, bool whole, const std::string& repository) {
  if (repository.empty()) return {};
  constexpr const char* kHint = "restore to a directory apart from the repository with --to DIR";
  if (lies_in(fs, directory, repository))
    return make_error(ErrorCode::kRefused, "the target {} lies in the repository at {}", directory, repository)
        .with_hint(kHint);
  if (whole && lies_in(fs, repository, directory))
    return make_error(ErrorCode::kRefused, "the repository at {} lies in the target {}", repository, directory)
        .with_hint(kHint);
  return {};
}

}  // namespace holdfast::recovery
