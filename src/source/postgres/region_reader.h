#pragma once

#include <vector>

#include "base/bytes.h"
#include "repo/repository.h"
#include "repo/tree.h"

namespace holdfast::postgres {

// Puts a stretch of a file together from its extents. Many extents of a region
// lie in the same few blocks, mostly at the place in the block that they have in
// the file: such a block is decoded straight into the region, and what has
// changed since is laid over it. Only blocks of scattered pages go through the
// repository's cache. Thread-safe.
class RegionReader {
 public:
  explicit RegionReader(repo::Repository& repository) : repository_(repository) {}
  // `out` has as many bytes as the extents together; holes become zeros.
  Result<void> read(const std::vector<repo::Extent>& extents, MutableByteView out);

 private:
  repo::Repository& repository_;
};

}  // namespace holdfast::postgres
