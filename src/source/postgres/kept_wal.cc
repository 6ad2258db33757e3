#include "source/postgres/kept_wal.h"

#include <algorithm>

namespace holdfast::postgres {

bool is_kept_by_server(uint32_t timeline, Lsn end, const std::vector<WalRange>& stored,
                       const std::optional<Lsn>& slot_restart) {
  const bool is_hole = std::none_of(stored.begin(), stored.end(), [&](const WalRange& range) {
    return range.timeline == timeline && range.from <= end && end < range.to;
  });
  return is_hole && slot_restart && *slot_restart <= end;
}

Lsn expired_until(const std::vector<WalRange>& stored, const std::vector<WalSpan>& bases, uint64_t segment_bytes) {
  Lsn newest, until;
  for (const WalSpan& base : bases) newest = std::max(newest, base.from);
  for (size_t i = 0; i + 1 < stored.size(); i++) {
    const WalRange &range = stored[i], &next = stored[i + 1];
    if (next.timeline != range.timeline || next.from > newest) continue;
    const bool ends_with_one = std::any_of(bases.begin(), bases.end(), [&](const WalSpan& base) {
      return range.from <= base.from && base.to <= range.to && range.to.value - base.to.value < segment_bytes;
    });
    if (ends_with_one) until = std::max(until, next.from);
  }
  return until;
}

}  // namespace holdfast::postgres
