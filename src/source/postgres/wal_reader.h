#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

// Where reading WAL had to stop, and why.
struct WalFault {
  Lsn at;
  std::string problem;
};

// Reads WAL as a stream of bytes, page by page and record by record, over the ends
// of pages and segments; proves each record's CRC and its link to the one before;
// tells of events. Never keeps more than one event's record (and of that at most
// kMaxKeptBytes), whatever is fed. After a fault, or the zeros that follow the
// last record of a segment that was never filled, the rest is skipped unread.
// Not thread-safe.
class WalReader {
 public:
  // Of a longer record that much is kept: the beginning of one tells when a transaction ended, and, of one that was
  // not prepared, which. A commit has 16 bytes for each of the catalog's entries that it invalidates.
  static constexpr size_t kMaxKeptBytes = 16u << 20;
  // Of a record that began before our first byte, or goes on behind our last, this much is kept.
  static constexpr size_t kMaxEdgeBytes = 8u << 10;

  using OnEvent = std::function<void(const WalEvent&)>;
  // Of each whole record its header and its first bytes (at most kWalRecordPrefixBytes,
  // the header among them), its CRC proven.
  using OnRecord = std::function<void(const WalRecordHeader&, ByteView prefix)>;
  // `start` is the beginning of a segment, where the first bytes fed lie.
  WalReader(Lsn start, uint64_t segment_bytes, OnEvent on_event, OnRecord on_record = nullptr);

  // The next bytes of the stream, from position() on.
  void feed(ByteView bytes);

  Lsn position() const { return position_; }
  int major() const { return major_; }             // 0 before the first page
  uint32_t timeline() const { return timeline_; }  // of the newest page
  const std::optional<WalFault>& fault() const { return fault_; }
  // Where zeros began instead of a record.
  const std::optional<Lsn>& zeros_at() const { return zeros_at_; }

  // The newest whole record: its start, and its end (aligned); empty before the first.
  std::optional<Lsn> last_record() const { return last_record_; }
  Lsn last_end() const { return last_end_; }
  uint64_t records() const { return records_; }

  // Where a record that began before our first byte ends, once that was read; its
  // bytes here, without page headers, unless they are more than kMaxEdgeBytes.
  const std::optional<Lsn>& lead_end() const { return lead_end_; }
  ByteView lead() const { return lead_.view(); }
  // What is here of a record that lies across the edge of what was fed.
  struct Edge {
    ByteView head;       // its first bytes here, at most kWalRecordPrefixBytes
    uint64_t bytes = 0;  // how many are here, without page headers
    uint32_t crc = 0;    // of a lead: of all of them, from state 0; of a tail: of the record's body
  };
  std::optional<Edge> lead_edge() const;  // of the record that lead_end() tells of
  std::optional<Edge> tail_edge() const;  // of the record that tail_start() tells of
  // The link of the first record whose header was read here.
  const std::optional<Lsn>& first_previous() const { return first_previous_; }

  // The record that is not whole yet: where it began, and at most kMaxEdgeBytes of
  // what is here of it, when it may be an event.
  std::optional<Lsn> tail_start() const;
  ByteView tail() const;

 private:
  enum class State { kLead, kPadding, kHeader, kBody, kSwitched, kStopped };

  size_t skip(size_t available);
  size_t take_page_header(ByteView bytes);
  void begin_page();
  size_t take_lead(ByteView bytes);
  size_t take_padding(size_t available);
  size_t take_header(ByteView bytes);
  size_t take_body(ByteView bytes);
  void begin_body();
  void finish_record();
  void stop(std::string problem);
  size_t left_in_page() const { return static_cast<size_t>(page_bytes_ - position_.value % page_bytes_); }

  const uint64_t segment_bytes_;
  const OnEvent on_event_;
  const OnRecord on_record_;
  Lsn position_;
  State state_ = State::kPadding;
  bool first_page_ = true;
  size_t page_bytes_ = 8192;
  int major_ = 0;
  uint32_t timeline_ = 0;

  uint8_t page_header_[kWalLongHeaderBytes];
  size_t page_header_size_ = 0;  // taken so far of the page's header
  bool in_page_header_ = true;

  uint8_t header_[kWalRecordHeaderBytes];
  size_t header_size_ = 0;
  WalRecordHeader record_;
  Lsn record_start_;
  size_t body_left_ = 0;
  uint32_t crc_ = 0;
  Bytes prefix_;
  std::optional<Lsn> first_previous_;
  bool keep_ = false;
  Bytes kept_;  // header and body of a record that may be an event

  size_t lead_left_ = 0;
  bool keep_lead_ = false;
  Bytes lead_, lead_prefix_;
  uint64_t lead_bytes_ = 0;
  uint32_t lead_crc_ = 0;
  std::optional<Lsn> lead_end_;

  std::optional<Lsn> last_record_;
  Lsn last_end_;
  uint64_t records_ = 0;
  std::optional<WalFault> fault_;
  std::optional<Lsn> zeros_at_;
};

}  // namespace holdfast::postgres
