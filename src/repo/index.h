#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "repo/ids.h"
#include "repo/key_set.h"
#include "repo/pack.h"
#include "store/object_store.h"

namespace holdfast::repo {

// A pack as the index objects describe it.
struct PackInfo {
  ObjectDigest digest;
  uint64_t size_bytes = 0;
  ObjectType type = ObjectType::kDataPack;  // or kMetadataPack
  uint32_t epoch = 0;
  uint32_t index_object = 0;  // position in Index::objects()
};

// Where a block lies: 28 bytes, so that a million blocks take 28 MB.
struct IndexEntry {
  BlockId id;
  uint32_t pack = 0;    // position in Index::packs()
  uint32_t offset = 0;  // of its record in the pack
  uint32_t length = 0;  // of the whole record
};
static_assert(sizeof(IndexEntry) == 28);

// All blocks that the index objects know. Immutable once loaded, hence
// thread-safe. A block may stand in several packs (two writers stored it at the
// same time): all places are kept, any will do.
class Index {
 public:
  // What one index object holds: packs and their records.
  struct Part {
    PackInfo pack;
    std::vector<PackRecord> records;  // raw_length and kind are not stored in the index: 0
  };
  // An index object that was left out: the key of its epoch is missing or damaged.
  struct Unreadable {
    ObjectDigest object;
    uint32_t epoch = 0;
  };
  using OnDamaged = std::function<void(const std::string& object, const Error& error)>;

  // Reads every index object. Damaged ones are reported through `damaged` when
  // given (and left out), and fail the call otherwise.
  static Result<std::unique_ptr<Index>> load(store::ObjectStore& store, KeySet& keys,
                                             const OnDamaged& damaged = nullptr);
  static std::unique_ptr<Index> from_parts(std::vector<Part> parts);

  std::span<const IndexEntry> find(const BlockId& id) const;        // all places of it
  std::span<const IndexEntry> entries() const { return entries_; }  // sorted by id
  std::span<const PackInfo> packs() const { return packs_; }
  std::span<const ObjectDigest> objects() const { return objects_; }  // index objects that were read
  std::span<const Unreadable> unreadable() const { return unreadable_; }
  // For the end of a message about a block that is in no object that was read: "" where all were.
  std::string unreadable_note() const;

 private:
  Index() = default;
  void add(const Part& part, uint32_t object);
  void finish();

  std::vector<PackInfo> packs_;
  std::vector<IndexEntry> entries_;
  std::vector<ObjectDigest> objects_;
  std::vector<Unreadable> unreadable_;
  std::vector<uint32_t> buckets_;  // first entry whose id begins with these 16 bits
};

// An index object holds at most this many records; more go to further objects.
constexpr size_t kMaxIndexRecords = 512 * 1024;

// Writes index object(s) for these packs; returns their names. Durable.
Result<std::vector<ObjectDigest>> write_index(store::ObjectStore& store, const KeySet& keys, Random& random,
                                              std::span<const Index::Part> parts);

// The sealed content of an index object, parsed. Bounds-checked.
Result<std::vector<Index::Part>> decode_index(ByteView plain);
Bytes encode_index(std::span<const Index::Part> parts);

}  // namespace holdfast::repo
