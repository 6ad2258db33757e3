#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "source/redis/command_log.h"
#include "source/redis/frame_codec.h"

namespace holdfast::redis {

// What is stored of one component's log, by the names of its records: pure, no store.

struct Piece {
  uint64_t from = 0, to = 0;
  uint64_t stored_bytes = 0;
};

// A record by name, in the log stream of a history.
struct StreamRecord {
  std::string replid, name;
};

// One replication id.
struct History {
  std::vector<Piece> pieces;  // by `from`, then `to`
  std::vector<LogMark> marks;
  std::optional<LogLink> origin;  // what it continues
};

// A piece, and the part of it that is to be read.
struct Step {
  std::string replid;
  Piece piece;
  uint64_t begin = 0, end = 0;
};

// A way along a line, as far as nothing is missing.
struct Way {
  std::vector<Step> steps;
  Position end;                        // behind the last step
  std::optional<uint64_t> goes_on_at;  // beyond a gap that follows `end`, on the same line
};

class Histories {
 public:
  std::map<std::string, History> by_id;
  std::vector<LogLink> links;
  std::vector<LogGap> gaps;
  std::vector<LogAbsence> absences;

  void add_link(const LogLink& link);
  void sort_pieces();

  // The history that the byte at `position` is told in: an ancestor of its replid, where
  // the offset lies before the link.
  Position located(const Position& position) const;
  // How a line goes on from a located position: itself first. Every next one begins where
  // a link says.
  std::vector<Position> onward(const Position& located) const;
  bool leads_to(const Position& from, const Position& to) const;
  Way way(const Position& from) const;
  // Whether a range, mark, link or gap of the log touches the place.
  bool knows(const Position& position) const;
  // The latest instant that marks and gaps give for the place itself. That a link was seen
  // tells nothing: what the server did until then may still be to come.
  std::optional<Time> instant_at(const Position& position) const;

  // For each history from which offset on it is needed; UINT64_MAX: nothing of it is.
  // Histories that are not in it are left alone.
  std::map<std::string, uint64_t> needed_from(const std::vector<Position>& needed) const;

 private:
  const LogLink* next_link(const Position& position) const;
  std::vector<std::string> ancestors(const std::string& replid) const;
  uint64_t follow_pieces(Way& way, const std::string& replid, uint64_t at, uint64_t limit) const;
};

}  // namespace holdfast::redis
