#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/encoding.h"
#include "base/result.h"
#include "base/time.h"
#include "source/redis/command_log.h"

namespace holdfast::redis {

// The bytes of log records (docs/redis.md, "Log records").

// The body of a record: frames, each {received, microseconds, i64 | offset u64 |
// length u32 | bytes}, that follow each other.
class FrameWriter {
 public:
  void begin(uint64_t offset) {
    out_.clear();
    from_ = to_ = offset;
    frames_ = 0;
  }
  // The next bytes; instants must not go backward.
  void add(Time received, ByteView bytes);
  uint64_t from() const { return from_; }
  uint64_t to() const { return to_; }
  bool empty() const { return frames_ == 0; }
  size_t size() const { return out_.size(); }
  // What was added since begin(), as a record of `replid`; begins anew behind it.
  CommandLog::Record take(const std::string& replid);

 private:
  ByteWriter out_;
  uint64_t from_ = 0, to_ = 0;
  uint64_t frames_ = 0;
  Time first_, last_;
};

// Reads a body that is to hold [from, to); calls visit for each frame. kInvalidData when
// frames don't follow each other, go back in time, or don't add up to the range.
Result<void> for_each_frame(ByteView body, uint64_t from, uint64_t to,
                            const std::function<Result<void>(const Frame&)>& visit);

// What a record's header says, so that the body need not be read.
struct RecordHeader {
  uint64_t from = 0, to = 0;
  Time first, last;
};
Bytes encode_record_header(const RecordHeader& header);
Result<RecordHeader> decode_record_header(ByteView bytes);

// Microseconds, as they are stored; instants are cut to them before they are used.
Time cut_to_microseconds(Time time);

Bytes encode_link(const LogLink& link);
Result<LogLink> decode_link(ByteView bytes);
Bytes encode_gap(const LogGap& gap);
Result<LogGap> decode_gap(ByteView bytes);
Bytes encode_absence(const LogAbsence& absence);
Result<LogAbsence> decode_absence(ByteView bytes);

// Names of records, offsets and microseconds in 16 hex digits: "<from>-<to>" of frames,
// "mark-<offset>-<instant>", "gap-<offset>-<instant>", "away-<offset>-<instant>", "link-<offset>".
std::string record_name(uint64_t from, uint64_t to);
struct RecordSpan {
  uint64_t from = 0, to = 0;
};
std::optional<RecordSpan> parse_record_name(std::string_view name);
struct LogMark {
  uint64_t offset = 0;
  Time time;
};
std::string mark_name(uint64_t offset, Time time);
std::optional<LogMark> parse_mark_name(std::string_view name);

}  // namespace holdfast::redis
