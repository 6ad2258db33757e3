#include <algorithm>
#include <cstring>

#include "crypto/aead.h"
#include "repo/pack.h"

// Reading a pack in whatever state it is. The footer is the short way; where it is
// gone, records are found by their headers, each of which carries a magic, its
// ordinal (hence its nonce) and a checksum. A false find costs an attempt to open
// it, so that the attempts are limited: a pack made to deceive can't cost more than
// a few times its size.

namespace holdfast::repo {

namespace {

constexpr size_t kAttemptFactor = 4;

// Each record that the footer lists, opened.
PackScan scan_by_directory(const KeySet& keys, const PackKey& key, ByteView pack,
                           const std::vector<PackRecord>& directory, std::string_view name) {
  PackScan scan;
  for (const PackRecord& record : directory) {
    const auto opened = open_record(keys, key, pack.subspan(record.offset, record.length), &record.id, name);
    if (opened.ok())
      scan.records.push_back(record);
    else
      scan.damage.push_back({record.id, record.offset, record.length, opened.error().message()});
  }
  return scan;
}

// Says of every stretch between the records that it holds nothing readable.
void report_gaps(PackScan& scan, size_t pack_size) {
  uint64_t end = kPackHeaderBytes;
  const auto report = [&](uint64_t from, uint64_t to) {
    if (to > from) scan.damage.push_back({std::nullopt, from, to - from, "no block can be read there"});
  };
  for (const PackRecord& record : scan.records) {
    report(end, record.offset);
    end = uint64_t{record.offset} + record.length;
  }
  report(end, pack_size);
}

PackScan scan_by_headers(const KeySet& keys, const PackKey& key, ByteView pack, std::string_view name) {
  PackScan scan;
  size_t attempts_left_bytes = kAttemptFactor * pack.size();
  size_t end = 0;
  for (const auto& [offset, header] : find_record_headers(pack)) {
    const size_t length = kRecordHeaderBytes + header.sealed_length;
    if (offset < end || header.kind == kFooterKind) continue;
    if (length > attempts_left_bytes) break;
    attempts_left_bytes -= length;
    const auto opened = open_record(keys, key, pack.subspan(offset, length), nullptr, name);
    if (!opened.ok()) continue;
    scan.records.push_back(
        {opened->id, offset, static_cast<uint32_t>(length), header.raw_length, static_cast<BlockKind>(header.kind)});
    end = offset + length;
  }
  report_gaps(scan, pack.size());
  return scan;
}

}  // namespace

std::vector<std::pair<uint32_t, RecordHeader>> find_record_headers(ByteView pack) {
  std::vector<std::pair<uint32_t, RecordHeader>> found;
  if (pack.size() > kMaxPackBytes) return found;
  size_t at = 0;
  while (at + kRecordHeaderBytes + crypto::kTagBytes <= pack.size() && found.size() < kMaxPackRecords) {
    const void* const next = ::memmem(pack.data() + at, pack.size() - at, kRecordMagic.data(), kRecordMagic.size());
    if (!next) break;
    at = static_cast<size_t>(static_cast<const uint8_t*>(next) - pack.data());
    const auto header = parse_record_header(pack.subspan(at));
    if (header.ok() && header->sealed_length <= pack.size() - at - kRecordHeaderBytes) {
      found.emplace_back(static_cast<uint32_t>(at), *header);
    }
    at++;
  }
  return found;
}

Result<PackScan> scan_pack(const KeySet& keys, ByteView pack, std::string_view name) {
  const ByteView last = pack.last(std::min(pack.size(), kPackTrailerBytes));
  const ObjectHeader header = TRY(parse_pack_header(pack, last, name));
  const PackKey key(*TRY(keys.epoch_key(header.epoch)), header);
  const auto directory = read_directory(keys, pack, name);
  if (directory.ok()) return scan_by_directory(keys, key, pack, *directory, name);
  PackScan scan = scan_by_headers(keys, key, pack, name);
  scan.damage.insert(scan.damage.begin(), {std::nullopt, 0, 0, directory.error().message()});
  return scan;
}

}  // namespace holdfast::repo
