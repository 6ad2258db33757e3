#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// WAL as PostgreSQL 13 to 18 write it on little-endian machines.

constexpr size_t kWalShortHeaderBytes = 24;
constexpr size_t kWalLongHeaderBytes = 40;
constexpr size_t kWalRecordHeaderBytes = 24;
constexpr uint64_t kMinSegmentBytes = 1u << 20;
constexpr uint64_t kMaxSegmentBytes = 1u << 30;

// The header that begins every page; the first page of a segment has the long form.
struct WalPageHeader {
  static constexpr uint16_t kContinuation = 0x1;  // a record goes on here
  static constexpr uint16_t kLong = 0x2;
  static constexpr uint16_t kOverwrittenRecord = 0x8;  // the record before was never finished

  uint16_t magic = 0;
  uint16_t flags = 0;
  uint32_t timeline = 0;
  Lsn address;
  uint32_t remaining_bytes = 0;  // of the record that goes on here
  uint64_t system_id = 0;        // these three only in the long form
  uint32_t segment_bytes = 0;
  uint32_t page_bytes = 0;

  bool is_long() const { return (flags & kLong) != 0; }
  size_t size() const { return is_long() ? kWalLongHeaderBytes : kWalShortHeaderBytes; }
};

// PostgreSQL's major version that writes this magic; 0: none that we know.
int major_of_wal_magic(uint16_t magic);

// kInvalidData: not a page header; kMismatch: of a server version we don't know.
Result<WalPageHeader> parse_wal_page_header(ByteView page);
// The same for the first page of a segment, whose header is long and plausible.
Result<WalPageHeader> parse_wal_segment_header(ByteView segment);

enum class WalEventKind : uint8_t {
  kCommit,
  kAbort,
  kRestorePoint,
  kCheckpoint,
  kEndOfRecovery,
  kBackupEnd,
  kTablespace
};

// What recovery can stop at, what tells of timelines, and what reaches outside of the
// data directory when it is replayed.
struct WalEvent {
  WalEventKind kind = WalEventKind::kCommit;
  Lsn start, end;    // of the record; end is aligned to 8 bytes
  Time time;         // commits, aborts, restore points, end of recovery; checkpoints (seconds)
  uint32_t xid = 0;  // commits and aborts; of the prepared transaction where it was one
  std::string name;  // of a restore point; of a tablespace that is made: where
  uint32_t oid = 0;  // of that tablespace
  uint32_t timeline = 0, previous_timeline = 0;  // checkpoints, end of recovery
  Lsn redo;                                      // checkpoints
};

struct WalRecordHeader {
  uint32_t total_bytes = 0;
  uint32_t xid = 0;
  Lsn previous;
  uint8_t info = 0;
  uint8_t manager = 0;
  uint32_t crc = 0;
};
WalRecordHeader parse_wal_record_header(const uint8_t* header);
bool wal_record_crc_matches(ByteView record);
// Whether the record may be an event, so that its bytes are worth keeping.
bool may_be_wal_event(const WalRecordHeader& header);
bool is_wal_switch(const WalRecordHeader& header);

// The event that a record (header and body, its CRC already proven; of a very long one the
// beginning is enough) is; empty when it is none or makes no sense. `end` is the position after it.
std::optional<WalEvent> decode_wal_event(ByteView record, int major, Lsn start, Lsn end);

// PostgreSQL counts microseconds from 2000-01-01.
Time time_of_postgres_microseconds(int64_t microseconds);
int64_t postgres_microseconds_of(Time time);

template <typename T>
T load_little_endian(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline Lsn align_record(Lsn lsn) { return Lsn{(lsn.value + 7) & ~uint64_t{7}}; }
inline Lsn segment_start(Lsn lsn, uint64_t segment_bytes) { return Lsn{lsn.value - lsn.value % segment_bytes}; }

}  // namespace holdfast::postgres
