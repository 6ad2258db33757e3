#include "source/postgres/wal_expiry.h"

#include <algorithm>
#include <map>

namespace holdfast::postgres {

namespace {

bool is_needed(Lsn segment, uint64_t segment_bytes, const WalNeed& needed) {
  const Lsn end{segment.value + segment_bytes};
  const auto overlaps = [&](const WalSpan& base) { return segment < base.to && base.from < end; };
  return end > needed.from || std::any_of(needed.bases.begin(), needed.bases.end(), overlaps);
}

}  // namespace

std::vector<std::string> expirable_records(const WalInventory& known, uint64_t segment_bytes, const WalNeed& needed) {
  std::vector<std::string> names;
  for (const auto& [timeline, segments] : known.timelines) {
    for (const auto& [start, segment] : segments) {
      const bool goes = !is_needed(start, segment_bytes, needed);
      if (goes && segment.whole) names.push_back(segment_name(timeline, start, segment_bytes));
      for (const auto& part : segment.parts)
        if (goes || segment.whole) names.push_back(part.record);
    }
  }
  for (const std::string& name : known.others) {
    const auto address = parse_segment_name(std::string_view(name).substr(0, 24), segment_bytes);
    if (address.ok() && !is_needed(address.value().start, segment_bytes, needed)) names.push_back(name);
  }
  // Of the marks at one position only the newest says anything.
  std::map<std::pair<uint32_t, Lsn>, Time> newest;
  for (const WalMark& mark : known.marks) {
    Time& time = newest[{mark.timeline, mark.lsn}];
    time = std::max(time, mark.time);
  }
  for (const WalMark& mark : known.marks)
    if (mark.lsn < needed.from || mark.time < newest[{mark.timeline, mark.lsn}]) names.push_back(mark_name(mark));
  return names;
}

}  // namespace holdfast::postgres
