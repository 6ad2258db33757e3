#include "source/postgres/wal_format.h"

#include <algorithm>
#include <bit>

#include "source/postgres/crc32c.h"
#include "source/postgres/wal_record.h"

namespace holdfast::postgres {

static_assert(std::endian::native == std::endian::little, "WAL is read as it lies in memory");

namespace {

constexpr uint8_t kXlogManager = 0, kXactManager = 1, kTablespaceManager = 5;
constexpr uint8_t kTablespaceCreate = 0x00;
constexpr int64_t kPostgresEpochSeconds = 946'684'800;

// The part of a record that belongs to its resource manager, after the block references; as much of it
// as is here.
std::optional<ByteView> main_data(ByteView record, uint32_t total_bytes, int major) {
  const auto parts = take_apart(record, std::max<uint64_t>(total_bytes, record.size()), major);
  if (!parts) return std::nullopt;
  const uint64_t before = std::max<uint64_t>(total_bytes, record.size()) - parts->main_bytes;
  if (before > record.size()) return std::nullopt;
  return record.subspan(before);
}

// The xid of a COMMIT PREPARED or ABORT PREPARED stands behind lists of varying length.
uint32_t prepared_xid(WalCursor& cursor, uint32_t xinfo, bool commit, int major) {
  constexpr uint32_t kDatabase = 1, kSubtransactions = 2, kRelations = 4, kInvalidations = 8, kTwoPhase = 16,
                     kDroppedStatistics = 256;
  if (xinfo & kDatabase) cursor.skip(8);
  if (xinfo & kSubtransactions) cursor.skip(uint64_t{cursor.take<uint32_t>()} * 4);
  if (xinfo & kRelations) cursor.skip(uint64_t{cursor.take<uint32_t>()} * 12);
  if (major >= 15 && (xinfo & kDroppedStatistics))
    cursor.skip(uint64_t{cursor.take<uint32_t>()} * (major >= 18 ? 16 : 12));
  if (commit && (xinfo & kInvalidations)) cursor.skip(uint64_t{cursor.take<uint32_t>()} * 16);
  return (xinfo & kTwoPhase) ? cursor.take<uint32_t>() : 0;
}

std::optional<WalEvent> decode_transaction(const WalRecordHeader& header, ByteView data, int major) {
  constexpr uint8_t kOperationMask = 0x70, kHasInfo = 0x80;
  constexpr uint8_t kCommit = 0x00, kAbort = 0x20, kCommitPrepared = 0x30, kAbortPrepared = 0x40;
  const uint8_t operation = header.info & kOperationMask;
  const bool commit = operation == kCommit || operation == kCommitPrepared;
  const bool prepared = operation == kCommitPrepared || operation == kAbortPrepared;
  if (!commit && operation != kAbort && operation != kAbortPrepared) return std::nullopt;
  WalCursor cursor(data);
  WalEvent event;
  event.kind = commit ? WalEventKind::kCommit : WalEventKind::kAbort;
  event.time = time_of_postgres_microseconds(cursor.take<int64_t>());
  event.xid = header.xid;
  if (!cursor.ok()) return std::nullopt;
  if (prepared && (header.info & kHasInfo)) {
    const auto xinfo = cursor.take<uint32_t>();
    event.xid = prepared_xid(cursor, xinfo, commit, major);
    if (!cursor.ok()) event.xid = 0;
  }
  return event;
}

std::optional<WalEvent> decode_xlog(const WalRecordHeader& header, ByteView data) {
  constexpr uint8_t kCheckpointShutdown = 0x00, kCheckpointOnline = 0x10, kBackupEnd = 0x50, kRestorePoint = 0x70,
                    kEndOfRecovery = 0x90;
  constexpr size_t kRestorePointNameBytes = 64, kCheckpointTimeOffset = 64;
  WalCursor cursor(data);
  WalEvent event;
  switch (header.info & 0xF0) {
    case kCheckpointShutdown:
    case kCheckpointOnline:
      if (data.size() < kCheckpointTimeOffset + 8) return std::nullopt;
      event.kind = WalEventKind::kCheckpoint;
      event.redo = Lsn{cursor.take<uint64_t>()};
      event.timeline = cursor.take<uint32_t>();
      event.previous_timeline = cursor.take<uint32_t>();
      event.time = Time::from_unix_seconds(load_little_endian<int64_t>(data.data() + kCheckpointTimeOffset));
      return event;
    case kBackupEnd:
      event.kind = WalEventKind::kBackupEnd;
      event.redo = Lsn{cursor.take<uint64_t>()};
      break;
    case kRestorePoint: {
      event.kind = WalEventKind::kRestorePoint;
      event.time = time_of_postgres_microseconds(cursor.take<int64_t>());
      if (cursor.remaining() < kRestorePointNameBytes) return std::nullopt;
      const std::string_view field = as_text(data.subspan(8, kRestorePointNameBytes));
      event.name = std::string(field.substr(0, field.find('\0')));
      return event;
    }
    case kEndOfRecovery:
      event.kind = WalEventKind::kEndOfRecovery;
      event.time = time_of_postgres_microseconds(cursor.take<int64_t>());
      event.timeline = cursor.take<uint32_t>();
      event.previous_timeline = cursor.take<uint32_t>();
      break;
    default: return std::nullopt;
  }
  if (!cursor.ok()) return std::nullopt;
  return event;
}

// Only the making of one tells a place; whatever else is done to a tablespace goes
// through the link in the data directory.
std::optional<WalEvent> decode_tablespace(const WalRecordHeader& header, ByteView data) {
  if ((header.info & 0xF0) != kTablespaceCreate || data.size() < sizeof(uint32_t)) return std::nullopt;
  WalEvent event;
  event.kind = WalEventKind::kTablespace;
  event.oid = load_little_endian<uint32_t>(data.data());
  const std::string_view place = as_text(data.subspan(sizeof(uint32_t)));
  event.name = std::string(place.substr(0, place.find('\0')));
  return event;
}

}  // namespace

int major_of_wal_magic(uint16_t magic) {
  switch (magic) {
    case 0xD106: return 13;
    case 0xD10D: return 14;
    case 0xD110: return 15;
    case 0xD113: return 16;
    case 0xD116: return 17;
    case 0xD118: return 18;
    default: return 0;
  }
}

Result<WalPageHeader> parse_wal_page_header(ByteView page) {
  if (page.size() < kWalShortHeaderBytes)
    return make_error(ErrorCode::kInvalidData, "a WAL page of {} bytes is too short for its header", page.size());
  const uint8_t* at = page.data();
  WalPageHeader header;
  header.magic = load_little_endian<uint16_t>(at);
  header.flags = load_little_endian<uint16_t>(at + 2);
  header.timeline = load_little_endian<uint32_t>(at + 4);
  header.address = Lsn{load_little_endian<uint64_t>(at + 8)};
  header.remaining_bytes = load_little_endian<uint32_t>(at + 16);
  if ((header.magic & 0xFF00) != 0xD100)
    return make_error(ErrorCode::kInvalidData, "the WAL page begins with {:04X}, which is no WAL page magic",
                      header.magic);
  if (major_of_wal_magic(header.magic) == 0)
    return make_error(ErrorCode::kMismatch,
                      "the WAL page has magic {:04X}, of a PostgreSQL version other than 13 to 18", header.magic)
        .with_hint("use a holdfast that knows this server's version");
  if (header.flags & ~0xF)
    return make_error(ErrorCode::kInvalidData, "the WAL page has unknown flags {:04X}", header.flags);
  if (!header.is_long()) return header;
  if (page.size() < kWalLongHeaderBytes)
    return make_error(ErrorCode::kInvalidData, "a WAL page of {} bytes is too short for its long header", page.size());
  header.system_id = load_little_endian<uint64_t>(at + 24);
  header.segment_bytes = load_little_endian<uint32_t>(at + 32);
  header.page_bytes = load_little_endian<uint32_t>(at + 36);
  return header;
}

Result<WalPageHeader> parse_wal_segment_header(ByteView segment) {
  const WalPageHeader header = TRY(parse_wal_page_header(segment));
  if (!header.is_long())
    return make_error(ErrorCode::kInvalidData, "the WAL segment begins without the long page header");
  if (!std::has_single_bit(header.segment_bytes) || header.segment_bytes < kMinSegmentBytes ||
      header.segment_bytes > kMaxSegmentBytes)
    return make_error(ErrorCode::kInvalidData, "the WAL segment claims an impossible segment size of {} bytes",
                      header.segment_bytes);
  if (!std::has_single_bit(header.page_bytes) || header.page_bytes < 1024 || header.page_bytes > 65536)
    return make_error(ErrorCode::kInvalidData, "the WAL segment claims an impossible page size of {} bytes",
                      header.page_bytes);
  if (header.address.value % header.segment_bytes != 0)
    return make_error(ErrorCode::kInvalidData, "the WAL segment claims to begin at {}, which is no segment's beginning",
                      header.address.text());
  return header;
}

WalRecordHeader parse_wal_record_header(const uint8_t* at) {
  WalRecordHeader header;
  header.total_bytes = load_little_endian<uint32_t>(at);
  header.xid = load_little_endian<uint32_t>(at + 4);
  header.previous = Lsn{load_little_endian<uint64_t>(at + 8)};
  header.info = at[16];
  header.manager = at[17];
  header.crc = load_little_endian<uint32_t>(at + 20);
  return header;
}

bool wal_record_crc_matches(ByteView record) {
  if (record.size() < kWalRecordHeaderBytes) return false;
  uint32_t state = crc32c_update(kCrc32cStart, record.subspan(kWalRecordHeaderBytes));
  state = crc32c_update(state, record.first(20));
  return crc32c_finish(state) == load_little_endian<uint32_t>(record.data() + 20);
}

bool may_be_wal_event(const WalRecordHeader& header) {
  constexpr uint8_t kFullPageForHint = 0xA0, kFullPage = 0xB0;
  if (header.manager == kXactManager) return true;
  const uint8_t operation = header.info & 0xF0;
  if (header.manager == kTablespaceManager) return operation == kTablespaceCreate;
  return header.manager == kXlogManager && operation != kFullPageForHint && operation != kFullPage;
}

bool is_wal_switch(const WalRecordHeader& header) {
  return header.manager == kXlogManager && (header.info & 0xF0) == 0x40;
}

std::optional<WalEvent> decode_wal_event(ByteView record, int major, Lsn start, Lsn end) {
  if (record.size() < kWalRecordHeaderBytes) return std::nullopt;
  const WalRecordHeader header = parse_wal_record_header(record.data());
  if (!may_be_wal_event(header)) return std::nullopt;
  const auto data = main_data(record, header.total_bytes, major);
  if (!data) return std::nullopt;
  auto event = header.manager == kXactManager         ? decode_transaction(header, *data, major)
               : header.manager == kTablespaceManager ? decode_tablespace(header, *data)
                                                      : decode_xlog(header, *data);
  if (event) {
    event->start = start;
    event->end = end;
  }
  return event;
}

Time time_of_postgres_microseconds(int64_t microseconds) {
  // Saturates: a damaged value must not overflow.
  if (microseconds > INT64_MAX - kPostgresEpochSeconds * 1'000'000) return Time{INT64_MAX};
  return Time::from_unix_microseconds(microseconds + kPostgresEpochSeconds * 1'000'000);
}

int64_t postgres_microseconds_of(Time time) { return time.ns / 1000 - kPostgresEpochSeconds * 1'000'000; }

}  // namespace holdfast::postgres
