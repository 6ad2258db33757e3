#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "source/postgres/block_map.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::postgres {

// The blocks of main forks that a stretch of the log refers to: everything else in
// them is, at its end, as a copy taken at its beginning has it. Takes 64 bytes for
// each touched region. Reading it is thread-safe.
class ChangedBlocks {
 public:
  static constexpr uint32_t kRegionPages = 512;  // 4 MiB, as captures cut files
  using Pages = std::bitset<kRegionPages>;

  // kUnsupported: more has changed than can be kept track of, or references don't tell all.
  Result<void> add(const BlockMap& map);
  // Of the region whose first page is `first_block` of the relation, a multiple of kRegionPages.
  Pages region(uint32_t database, uint32_t relation, uint32_t first_block) const;
  size_t touched_regions() const { return regions_.size(); }

 private:
  struct Place {
    uint64_t relation = 0;  // database above, file number below
    uint32_t region = 0;
    bool operator==(const Place&) const = default;
  };
  struct Hash {
    size_t operator()(const Place& place) const;
  };
  std::unordered_map<Place, Pages, Hash> regions_;
  std::unordered_map<uint64_t, uint32_t> all_from_;
  std::unordered_set<uint32_t> databases_;
};

// A stretch of one timeline's log.
struct LogStretch {
  uint32_t timeline = 0;
  Lsn from, to;                // positions where records begin
  std::string data_directory;  // of the server, whose pg_wal holds the end of it
};

// What [from, to) of the log refers to, from the archive's maps, from the archived log
// itself where it has none, and from pg_wal where the archive has nothing. Proves that
// all of it is one log without a gap, and the server's own. The error says why that
// can't be known; it is no failure of anything.
Result<ChangedBlocks> read_changes(source::World& world, WalArchive& archive, const LogStretch& stretch);

}  // namespace holdfast::postgres
