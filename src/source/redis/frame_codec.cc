#include "source/redis/frame_codec.h"

#include <charconv>

namespace holdfast::redis {

namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kMaxReasonBytes = 4096;

int64_t microseconds(Time time) { return time.ns / 1'000; }

Result<void> check_version(ByteReader& reader) {
  const uint8_t version = TRY(reader.u8());
  if (version == kVersion) return {};
  return make_error(ErrorCode::kNewerFormat, "a record of Redis's log has version {}, this program knows {}", version,
                    kVersion)
      .with_hint("use the holdfast that wrote it, or a newer one");
}

Result<Time> read_time(ByteReader& reader) {
  return Time::from_unix_microseconds(static_cast<int64_t>(TRY(reader.u64())));
}

Result<std::string> read_replid(ByteReader& reader) {
  const std::string_view text = TRY(reader.string(64));
  if (is_replid(text)) return std::string(text);
  return make_error(ErrorCode::kInvalidData, "a record of Redis's log names no replication id where one is due");
}

void write_time(ByteWriter& writer, Time time) { writer.u64(static_cast<uint64_t>(microseconds(time))); }

std::optional<uint64_t> parse_hex16(std::string_view text) {
  uint64_t value = 0;
  if (text.size() != 16) return std::nullopt;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Time cut_to_microseconds(Time time) { return Time::from_unix_microseconds(microseconds(time)); }

// ---- frames

void FrameWriter::add(Time received, ByteView bytes) {
  received = cut_to_microseconds(received);
  CHECK(!bytes.empty() && bytes.size() <= UINT32_MAX);
  CHECK(frames_ == 0 || received >= last_);
  if (frames_ == 0) first_ = received;
  last_ = received;
  frames_++;
  write_time(out_, received);
  out_.u64(to_);
  out_.u32(static_cast<uint32_t>(bytes.size()));
  out_.raw(bytes);
  to_ += bytes.size();
}

CommandLog::Record FrameWriter::take(const std::string& replid) {
  CommandLog::Record record{replid, from_, to_, first_, last_, out_.take()};
  out_ = ByteWriter();
  begin(to_);
  return record;
}

Result<void> for_each_frame(ByteView body, uint64_t from, uint64_t to,
                            const std::function<Result<void>(const Frame&)>& visit) {
  ByteReader reader(body);
  uint64_t at = from;
  std::optional<Time> last;
  while (reader.remaining() > 0) {
    Frame frame;
    frame.received = TRY(read_time(reader));
    frame.offset = TRY(reader.u64());
    frame.bytes = TRY(reader.raw(TRY(reader.u32())));
    if (frame.bytes.empty()) return make_error(ErrorCode::kInvalidData, "the frame at offset {} is empty", at);
    if (frame.offset != at)
      return make_error(ErrorCode::kInvalidData, "a frame at offset {} stands where {} is due", frame.offset, at);
    if (last && frame.received < *last)
      return make_error(ErrorCode::kInvalidData, "the frame at offset {} was received before the one in front of it",
                        frame.offset);
    last = frame.received;
    at += frame.bytes.size();
    if (at > to) return make_error(ErrorCode::kInvalidData, "the frames reach beyond offset {}, where they end", to);
    TRY(visit(frame));
  }
  if (at != to) return make_error(ErrorCode::kInvalidData, "the frames end at offset {} instead of {}", at, to);
  return {};
}

Bytes encode_record_header(const RecordHeader& header) {
  ByteWriter writer;
  writer.u8(kVersion);
  writer.u64(header.from);
  writer.u64(header.to);
  write_time(writer, header.first);
  write_time(writer, header.last);
  return writer.take();
}

Result<RecordHeader> decode_record_header(ByteView bytes) {
  ByteReader reader(bytes);
  TRY(check_version(reader));
  RecordHeader header;
  header.from = TRY(reader.u64());
  header.to = TRY(reader.u64());
  header.first = TRY(read_time(reader));
  header.last = TRY(read_time(reader));
  TRY(reader.end());
  if (header.to < header.from || header.last < header.first)
    return make_error(ErrorCode::kInvalidData, "the header of a record of Redis's log runs backward");
  return header;
}

// ---- what stands between them

Bytes encode_link(const LogLink& link) {
  ByteWriter writer;
  writer.u8(kVersion);
  writer.string(link.from);
  writer.string(link.to);
  writer.u64(link.offset);
  write_time(writer, link.seen);
  return writer.take();
}

Result<LogLink> decode_link(ByteView bytes) {
  ByteReader reader(bytes);
  TRY(check_version(reader));
  LogLink link;
  link.from = TRY(read_replid(reader));
  link.to = TRY(read_replid(reader));
  link.offset = TRY(reader.u64());
  link.seen = TRY(read_time(reader));
  TRY(reader.end());
  if (link.from == link.to)
    return make_error(ErrorCode::kInvalidData, "a link of Redis's log leads from {} to itself", link.from);
  return link;
}

Bytes encode_gap(const LogGap& gap) {
  ByteWriter writer;
  writer.u8(kVersion);
  writer.string(gap.from.replid);
  writer.u64(gap.from.offset);
  write_time(writer, gap.from_instant);
  writer.string(gap.to.replid);
  writer.u64(gap.to.offset);
  write_time(writer, gap.to_instant);
  writer.string(std::string_view(gap.reason).substr(0, kMaxReasonBytes));
  return writer.take();
}

Result<LogGap> decode_gap(ByteView bytes) {
  ByteReader reader(bytes);
  TRY(check_version(reader));
  LogGap gap;
  gap.from.replid = TRY(read_replid(reader));
  gap.from.offset = TRY(reader.u64());
  gap.from_instant = TRY(read_time(reader));
  gap.to.replid = TRY(read_replid(reader));
  gap.to.offset = TRY(reader.u64());
  gap.to_instant = TRY(read_time(reader));
  gap.reason = TRY(reader.string(kMaxReasonBytes));
  TRY(reader.end());
  return gap;
}

Bytes encode_absence(const LogAbsence& absence) {
  ByteWriter writer;
  writer.u8(kVersion);
  writer.string(absence.replid);
  writer.u64(absence.from);
  writer.u64(absence.to);
  write_time(writer, absence.from_instant);
  write_time(writer, absence.to_instant);
  return writer.take();
}

Result<LogAbsence> decode_absence(ByteView bytes) {
  ByteReader reader(bytes);
  TRY(check_version(reader));
  LogAbsence absence;
  absence.replid = TRY(read_replid(reader));
  absence.from = TRY(reader.u64());
  absence.to = TRY(reader.u64());
  absence.from_instant = TRY(read_time(reader));
  absence.to_instant = TRY(read_time(reader));
  TRY(reader.end());
  return absence;
}

// ---- names

std::string record_name(uint64_t from, uint64_t to) { return fmt::format("{:016x}-{:016x}", from, to); }

std::optional<RecordSpan> parse_record_name(std::string_view name) {
  if (name.size() != 33 || name[16] != '-') return std::nullopt;
  const auto from = parse_hex16(name.substr(0, 16)), to = parse_hex16(name.substr(17));
  if (!from || !to || *to <= *from) return std::nullopt;
  return RecordSpan{*from, *to};
}

std::string mark_name(uint64_t offset, Time time) {
  return fmt::format("mark-{:016x}-{:016x}", offset, static_cast<uint64_t>(microseconds(time)));
}

std::optional<LogMark> parse_mark_name(std::string_view name) {
  if (name.size() != 38 || !name.starts_with("mark-") || name[21] != '-') return std::nullopt;
  const auto offset = parse_hex16(name.substr(5, 16)), time = parse_hex16(name.substr(22));
  if (!offset || !time) return std::nullopt;
  return LogMark{*offset, Time::from_unix_microseconds(static_cast<int64_t>(*time))};
}

}  // namespace holdfast::redis
