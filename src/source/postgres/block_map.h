#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "source/postgres/wal_reader.h"

namespace holdfast::postgres {

// Which blocks of main forks the records of one stored stretch of WAL refer to, and
// what is needed to join it with its neighbours. Relations are told apart by database
// and file number only: to take two of different tablespaces for one reads too much,
// never too little. README.md, "What the log says has changed"; docs/format.md.
struct BlockMap {
  struct Relation {
    uint32_t database = 0, relation = 0;
    std::optional<uint32_t> all_from;  // this block and all behind it may have changed
    std::vector<uint32_t> blocks;      // ascending; below all_from
    bool operator==(const Relation&) const = default;
  };
  // What is here of a record that lies across the edge of a segment.
  struct Edge {
    Bytes head;
    uint64_t bytes = 0;
    uint32_t crc = 0;
  };

  std::vector<Relation> relations;    // ascending by database and relation
  std::vector<uint32_t> databases;    // ascending; made or dropped: all of their files
  std::string untold;                 // not empty: something changed of which references don't tell
  int major = 0;                      // 0: no page was read
  std::optional<Edge> lead;           // of a record that ends here and began before the segment
  std::optional<Edge> tail;           // of the record that is not whole at the end
  std::optional<Lsn> tail_start;      // with tail
  std::optional<Lsn> first_previous;  // the link of the first record of the segment, if it begins here
  std::optional<Lsn> last_record;     // the newest record that ends here and began in the segment
};

// A map's bytes, in at most kMaxBytes: what has most blocks becomes "all of it" until they do.
constexpr size_t kMaxBlockMapBytes = 768u << 10;
Bytes encode_block_map(const BlockMap& map);
// kDamaged when the bytes are no map.
Result<BlockMap> decode_block_map(ByteView bytes);

// Collects what records refer to. Not thread-safe.
class BlockMapBuilder {
 public:
  // A whole record, or the beginning of one that is long enough to tell.
  void add(const WalRecordHeader& header, ByteView prefix, int major);
  // The map of what was added since the last time.
  BlockMap take();

 private:
  struct Reference {
    uint64_t relation = 0;  // database above, file number below
    uint32_t block = 0;
    auto operator<=>(const Reference&) const = default;
  };
  void add_storage_record(const WalRecordHeader& header, ByteView main);
  void add_all_from(uint32_t database, uint32_t relation, uint32_t block);
  void compact();

  std::vector<Reference> references_;
  std::unordered_map<uint64_t, uint32_t> all_from_;
  std::set<uint32_t> databases_;
  std::string untold_;
};

// The record whose beginning is `tail` and whose end is `lead`, added to `builder`
// once its CRC is proven; false when they are not the two ends of one record.
bool add_joined_record(const BlockMap::Edge& tail, const BlockMap::Edge& lead, int major, BlockMapBuilder& builder);

}  // namespace holdfast::postgres
