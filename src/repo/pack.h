#pragma once

#include <cstdint>
#include <string>
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
constexpr size_t kMaxPackBytes = 64u << 20;     // a reader refuses more
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
  uint32_t ordinal = 0;       // the nonce
  uint32_t sealed_length = 0;  // ciphertext and tag
  uint32_t raw_length = 0;
  uint8_t kind = 0;            // BlockKind or kFooterKind
  uint8_t flags = 0;
  std::array<uint8_t, kRecordHeaderBytes> encode() const;
};

// Checks magic, checksum and limits; says nothing of the pack's size.
Result<RecordHeader> parse_record_header(ByteView bytes);

// What is known of a pack without its records: header and derived key.
class PackKey {
 public:
  PackKey(const KeySet& keys, const crypto::Key& epoch_key, const ObjectHeader& header);
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
  uint64_t offset = 0;
  uint64_t length = 0;      // 0: not known
  std::string problem;
};

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

// The raw form of a record's block (header, ciphertext, tag): opened, expanded,
// and equal to `expected` in id when that is given. kDamaged otherwise.
Result<Bytes> open_record(const KeySet& keys, const PackKey& pack, ByteView record, const BlockId* expected,
                          std::string_view pack_name);

}  // namespace holdfast::repo
