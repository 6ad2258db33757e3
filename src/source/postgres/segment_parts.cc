#include "source/postgres/segment_parts.h"

#include <algorithm>

namespace holdfast::postgres {

namespace {

using ReadRecord = std::function<Result<std::optional<Bytes>>(const std::string& record)>;

Result<Bytes> read_part(const WalInventory::Part& part, const ReadRecord& get) {
  auto body = TRY(get(part.record));
  if (!body || body->size() != part.to - part.from)
    return make_error(ErrorCode::kDamaged, "{} has {} bytes but its name says {}", part.record, body ? body->size() : 0,
                      part.to - part.from);
  return std::move(*body);
}

}  // namespace

Result<SegmentBeginning> beginning_of_parts(const std::string& name, WalInventory::Segment segment,
                                            uint64_t segment_bytes, const ReadRecord& get) {
  SegmentBeginning found{Bytes(segment_bytes), {}};
  uint64_t end = 0, damaged_to = 0;
  auto chosen = segment.gapless();
  for (size_t i = 0; i < chosen.size();) {
    const WalInventory::Part& part = chosen[i];
    auto body = read_part(part, get);
    if (!body.ok()) {
      if (body.error().code() != ErrorCode::kDamaged) return std::move(body).error();
      damaged_to = std::max(damaged_to, part.to);
      if (!found.damage) found.damage = std::move(body).error();
      std::erase_if(segment.parts, [&](const auto& other) { return other.record == part.record; });
      chosen = segment.gapless();  // up to here the same
      continue;
    }
    const uint64_t overlap = end - part.from;
    if (!equal(body->view(0, overlap), ByteView(found.content).subspan(part.from, overlap)))
      return make_error(ErrorCode::kMismatch, "the stored parts of WAL segment {} contradict each other in {}", name,
                        part.record)
          .with_hint("two servers have written to one archive: remove the parts of the one that is not wanted");
    std::copy(body->begin() + overlap, body->end(), found.content.begin() + end);
    end = part.to;
    i++;
  }
  found.content.resize(end);
  if (end >= damaged_to) found.damage.reset();
  return found;
}

}  // namespace holdfast::postgres
