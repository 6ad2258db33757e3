#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "repo/ids.h"
#include "repo/key_set.h"
#include "repo/repository.h"
#include "repo/sealed_object.h"

namespace holdfast::repo {

// Packs, docs/format.md "Packs":
//   object header (48) | checksum (8) | records... | footer record | trailer (72)
// A record is a header of 24 bytes, then the sealed block. The footer is a record
// of kind kFooterKind that lists the others. The trailer repeats the object header,
// so that damage to either end costs no block.

constexpr size_t kPackHeaderBytes = ObjectHeader::kBytes + 8;
constexpr size_t kPackTrailerBytes = kPackHeaderBytes + 16;
constexpr size_t kRecordHeaderBytes = 24;
constexpr size_t kMaxPackBytes = 64u << 20;  // a reader refuses more
constexpr std::string_view kRecordMagic = "HFRC";
constexpr uint8_t kFooterKind = 255;
constexpr uint32_t kFooterOrdinal = 0xFFFFFFFF;
constexpr size_t kMaxPackRecords = 1u << 20;

// One block in a pack.
struct PackRecord {
  BlockId id;
  uint32_t offset = 0;      // of its header in the pack
  uint32_t length = 0;      // header, ciphertext and tag
  uint32_t raw_length = 0;  // of the plaintext
  BlockKind kind = BlockKind::kData;
};

struct RecordHeader {
  static constexpr uint8_t kCompressed = 1;
  uint32_t ordinal = 0;        // the nonce
  uint32_t sealed_length = 0;  // ciphertext and tag
  uint32_t raw_length = 0;
  uint8_t kind = 0;  // BlockKind or kFooterKind
  uint8_t flags = 0;
  std::array<uint8_t, kRecordHeaderBytes> encode() const;
};

// Checks magic, checksum and limits; says nothing of the pack's size.
Result<RecordHeader> parse_record_header(ByteView bytes);

// What is known of a pack without its records: header and derived key.
class PackKey {
 public:
  PackKey(const crypto::Key& epoch_key, const ObjectHeader& header);
  const ObjectHeader& header() const { return header_; }
  ByteView associated_data() const { return encoded_; }
  const crypto::Key& key() const { return key_; }

 private:
  ObjectHeader header_;
  std::array<uint8_t, ObjectHeader::kBytes> encoded_;
  crypto::Key key_;
};

// The directory of a whole pack from its footer. kDamaged names the pack.
Result<std::vector<PackRecord>> read_directory(const KeySet& keys, ByteView pack, std::string_view name);
// The same from the store: reads the pack's end only.
Result<std::vector<PackRecord>> read_directory(store::ObjectStore& store, const KeySet& keys,
                                               const ObjectDigest& digest, uint64_t size_bytes);

struct PackDamage {
  std::optional<BlockId> block;  // when the footer tells which block stood there
  uint64_t offset = 0;
  uint64_t length = 0;  // 0: not known
  std::string problem;
};

// The header of a pack from its first bytes (kPackHeaderBytes) or, when those are
// damaged, from its last (kPackTrailerBytes).
Result<ObjectHeader> parse_pack_header(ByteView first, ByteView last, std::string_view name);

struct PackTrailer {
  ObjectHeader header;
  uint32_t footer_offset = 0;
  uint32_t footer_length = 0;
};
// Checks its checksum and that the footer lies where a pack of that size can have it.
Result<PackTrailer> parse_pack_trailer(ByteView last, uint64_t pack_size, std::string_view name);

Bytes encode_pack_header(const ObjectHeader& header);
Bytes encode_pack_trailer(const PackTrailer& trailer);

// The footer's plaintext.
Bytes encode_directory(std::span<const PackRecord> records);
// Bounds-checked: records lie in order, apart, and before `footer_offset`.
Result<std::vector<PackRecord>> decode_directory(ByteView plain, uint64_t footer_offset);

// Reads every record of a pack whatever its state: by the footer where it opens,
// else by searching for record headers. Each record in `records` was opened and
// its id computed from the plaintext. Time and memory are linear in the pack.
struct PackScan {
  std::vector<PackRecord> records;
  std::vector<PackDamage> damage;
};
Result<PackScan> scan_pack(const KeySet& keys, ByteView pack, std::string_view name);

// Where record headers seem to stand, without keys: magic, checksum and lengths
// agree. The base of scan_pack(), and what is fuzzed.
std::vector<std::pair<uint32_t, RecordHeader>> find_record_headers(ByteView pack);

// Opens a whole record (header, ciphertext, tag) and checks that its id is that of
// the bytes. `expected`: the id that it must have. kDamaged otherwise.
struct OpenedRecord {
  RecordHeader header;
  BlockId id;
  Bytes plain;
};
Result<OpenedRecord> open_record(const KeySet& keys, const PackKey& pack, ByteView record, const BlockId* expected,
                                 std::string_view pack_name);
// The same into memory of the caller, which has the block's size; `record` is
// decrypted in place and useless afterwards.
Result<void> open_record_into(const KeySet& keys, const PackKey& pack, MutableByteView record, const BlockId& expected,
                              std::string_view pack_name, MutableByteView out);

// Seals `content` (compressed or not, as the flags say) as a record at `out`, which
// has kRecordHeaderBytes + content.size() + kTagBytes bytes.
void seal_record(const PackKey& pack, const RecordHeader& header, ByteView content, MutableByteView out);

}  // namespace holdfast::repo
