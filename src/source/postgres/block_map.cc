#include "source/postgres/block_map.h"

#include <algorithm>

#include "base/encoding.h"
#include "source/postgres/crc32c.h"
#include "source/postgres/wal_record.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kVersion = 1;
constexpr uint8_t kHasLead = 1, kHasTail = 2, kHasFirstPrevious = 4, kHasLastRecord = 8;
constexpr size_t kMaxTextBytes = 256;
// References held at once while a map is made: 64 MiB.
constexpr size_t kMaxReferences = 4u << 20;

uint64_t key_of(uint32_t database, uint32_t relation) { return (uint64_t{database} << 32) | relation; }

void put_edge(ByteWriter& out, const BlockMap::Edge& edge) {
  out.bytes(edge.head);
  out.varint(edge.bytes);
  out.u32(edge.crc);
}

Result<BlockMap::Edge> take_edge(ByteReader& in) {
  BlockMap::Edge edge;
  edge.head = Bytes::copy_of(TRY(in.bytes(kWalRecordPrefixBytes)));
  edge.bytes = TRY(in.varint());
  edge.crc = TRY(in.u32());
  if (edge.head.size() != std::min<uint64_t>(edge.bytes, kWalRecordPrefixBytes))
    return make_error(ErrorCode::kInvalidData, "an edge of {} bytes keeps {}", edge.bytes, edge.head.size());
  return edge;
}

void put_relation(ByteWriter& out, const BlockMap::Relation& relation) {
  out.varint(relation.database);
  out.varint(relation.relation);
  out.varint(relation.all_from ? uint64_t{*relation.all_from} + 1 : 0);
  out.varint(relation.blocks.size());
  uint64_t next = 0;  // each stands as its distance from the smallest it can be
  for (const uint32_t block : relation.blocks) {
    out.varint(block - next);
    next = uint64_t{block} + 1;
  }
}

Result<BlockMap::Relation> take_relation(ByteReader& in) {
  BlockMap::Relation relation;
  relation.database = static_cast<uint32_t>(TRY(in.varint_at_most(UINT32_MAX, "database")));
  relation.relation = static_cast<uint32_t>(TRY(in.varint_at_most(UINT32_MAX, "relation")));
  const uint64_t all_from = TRY(in.varint_at_most(uint64_t{UINT32_MAX} + 1, "block"));
  if (all_from > 0) relation.all_from = static_cast<uint32_t>(all_from - 1);
  const uint64_t count = TRY(in.varint_at_most(in.remaining(), "number of blocks"));
  const uint64_t limit = all_from > 0 ? all_from - 1 : uint64_t{UINT32_MAX} + 1;
  relation.blocks.reserve(count);
  uint64_t next = 0;
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t distance = TRY(in.varint_at_most(UINT32_MAX, "block"));
    if (next + distance >= limit) return make_error(ErrorCode::kInvalidData, "a block beyond what it may be");
    relation.blocks.push_back(static_cast<uint32_t>(next + distance));
    next += distance + 1;
  }
  return relation;
}

Result<BlockMap> take_map(ByteReader& in) {
  BlockMap map;
  if (const uint64_t version = TRY(in.varint()); version != kVersion)
    return make_error(ErrorCode::kNewerFormat, "a block map has version {}", version)
        .with_hint("use the holdfast that wrote it, or a newer one");
  map.major = static_cast<int>(TRY(in.varint_at_most(1000, "major version")));
  map.untold = TRY(in.string(kMaxTextBytes));
  const uint64_t databases = TRY(in.varint_at_most(in.remaining(), "number of databases"));
  for (uint64_t i = 0; i < databases; i++) {
    const auto database = static_cast<uint32_t>(TRY(in.varint_at_most(UINT32_MAX, "database")));
    if (i > 0 && database <= map.databases.back()) return make_error(ErrorCode::kInvalidData, "databases in disorder");
    map.databases.push_back(database);
  }
  const uint64_t relations = TRY(in.varint_at_most(in.remaining(), "number of relations"));
  for (uint64_t i = 0; i < relations; i++) {
    BlockMap::Relation relation = TRY(take_relation(in));
    if (i > 0 && key_of(relation.database, relation.relation) <=
                     key_of(map.relations.back().database, map.relations.back().relation))
      return make_error(ErrorCode::kInvalidData, "relations in disorder");
    map.relations.push_back(std::move(relation));
  }
  const uint8_t has = TRY(in.u8());
  if (has & ~(kHasLead | kHasTail | kHasFirstPrevious | kHasLastRecord))
    return make_error(ErrorCode::kInvalidData, "unknown flags {}", has);
  if (has & kHasLead) map.lead = TRY(take_edge(in));
  if (has & kHasTail) {
    map.tail_start = Lsn{TRY(in.u64())};
    map.tail = TRY(take_edge(in));
  }
  if (has & kHasFirstPrevious) map.first_previous = Lsn{TRY(in.u64())};
  if (has & kHasLastRecord) map.last_record = Lsn{TRY(in.u64())};
  TRY(in.end());
  return map;
}

Bytes encode(const BlockMap& map, const std::vector<const BlockMap::Relation*>& relations) {
  ByteWriter out;
  out.varint(kVersion);
  out.varint(static_cast<uint64_t>(map.major));
  out.string(map.untold);
  out.varint(map.databases.size());
  for (const uint32_t database : map.databases) out.varint(database);
  out.varint(relations.size());
  for (const BlockMap::Relation* relation : relations) put_relation(out, *relation);
  out.u8(static_cast<uint8_t>((map.lead ? kHasLead : 0) | (map.tail ? kHasTail : 0) |
                              (map.first_previous ? kHasFirstPrevious : 0) | (map.last_record ? kHasLastRecord : 0)));
  if (map.lead) put_edge(out, *map.lead);
  if (map.tail) {
    out.u64(map.tail_start->value);
    put_edge(out, *map.tail);
  }
  if (map.first_previous) out.u64(map.first_previous->value);
  if (map.last_record) out.u64(map.last_record->value);
  return out.take();
}

}  // namespace

Bytes encode_block_map(const BlockMap& map) {
  std::vector<const BlockMap::Relation*> relations;
  for (const BlockMap::Relation& relation : map.relations) relations.push_back(&relation);
  Bytes encoded = encode(map, relations);
  std::vector<BlockMap::Relation> whole;
  whole.reserve(relations.size());
  while (encoded.size() > kMaxBlockMapBytes) {
    const auto largest = std::max_element(relations.begin(), relations.end(), [](const auto* a, const auto* b) {
      return a->blocks.size() < b->blocks.size();
    });
    if (largest == relations.end() || (*largest)->blocks.empty()) {
      // Millions of relations, or of databases: nothing that is worth a list.
      BlockMap rest;
      rest.untold = "too much changed to be listed";
      return encode(rest, {});
    }
    whole.push_back({(*largest)->database, (*largest)->relation, 0, {}});
    *largest = &whole.back();
    encoded = encode(map, relations);
  }
  return encoded;
}

Result<BlockMap> decode_block_map(ByteView bytes) {
  ByteReader in(bytes);
  auto map = take_map(in);
  if (map.ok() || map.error().code() == ErrorCode::kNewerFormat) return map;
  return make_error(ErrorCode::kDamaged, "a block map can't be understood: {}", map.error().message());
}

// ---- making

void BlockMapBuilder::add_all_from(uint32_t database, uint32_t relation, uint32_t block) {
  const auto [at, fresh] = all_from_.try_emplace(key_of(database, relation), block);
  if (!fresh) at->second = std::min(at->second, block);
}

// Records that change files and refer to no block.
void BlockMapBuilder::add_storage_record(const WalRecordHeader& header, ByteView main) {
  constexpr uint8_t kXlog = 0, kStorage = 2, kDatabase = 4, kFirstOfExtensions = 128;
  constexpr uint8_t kParameterChange = 0x60, kCreateStorage = 0x10, kTruncateStorage = 0x20;
  constexpr size_t kWalLevelOffset = 20;
  const uint8_t operation = header.info & 0xF0;
  WalCursor cursor(main);
  if (header.manager == kStorage && (operation == kCreateStorage || operation == kTruncateStorage)) {
    const uint32_t from = operation == kTruncateStorage ? cursor.take<uint32_t>() : 0;
    cursor.skip(4);  // tablespace
    const auto database = cursor.take<uint32_t>(), relation = cursor.take<uint32_t>();
    add_all_from(database, relation, from);
  } else if (header.manager == kDatabase) {
    databases_.insert(cursor.take<uint32_t>());  // of whatever happens to one, the first field
  } else if (header.manager == kXlog && operation == kParameterChange) {
    cursor.skip(kWalLevelOffset);
    if (cursor.take<int32_t>() == 0) untold_ = "wal_level was minimal";
  } else if (header.manager >= kFirstOfExtensions) {
    untold_ = fmt::format("a record of resource manager {} refers to no block", header.manager);
  }
  if (!cursor.ok()) untold_ = fmt::format("a record of resource manager {} is too short", header.manager);
}

void BlockMapBuilder::add(const WalRecordHeader& header, ByteView prefix, int major) {
  const auto parts = take_apart(prefix, header.total_bytes, major);
  if (!parts) {
    untold_ = "a record whose references can't be read";
    return;
  }
  for (size_t i = 0; i < parts->reference_count; i++) {
    const WalBlockReference& each = parts->references[i];
    if (each.fork == 0) references_.push_back({key_of(each.database, each.relation), each.block});
  }
  if (references_.size() >= kMaxReferences) compact();
  if (parts->reference_count > 0) return;
  // A main part that is longer than the prefix is of none of the records that matter.
  const bool here = prefix.size() == header.total_bytes && parts->main_bytes <= prefix.size();
  add_storage_record(header, here ? prefix.last(parts->main_bytes) : ByteView());
}

// Drops what is said twice; when that does not help enough, most of what is left is of
// one relation or of a few, which become "all of it".
void BlockMapBuilder::compact() {
  std::sort(references_.begin(), references_.end());
  references_.erase(std::unique(references_.begin(), references_.end()), references_.end());
  while (references_.size() > kMaxReferences / 2) {
    uint64_t largest = 0;
    ptrdiff_t most = 0;
    for (auto at = references_.begin(); at != references_.end();) {
      const auto end = std::find_if(at, references_.end(), [&](const auto& r) { return r.relation != at->relation; });
      if (end - at > most) {
        most = end - at;
        largest = at->relation;
      }
      at = end;
    }
    all_from_[largest] = 0;
    std::erase_if(references_, [&](const Reference& reference) { return reference.relation == largest; });
  }
}

BlockMap BlockMapBuilder::take() {
  compact();
  BlockMap map;
  std::vector<std::pair<uint64_t, uint32_t>> limits(all_from_.begin(), all_from_.end());
  std::sort(limits.begin(), limits.end());
  auto limit = limits.begin();
  const auto begin_relation = [&](uint64_t key) {
    map.relations.push_back({static_cast<uint32_t>(key >> 32), static_cast<uint32_t>(key), std::nullopt, {}});
    if (limit != limits.end() && limit->first == key) map.relations.back().all_from = (limit++)->second;
  };
  for (auto at = references_.begin(); at != references_.end();) {
    while (limit != limits.end() && limit->first < at->relation) begin_relation(limit->first);
    const uint64_t key = at->relation;
    begin_relation(key);
    BlockMap::Relation& relation = map.relations.back();
    for (; at != references_.end() && at->relation == key; ++at)
      if (!relation.all_from || at->block < *relation.all_from) relation.blocks.push_back(at->block);
  }
  while (limit != limits.end()) begin_relation(limit->first);
  map.databases.assign(databases_.begin(), databases_.end());
  map.untold = std::move(untold_);
  references_.clear();
  all_from_.clear();
  databases_.clear();
  untold_.clear();
  return map;
}

bool add_joined_record(const BlockMap::Edge& tail, const BlockMap::Edge& lead, int major, BlockMapBuilder& builder) {
  Bytes prefix = Bytes::copy_of(tail.head);
  if (tail.bytes == tail.head.size()) prefix.append(lead.head);
  if (prefix.size() < kWalRecordHeaderBytes) return false;
  const WalRecordHeader header = parse_wal_record_header(prefix.data());
  if (header.total_bytes != tail.bytes + lead.bytes) return false;
  // Where the header itself is cut, the lead begins with the rest of it, which the
  // record's CRC covers last.
  const uint64_t header_bytes = kWalRecordHeaderBytes - std::min<uint64_t>(tail.bytes, kWalRecordHeaderBytes);
  if (lead.bytes < header_bytes || lead.head.size() < header_bytes) return false;
  const uint64_t body_bytes = lead.bytes - header_bytes;
  const uint32_t of_header = crc32c_update(0, lead.head.view(0, header_bytes));
  const uint32_t of_body = lead.crc ^ crc32c_join(of_header, 0, body_bytes);
  uint32_t state = crc32c_join(tail.crc, of_body, body_bytes);
  state = crc32c_update(state, prefix.view(0, 20));
  if (crc32c_finish(state) != header.crc) return false;
  builder.add(header, prefix, major);
  return true;
}

}  // namespace holdfast::postgres
