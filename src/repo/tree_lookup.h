#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "repo/ids.h"
#include "repo/tree.h"

namespace holdfast::repo {

class Repository;

// Finds entries of a tree by path, without reading the tree from its beginning:
// pages say with which path each chunk begins. One chunk is kept decoded, so that
// neighbours cost no more than a search in memory. Not thread-safe; the
// repository must outlive it.
class TreeLookup {
 public:
  static Result<std::unique_ptr<TreeLookup>> open(Repository& repository, const BlockId& root);
  virtual ~TreeLookup() = default;

  // The first entry whose path is `path` or comes after it (compare_paths); null
  // when there is none. Valid until the next call.
  virtual Result<const Entry*> at_or_after(std::string_view path) = 0;
};

}  // namespace holdfast::repo
