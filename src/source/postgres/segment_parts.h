#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "source/postgres/wal_inventory.h"

namespace holdfast::postgres {

// What the parts of a segment hold from its beginning on.
struct SegmentBeginning {
  Bytes content;
  std::optional<Error> damage;  // why that is not all that they held
};

// The gapless beginning of the segment `name`, from its parts. Where parts overlap (two receivers
// have run, or one has received again what was damaged) they must agree (kMismatch); where one
// can't be read others may hold the same. `get` reads a record: empty when there is none.
Result<SegmentBeginning> beginning_of_parts(
    const std::string& name, WalInventory::Segment segment, uint64_t segment_bytes,
    const std::function<Result<std::optional<Bytes>>(const std::string& record)>& get);

}  // namespace holdfast::postgres
