#include "source/postgres/kept_wal.h"

#include <algorithm>
#include <set>

namespace holdfast::postgres {

bool is_kept_by_server(uint32_t timeline, Lsn end, const std::vector<WalRange>& stored,
                       const std::optional<Lsn>& slot_restart) {
  const bool is_hole = std::none_of(stored.begin(), stored.end(), [&](const WalRange& range) {
    return range.timeline == timeline && range.from <= end && end < range.to;
  });
  return is_hole && slot_restart && *slot_restart <= end;
}

namespace {

// The stretch of one timeline's log that holds a position, and where the next one begins.
struct Stretch {
  Lsn to;
  std::optional<Lsn> next;
};

std::optional<Stretch> stretch_at(const std::vector<WalPiece>& pieces, uint32_t timeline, Lsn position) {
  std::optional<Stretch> found;
  for (const WalPiece& piece : pieces) {
    if (piece.timeline != timeline) continue;
    if (!found && piece.from <= position && position < piece.to)
      found = Stretch{piece.to, std::nullopt};
    else if (found && piece.from <= found->to)
      found->to = std::max(found->to, piece.to);
    else if (found)
      found->next = std::min(found->next.value_or(piece.from), piece.from);
  }
  return found;
}

}  // namespace

Lsn expired_until(const std::vector<WalPiece>& pieces, const std::vector<WalSpan>& bases, uint64_t segment_bytes) {
  Lsn newest, until;
  std::set<uint32_t> timelines;
  for (const WalSpan& base : bases) newest = std::max(newest, base.from);
  for (const WalPiece& piece : pieces) timelines.insert(piece.timeline);
  for (const WalSpan& base : bases) {
    for (const uint32_t timeline : timelines) {
      const auto stretch = stretch_at(pieces, timeline, base.from);
      if (!stretch || !stretch->next || *stretch->next > newest) continue;
      const bool ends_with_it = stretch->to >= base.to && stretch->to.value - base.to.value < segment_bytes;
      if (ends_with_it) until = std::max(until, *stretch->next);
    }
  }
  return until;
}

}  // namespace holdfast::postgres
