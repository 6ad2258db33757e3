#include "repo/pack.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "repo/block_codec.h"
#include "repo/object_names.h"

namespace holdfast::repo {

namespace {

constexpr size_t kChecksumBytes = 8;
constexpr size_t kRecordChecksumBytes = 4;
constexpr size_t kDirectoryEntryBytes = 16 + 4 + 4 + 4 + 1;

bool is_block_kind(uint8_t kind) {
  return kind >= static_cast<uint8_t>(BlockKind::kData) && kind <= static_cast<uint8_t>(BlockKind::kTreeRoot);
}

// Whether `bytes` end in the first digits of the SHA-256 of what precedes them.
bool checksum_holds(ByteView bytes, size_t checksum_bytes) {
  const crypto::Sha256Digest digest = crypto::sha256(bytes.first(bytes.size() - checksum_bytes));
  return std::equal(bytes.end() - checksum_bytes, bytes.end(), digest.begin());
}

void append_checksum(ByteWriter& writer, size_t checksum_bytes) {
  const crypto::Sha256Digest digest = crypto::sha256(writer.view());
  writer.raw(ByteView(digest).first(checksum_bytes));
}

Error damaged(std::string_view pack_name, std::string_view problem) {
  return make_error(ErrorCode::kDamaged, "pack {} is damaged: {}", pack_name, problem);
}

Error damaged_block(std::string_view pack_name, const BlockId* expected, std::string_view problem) {
  if (!expected) return make_error(ErrorCode::kDamaged, "pack {} is damaged: a block {}", pack_name, problem);
  return make_error(ErrorCode::kDamaged, "pack {} is damaged: block {} {}", pack_name, expected->hex(), problem);
}

// Header and seal of a record: what its plaintext is taken from.
Result<RecordHeader> check_record(ByteView record, const BlockId* expected, std::string_view pack_name) {
  auto header = parse_record_header(record);
  if (!header.ok()) return damaged_block(pack_name, expected, "has a broken header");
  if (header->sealed_length != record.size() - kRecordHeaderBytes || !is_block_kind(header->kind)) {
    return damaged_block(pack_name, expected, "is not where or what it should be");
  }
  return header;
}

Result<void> check_id(const KeySet& keys, const RecordHeader& header, ByteView plain, const BlockId* expected,
                      BlockId& id, std::string_view pack_name) {
  id = keys.id_of(static_cast<BlockKind>(header.kind), plain);
  if (expected && id != *expected) return damaged_block(pack_name, expected, "holds other bytes than its id says");
  return {};
}

bool open_content(const PackKey& pack, const RecordHeader& header, ByteView record, MutableByteView content) {
  return crypto::open(pack.key(), crypto::counter_nonce(header.ordinal),
                      {pack.associated_data(), record.first(kRecordHeaderBytes)}, record.subspan(kRecordHeaderBytes),
                      content);
}

// The plaintext of a checked record into `plain` of its raw length. `content` is
// where a compressed block is decrypted to.
Result<void> open_plain(const PackKey& pack, const RecordHeader& header, ByteView record, const BlockId* expected,
                        std::string_view pack_name, MutableByteView content, MutableByteView plain) {
  const bool compressed = header.flags & RecordHeader::kCompressed;
  if (!open_content(pack, header, record, compressed ? content : plain)) {
    return damaged_block(pack_name, expected, "does not open: its seal is broken");
  }
  if (!compressed) return {};
  auto expanded = expand(content, plain);
  if (!expanded.ok()) return damaged_block(pack_name, expected, expanded.error().message());
  return {};
}

Result<ObjectHeader> pack_type_checked(const ObjectHeader& header, std::string_view name) {
  if (header.type == ObjectType::kDataPack || header.type == ObjectType::kMetadataPack) return header;
  return damaged(name, "it is not a pack");
}

// The directory, given the footer record's bytes.
Result<std::vector<PackRecord>> open_directory(const KeySet& keys, const PackTrailer& trailer, ByteView footer,
                                               std::string_view name) {
  const PackKey pack(*TRY(keys.epoch_key(trailer.header.epoch)), trailer.header);
  const auto header = parse_record_header(footer);
  if (!header.ok() || header->kind != kFooterKind || header->ordinal != kFooterOrdinal ||
      header->sealed_length != footer.size() - kRecordHeaderBytes) {
    return damaged(name, "its footer has a broken header");
  }
  Bytes plain(header->sealed_length - crypto::kTagBytes);
  if (!open_content(pack, *header, footer, plain.mutable_view())) return damaged(name, "its footer does not open");
  auto records = decode_directory(plain.view(), trailer.footer_offset);
  if (!records.ok()) return damaged(name, records.error().message());
  return records;
}

}  // namespace

std::array<uint8_t, kRecordHeaderBytes> RecordHeader::encode() const {
  ByteWriter writer;
  writer.raw(as_bytes(kRecordMagic));
  writer.u32(ordinal);
  writer.u32(sealed_length);
  writer.u32(raw_length);
  writer.u8(kind);
  writer.u8(flags);
  writer.u16(0);
  append_checksum(writer, kRecordChecksumBytes);
  std::array<uint8_t, kRecordHeaderBytes> encoded;
  CHECK(writer.size() == encoded.size());
  std::copy(writer.view().begin(), writer.view().end(), encoded.begin());
  return encoded;
}

Result<RecordHeader> parse_record_header(ByteView bytes) {
  const auto bad = [](std::string_view why) {
    return make_error(ErrorCode::kInvalidData, "not a record header: {}", why);
  };
  ByteReader reader(bytes.first(std::min(bytes.size(), kRecordHeaderBytes)));
  if (as_text(TRY(reader.raw(kRecordMagic.size()))) != kRecordMagic) return bad("wrong magic");
  RecordHeader header;
  header.ordinal = TRY(reader.u32());
  header.sealed_length = TRY(reader.u32());
  header.raw_length = TRY(reader.u32());
  header.kind = TRY(reader.u8());
  header.flags = TRY(reader.u8());
  const uint16_t reserved = TRY(reader.u16());
  if (bytes.size() < kRecordHeaderBytes || !checksum_holds(bytes.first(kRecordHeaderBytes), kRecordChecksumBytes)) {
    return bad("wrong checksum");
  }
  const bool footer = header.kind == kFooterKind;
  if (!footer && !is_block_kind(header.kind)) return bad("unknown kind");
  if ((header.flags & ~RecordHeader::kCompressed) || reserved) return bad("unknown flags");
  if (header.sealed_length < crypto::kTagBytes || header.sealed_length > kMaxPackBytes) return bad("impossible length");
  if (!footer && header.raw_length > WriteSession::kMaxBlockBytes) return bad("impossible raw length");
  const bool compressed = header.flags & RecordHeader::kCompressed;
  if (!compressed && header.raw_length != header.sealed_length - crypto::kTagBytes) return bad("lengths disagree");
  if (compressed && header.sealed_length - crypto::kTagBytes >= header.raw_length) return bad("lengths disagree");
  if (footer != (header.ordinal == kFooterOrdinal)) return bad("impossible ordinal");
  return header;
}

PackKey::PackKey(const crypto::Key& epoch_key, const ObjectHeader& header)
    : header_(header),
      encoded_(header.encode()),
      key_(crypto::hkdf(epoch_key, header.salt, object_purpose(header.type))) {}

Bytes encode_pack_header(const ObjectHeader& header) {
  ByteWriter writer;
  writer.raw(header.encode());
  append_checksum(writer, kChecksumBytes);
  return writer.take();
}

Bytes encode_pack_trailer(const PackTrailer& trailer) {
  ByteWriter writer;
  writer.raw(encode_pack_header(trailer.header).view());
  writer.u32(trailer.footer_offset);
  writer.u32(trailer.footer_length);
  append_checksum(writer, kChecksumBytes);
  CHECK(writer.size() == kPackTrailerBytes);
  return writer.take();
}

Result<ObjectHeader> parse_pack_header(ByteView first, ByteView last, std::string_view name) {
  for (const ByteView copy : {first, last}) {
    if (copy.size() < kPackHeaderBytes || !checksum_holds(copy.first(kPackHeaderBytes), kChecksumBytes)) continue;
    const ObjectHeader header = TRY(parse_any_object_header(copy, name));
    return pack_type_checked(header, name);
  }
  return damaged(name, "both copies of its header are broken");
}

Result<PackTrailer> parse_pack_trailer(ByteView last, uint64_t pack_size, std::string_view name) {
  if (pack_size > kMaxPackBytes) return damaged(name, "it is larger than a pack may be");
  if (last.size() != kPackTrailerBytes || pack_size < kPackHeaderBytes + kPackTrailerBytes ||
      !checksum_holds(last, kChecksumBytes)) {
    return damaged(name, "its trailer is broken");
  }
  PackTrailer trailer;
  const ObjectHeader header = TRY(parse_any_object_header(last, name));
  trailer.header = TRY(pack_type_checked(header, name));
  ByteReader reader(last.subspan(kPackHeaderBytes));
  trailer.footer_offset = TRY(reader.u32());
  trailer.footer_length = TRY(reader.u32());
  if (trailer.footer_offset < kPackHeaderBytes || trailer.footer_length < kRecordHeaderBytes + crypto::kTagBytes ||
      uint64_t{trailer.footer_offset} + trailer.footer_length != pack_size - kPackTrailerBytes) {
    return damaged(name, "its trailer does not fit its size");
  }
  return trailer;
}

Bytes encode_directory(std::span<const PackRecord> records) {
  ByteWriter writer;
  writer.u32(static_cast<uint32_t>(records.size()));
  for (const PackRecord& record : records) {
    writer.raw(record.id.bytes);
    writer.u32(record.offset);
    writer.u32(record.length);
    writer.u32(record.raw_length);
    writer.u8(static_cast<uint8_t>(record.kind));
  }
  return writer.take();
}

Result<std::vector<PackRecord>> decode_directory(ByteView plain, uint64_t footer_offset) {
  const auto bad = [] { return make_error(ErrorCode::kInvalidData, "its footer makes no sense"); };
  ByteReader reader(plain);
  const uint32_t count = TRY(reader.u32());
  if (count > kMaxPackRecords || reader.remaining() != count * kDirectoryEntryBytes) return bad();
  std::vector<PackRecord> records(count);
  uint64_t previous_end = kPackHeaderBytes;
  for (PackRecord& record : records) {
    const ByteView id = TRY(reader.raw(record.id.bytes.size()));
    std::copy(id.begin(), id.end(), record.id.bytes.begin());
    record.offset = TRY(reader.u32());
    record.length = TRY(reader.u32());
    record.raw_length = TRY(reader.u32());
    const uint8_t kind = TRY(reader.u8());
    const uint64_t end = uint64_t{record.offset} + record.length;
    if (!is_block_kind(kind) || record.offset < previous_end ||
        record.length < kRecordHeaderBytes + crypto::kTagBytes || end > footer_offset ||
        record.raw_length > WriteSession::kMaxBlockBytes) {
      return bad();
    }
    record.kind = static_cast<BlockKind>(kind);
    previous_end = end;
  }
  return records;
}

Result<std::vector<PackRecord>> read_directory(const KeySet& keys, ByteView pack, std::string_view name) {
  const ByteView last = pack.last(std::min(pack.size(), kPackTrailerBytes));
  const PackTrailer trailer = TRY(parse_pack_trailer(last, pack.size(), name));
  return open_directory(keys, trailer, pack.subspan(trailer.footer_offset, trailer.footer_length), name);
}

Result<std::vector<PackRecord>> read_directory(store::ObjectStore& store, const KeySet& keys,
                                               const ObjectDigest& digest, uint64_t size_bytes) {
  const std::string name = pack_name(digest);
  if (size_bytes < kPackHeaderBytes + kPackTrailerBytes) return damaged(name, "it is cut short");
  const Bytes last = TRY(store.read(name, size_bytes - kPackTrailerBytes, kPackTrailerBytes));
  const PackTrailer trailer = TRY(parse_pack_trailer(last.view(), size_bytes, name));
  const Bytes footer = TRY(store.read(name, trailer.footer_offset, trailer.footer_length));
  return open_directory(keys, trailer, footer.view(), name);
}

Result<OpenedRecord> open_record(const KeySet& keys, const PackKey& pack, ByteView record, const BlockId* expected,
                                 std::string_view pack_name) {
  OpenedRecord opened;
  opened.header = TRY(check_record(record, expected, pack_name));
  const bool compressed = opened.header.flags & RecordHeader::kCompressed;
  Bytes content(compressed ? opened.header.sealed_length - crypto::kTagBytes : 0);
  opened.plain = Bytes(opened.header.raw_length);
  TRY(open_plain(pack, opened.header, record, expected, pack_name, content.mutable_view(),
                 opened.plain.mutable_view()));
  TRY(check_id(keys, opened.header, opened.plain.view(), expected, opened.id, pack_name));
  return opened;
}

Result<void> open_record_into(const KeySet& keys, const PackKey& pack, MutableByteView record, const BlockId& expected,
                              std::string_view pack_name, MutableByteView out) {
  const RecordHeader header = TRY(check_record(record, &expected, pack_name));
  if (header.raw_length != out.size()) {
    return make_error(ErrorCode::kDamaged, "block {} has {} bytes where {} were expected", expected.hex(),
                      header.raw_length, out.size());
  }
  const MutableByteView content = record.subspan(kRecordHeaderBytes, header.sealed_length - crypto::kTagBytes);
  TRY(open_plain(pack, header, record, &expected, pack_name, content, out));
  BlockId id;
  return check_id(keys, header, out, &expected, id, pack_name);
}

void seal_record(const PackKey& pack, const RecordHeader& header, ByteView content, MutableByteView out) {
  const auto encoded = header.encode();
  CHECK(header.sealed_length == content.size() + crypto::kTagBytes);
  std::copy(encoded.begin(), encoded.end(), out.begin());
  crypto::seal(pack.key(), crypto::counter_nonce(header.ordinal), {pack.associated_data(), encoded}, content,
               out.subspan(kRecordHeaderBytes));
}

}  // namespace holdfast::repo
