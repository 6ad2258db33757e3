#pragma once

#include "base/result.h"
#include "repo/access.h"

namespace holdfast::repo {

// Which share of the objects a check reads: objects fall into 100 buckets by digest;
// each check takes the next `percent` buckets, and leaves an object `checks/<time>`
// that says where it ended. So all is read over time, however often checks run.
class ReadShare {
 public:
  // Begins where the last finished check ended.
  static Result<ReadShare> next(RepositoryAccess& repository, int percent);
  bool takes(const ObjectDigest& digest) const;
  // Of an object whose name is not a digest.
  bool takes(const std::string& name) const;
  // Remembers that this share was read. A store that can't be written to is no error.
  Result<void> finish(RepositoryAccess& repository) const;

 private:
  int begin_ = 0;
  int count_ = 0;
  std::vector<std::string> older_;  // objects of checks before
};

}  // namespace holdfast::repo
