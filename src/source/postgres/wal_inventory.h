#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// The names of a WAL log's records, understood. Names: README.md, "Records".
struct WalInventory {
  struct Part {
    uint64_t from = 0, to = 0;  // offsets in the segment
    std::string record;
  };
  struct Segment {
    bool whole = false;
    std::vector<Part> parts;  // by offset, longest first among equals

    // The parts that together are the segment's gapless beginning.
    std::vector<Part> gapless() const;
  };

  std::map<uint32_t, std::map<Lsn, Segment>> timelines;  // segments by their first position
  std::vector<WalMark> marks;
  std::set<uint32_t> histories;
  std::vector<std::string> others;  // .backup and .partial files

  // Names that are none of ours are left out.
  static WalInventory of(const std::vector<std::string>& names, uint64_t segment_bytes);
  // Stretches without a gap; commit times and marks are not filled in.
  std::vector<WalRange> ranges(uint64_t segment_bytes) const;
};

// Empty when the ranges have all of the span along the path, else one line for each gap.
std::vector<std::string> gaps_along(const std::vector<TimelinePiece>& path, const std::vector<WalRange>& ranges,
                                    const WalSpan& span, uint64_t segment_bytes);

std::string part_name(const std::string& segment, uint64_t from, uint64_t to);
std::string mark_name(const WalMark& mark);

}  // namespace holdfast::postgres
