#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "source/postgres/block_map.h"
#include "source/postgres/wal_reader.h"

namespace holdfast::postgres {

// What one stored stretch of WAL (a segment or a part of one) holds, kept in the
// sealed header of its log record, so that recovery targets are found without
// reading the WAL itself. Fields and their JSON names: README.md.
struct WalSummary {
  Lsn from, to;  // what is stored
  int major = 0;
  std::optional<Lsn> last_record;  // start of the newest record that ends here
  // Of the first record that begins in the segment, if it begins here: the one before it. Not
  // known of WAL that was stored before summaries had it.
  std::optional<Lsn> first_previous;
  Lsn last_end;  // the end of it, or `from`
  uint64_t commits = 0;
  std::optional<Time> first_commit, last_commit;
  std::optional<Time> latest;                // the largest time of a commit or abort: what a time target stops at
  std::optional<uint32_t> min_xid, max_xid;  // of commits and aborts, as numbers
  struct RestorePoint {
    std::string name;
    Lsn start, end;
    Time time;
  };
  std::vector<RestorePoint> restore_points;
  bool restore_points_complete = true;  // false: too many to list
  struct Tablespace {
    uint32_t oid = 0;
    std::string location;
    Lsn start;
  };
  std::vector<Tablespace> tablespaces;  // that are made here
  bool tablespaces_complete = true;     // false: too many to list, or not looked for
  std::optional<WalFault> fault;        // reading stopped here
  std::optional<Lsn> zeros_at;          // the log ends here, before `to`
  // A record that lies across segments belongs to no single one of them: what is
  // here of its end (lead) and of its beginning (tail), to be joined by the reader.
  std::optional<Lsn> lead_end;
  Bytes lead;  // empty with lead_end set: too long to keep
  std::optional<Lsn> tail_start;
  Bytes tail;  // empty with tail_start set: no event

  void add(const WalEvent& event);
  WalSummary clone() const;
};

// The header of a log record: the summary as JSON, then, behind a zero, the map of the
// blocks that it refers to (docs/format.md, "WAL").
Bytes encode_summary(const WalSummary& summary, const BlockMap* map = nullptr);
// kDamaged when the bytes are no summary.
Result<WalSummary> decode_summary(ByteView header);
// Empty when the record was stored without a map.
Result<std::optional<BlockMap>> decode_map_of(ByteView header);

// The event of a record whose beginning is the tail of one summary and whose end is
// the lead of the next; empty when there is none. kUnsupported: one of them was too
// long to keep, so the WAL itself has to be read.
Result<std::optional<WalEvent>> join_edges(const WalSummary& before, const WalSummary& after);

// Summarises a segment that comes in parts, one summary and one map for each part.
class SegmentScanner {
 public:
  SegmentScanner(Lsn segment, uint64_t segment_bytes);
  // The summary of `content`, which lies at position().
  WalSummary scan(ByteView content);
  // The map of what was scanned since the last time. Where reading stopped short,
  // it says so: nothing is known of what lies behind.
  BlockMap take_map();
  Lsn position() const { return reader_.position(); }

 private:
  WalSummary current_;
  BlockMapBuilder blocks_;
  bool told_lead_ = false, told_first_ = false;
  WalReader reader_;
};

}  // namespace holdfast::postgres
