#include "source/redis/histories.h"

#include <algorithm>
#include <set>

namespace holdfast::redis {

void Histories::add_link(const LogLink& link) {
  links.push_back(link);
  by_id[link.to].origin = link;
}

void Histories::sort_pieces() {
  for (auto& [replid, history] : by_id) {
    std::sort(history.pieces.begin(), history.pieces.end(),
              [](const Piece& a, const Piece& b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
  }
}

Position Histories::located(const Position& position) const {
  Position place = position;
  // Damaged or hostile records could link in a circle.
  for (size_t i = 0; i <= links.size(); i++) {
    const auto found = by_id.find(place.replid);
    if (found == by_id.end() || !found->second.origin || place.offset >= found->second.origin->offset) break;
    place.replid = found->second.origin->from;
  }
  return place;
}

// Of several links that leave a history the one that was seen last counts.
const LogLink* Histories::next_link(const Position& position) const {
  const LogLink* next = nullptr;
  for (const LogLink& link : links) {
    if (link.from != position.replid || link.offset < position.offset) continue;
    if (next == nullptr || link.seen > next->seen) next = &link;
  }
  return next;
}

std::vector<Position> Histories::onward(const Position& located) const {
  std::vector<Position> line = {located};
  while (line.size() <= links.size()) {
    const LogLink* next = next_link(line.back());
    if (next == nullptr) break;
    line.push_back({next->to, next->offset});
  }
  return line;
}

bool Histories::leads_to(const Position& from, const Position& to) const {
  const Position wanted = located(to);
  for (const Position& place : onward(located(from))) {
    if (place.replid == wanted.replid) return wanted.offset >= place.offset;
  }
  return false;
}

// Adds steps for [at, limit) of a history, as far as its pieces reach; returns how far. Of
// several that reach over a place the one that begins nearest before it is read: where one
// receiver followed and another caught up, that is the one that followed.
uint64_t Histories::follow_pieces(Way& way, const std::string& replid, uint64_t at, uint64_t limit) const {
  const auto found = by_id.find(replid);
  if (found == by_id.end()) return at;
  const std::vector<Piece>& pieces = found->second.pieces;
  std::vector<const Piece*> begun;  // that begin at or before `at`, and may reach over it
  size_t next = 0;
  while (at < limit) {
    while (next < pieces.size() && pieces[next].from <= at) {
      // Of those that begin alike the longest lies below the others.
      size_t end = next;
      while (end < pieces.size() && pieces[end].from == pieces[next].from) end++;
      for (size_t i = end; i-- > next;) begun.push_back(&pieces[i]);
      next = end;
    }
    while (!begun.empty() && begun.back()->to <= at) begun.pop_back();
    if (begun.empty()) break;
    const uint64_t end = std::min(begun.back()->to, limit);
    way.steps.push_back({replid, *begun.back(), at, end});
    at = end;
  }
  return at;
}

Way Histories::way(const Position& from) const {
  const std::vector<Position> line = onward(located(from));
  Way way;
  way.end = line.front();
  for (size_t i = 0; i < line.size(); i++) {
    const bool is_last = i + 1 == line.size();
    const uint64_t limit = is_last ? UINT64_MAX : line[i + 1].offset;
    way.end = line[i];
    way.end.offset = follow_pieces(way, line[i].replid, line[i].offset, limit);
    if (!is_last && way.end.offset < limit) {
      way.goes_on_at = limit;
      break;
    }
  }
  const auto history = by_id.find(way.end.replid);
  if (history == by_id.end()) return way;
  for (const Piece& piece : history->second.pieces) {
    if (piece.from > way.end.offset) way.goes_on_at = std::min(way.goes_on_at.value_or(UINT64_MAX), piece.from);
  }
  return way;
}

bool Histories::knows(const Position& position) const {
  const Position place = located(position);
  if (instant_at(place)) return true;
  const auto history = by_id.find(place.replid);
  if (history == by_id.end()) return next_link(place) != nullptr;
  if (history->second.origin && history->second.origin->offset == place.offset) return true;
  return std::any_of(history->second.pieces.begin(), history->second.pieces.end(),
                     [&](const Piece& piece) { return piece.from <= place.offset && place.offset <= piece.to; });
}

std::optional<Time> Histories::instant_at(const Position& position) const {
  std::optional<Time> latest;
  const auto note = [&](Time time) {
    if (!latest || time > *latest) latest = time;
  };
  const auto history = by_id.find(position.replid);
  if (history != by_id.end()) {
    for (const LogMark& mark : history->second.marks)
      if (mark.offset == position.offset) note(mark.time);
  }
  for (const LogGap& gap : gaps)
    if (gap.to == position) note(gap.to_instant);
  return latest;
}

std::vector<std::string> Histories::ancestors(const std::string& replid) const {
  std::vector<std::string> result;
  std::set<std::string> seen = {replid};
  for (auto at = by_id.find(replid); at != by_id.end() && at->second.origin; at = by_id.find(result.back())) {
    if (!seen.insert(at->second.origin->from).second) break;
    result.push_back(at->second.origin->from);
  }
  return result;
}

std::map<std::string, uint64_t> Histories::needed_from(const std::vector<Position>& needed) const {
  std::map<std::string, uint64_t> bounds;
  for (const Position& position : needed) {
    const std::vector<Position> line = onward(located(position));
    for (size_t i = 0; i < line.size(); i++) {
      const uint64_t from = i == 0 ? line[0].offset : 0;
      auto [bound, is_new] = bounds.try_emplace(line[i].replid, from);
      if (!is_new) bound->second = std::min(bound->second, from);
    }
  }
  std::set<std::string> unneeded;
  for (const auto& [replid, bound] : bounds) {
    for (const std::string& ancestor : ancestors(replid)) unneeded.insert(ancestor);
  }
  // A history that a gap has ended, and the ones it continues, get no new snapshot any more.
  if (!needed.empty()) {
    for (const LogGap& gap : gaps) {
      if (gap.from.replid == gap.to.replid) continue;
      unneeded.insert(gap.from.replid);
      for (const std::string& ancestor : ancestors(gap.from.replid)) unneeded.insert(ancestor);
    }
  }
  for (const std::string& replid : unneeded) bounds.try_emplace(replid, UINT64_MAX);
  return bounds;
}

}  // namespace holdfast::redis
