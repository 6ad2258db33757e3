#include "source/postgres/control_file.h"

#include <bit>
#include <cstring>
#include <optional>

#include "source/postgres/crc32c.h"

namespace holdfast::postgres {
namespace {

// pg_control begins alike in all versions that we know. After the copy of the
// last checkpoint the layout shifts from version to version, but each holds a
// block of build constants that begins with a marker made for such use: the
// double 1234567.0 at an offset divisible by 8, right after the maximum
// alignment. The CRC stands behind the last field; where that is, is found by
// trying each place: a wrong place passes with a chance of 2^-32.
constexpr size_t kSystemId = 0, kControlVersion = 8, kCatalogVersion = 12, kState = 16;
constexpr size_t kCheckpoint = 32, kRedo = 40, kTimeline = 48;
constexpr size_t kSmallestCrcOffset = 200, kLargestCrcOffset = 508;
constexpr double kMarker = 1234567.0;

// Offsets from the marker.
constexpr size_t kPageBytes = 8, kRelationSegmentPages = 12, kWalPageBytes = 16, kSegmentBytes = 20;
constexpr size_t kChecksumVersion = 44, kConstantsEnd = 48;

template <typename T>
T read_at(ByteView bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::optional<size_t> find_crc(ByteView bytes) {
  uint32_t state = crc32c_update(kCrc32cStart, bytes.first(kSmallestCrcOffset));
  for (size_t i = kSmallestCrcOffset; i <= kLargestCrcOffset; i += 4) {
    if (read_at<uint32_t>(bytes, i) == crc32c_finish(state)) return i;
    state = crc32c_update(state, bytes.subspan(i, 4));
  }
  return std::nullopt;
}

std::optional<size_t> find_marker(ByteView bytes, size_t end) {
  for (size_t i = 104; i + kConstantsEnd <= end; i += 8) {
    if (std::bit_cast<uint64_t>(kMarker) == read_at<uint64_t>(bytes, i)) return i;
  }
  return std::nullopt;
}

bool is_power_of_two_within(uint32_t value, uint32_t low, uint32_t high) {
  return std::has_single_bit(value) && value >= low && value <= high;
}

}  // namespace

Result<ControlFile> parse_control_file(ByteView bytes) {
  if (bytes.size() < kLargestCrcOffset + 4) {
    return make_error(ErrorCode::kInvalidData, "pg_control is too short: {} bytes", bytes.size());
  }
  const auto crc_offset = find_crc(bytes);
  if (!crc_offset) return make_error(ErrorCode::kInvalidData, "pg_control fails its CRC: it is torn or damaged");
  ControlFile control;
  control.control_version = read_at<uint32_t>(bytes, kControlVersion);
  if (control.control_version < 1300 || control.control_version > 1800) {
    return make_error(ErrorCode::kUnsupported, "pg_control has version {}, which belongs to no server from 13 to 18",
                      control.control_version);
  }
  const auto marker = find_marker(bytes, *crc_offset);
  if (!marker) return make_error(ErrorCode::kUnsupported, "pg_control holds no build constants that holdfast knows");
  control.crc_offset = *crc_offset;
  control.system_id = read_at<uint64_t>(bytes, kSystemId);
  control.catalog_version = read_at<uint32_t>(bytes, kCatalogVersion);
  control.state = read_at<uint32_t>(bytes, kState);
  control.checkpoint = {read_at<uint64_t>(bytes, kCheckpoint)};
  control.redo = {read_at<uint64_t>(bytes, kRedo)};
  control.timeline = read_at<uint32_t>(bytes, kTimeline);
  control.page_bytes = read_at<uint32_t>(bytes, *marker + kPageBytes);
  control.relation_segment_pages = read_at<uint32_t>(bytes, *marker + kRelationSegmentPages);
  control.wal_page_bytes = read_at<uint32_t>(bytes, *marker + kWalPageBytes);
  control.segment_bytes = read_at<uint32_t>(bytes, *marker + kSegmentBytes);
  control.checksum_version = read_at<uint32_t>(bytes, *marker + kChecksumVersion);
  if (!is_power_of_two_within(control.page_bytes, 1024, 32768) ||
      !is_power_of_two_within(control.segment_bytes, 1 << 20, 1 << 30) || control.relation_segment_pages == 0) {
    return make_error(ErrorCode::kUnsupported,
                      "pg_control names page size {}, WAL segment size {}, relation segment of {} pages",
                      control.page_bytes, control.segment_bytes, control.relation_segment_pages);
  }
  return control;
}

Result<ControlFileRead> read_control_file(FileSystem& fs, Clock& clock, const std::string& data_directory,
                                          Duration patience) {
  const std::string path = join_path(data_directory, "global/pg_control");
  const Duration until = clock.monotonic() + patience;
  while (true) {
    ControlFileRead read;
    read.bytes = TRY(read_file(fs, path, kControlFileBytes));
    auto parsed = parse_control_file(read.bytes);
    if (parsed.ok()) {
      read.fields = parsed.value();
      return read;
    }
    if (parsed.error().code() != ErrorCode::kInvalidData || clock.monotonic() >= until) {
      return std::move(parsed).error().with_context(path);
    }
    clock.sleep(Duration::milliseconds(10));
  }
}

}  // namespace holdfast::postgres
