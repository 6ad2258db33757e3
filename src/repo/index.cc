#include "repo/index.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/log.h"
#include "repo/access.h"

namespace holdfast::repo {

namespace {

constexpr size_t kPackEntryBytes = 32 + 8 + 1 + 4 + 4;
constexpr size_t kRecordEntryBytes = 16 + 4 + 4;
constexpr size_t kBuckets = 1u << 16;

size_t bucket_of(const BlockId& id) { return static_cast<size_t>(id.bytes[0]) << 8 | id.bytes[1]; }

// The first eight bytes as a number whose order is that of the bytes.
uint64_t order_of(const BlockId& id) {
  uint64_t value;
  std::memcpy(&value, id.bytes.data(), sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}

bool comes_before(const IndexEntry& a, const IndexEntry& b) {
  const uint64_t left = order_of(a.id), right = order_of(b.id);
  if (left != right) return left < right;
  return std::tie(a.id, a.pack, a.offset) < std::tie(b.id, b.pack, b.offset);
}

Result<Index::Part> decode_part(ByteReader& reader) {
  const auto bad = [] { return make_error(ErrorCode::kInvalidData, "it describes a pack that can't be"); };
  Index::Part part;
  const ByteView digest = TRY(reader.raw(part.pack.digest.bytes.size()));
  std::copy(digest.begin(), digest.end(), part.pack.digest.bytes.begin());
  part.pack.size_bytes = TRY(reader.u64());
  part.pack.type = static_cast<ObjectType>(TRY(reader.u8()));
  part.pack.epoch = TRY(reader.u32());
  const uint32_t count = TRY(reader.u32());
  if (part.pack.type != ObjectType::kDataPack && part.pack.type != ObjectType::kMetadataPack) return bad();
  if (part.pack.size_bytes > kMaxPackBytes || count > reader.remaining() / kRecordEntryBytes) return bad();
  part.records.resize(count);
  for (PackRecord& record : part.records) {
    const ByteView id = TRY(reader.raw(record.id.bytes.size()));
    std::copy(id.begin(), id.end(), record.id.bytes.begin());
    record.offset = TRY(reader.u32());
    record.length = TRY(reader.u32());
    const uint64_t end = uint64_t{record.offset} + record.length;
    if (record.offset < kPackHeaderBytes || record.length < kRecordHeaderBytes || end > part.pack.size_bytes)
      return bad();
  }
  return part;
}

Result<std::vector<std::string>> list_index(store::ObjectStore& store) {
  std::vector<std::string> names;
  TRY(store.list(kIndexPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    names.push_back(info.name);
    return {};
  }));
  return names;
}

struct ReadObject {
  uint32_t epoch = 0;
  std::optional<std::vector<Index::Part>> parts;  // nothing where the key of the epoch is missing or damaged
};

Result<ReadObject> read_index_object(store::ObjectStore& store, KeySet& keys, const std::string& name) {
  const Bytes object = TRY(read_digested(store, name));
  const ObjectHeader header = TRY(parse_object_header(object.view(), ObjectType::kIndex, name));
  keys.note_epoch(header.epoch);
  if (!TRY(keys.knows_epoch(store, header.epoch))) return ReadObject{header.epoch, std::nullopt};
  const Bytes plain = TRY(keys.open(ObjectType::kIndex, object.view(), {}, name));
  auto parts = decode_index(plain.view());
  if (!parts.ok()) return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, parts.error().message());
  return ReadObject{header.epoch, std::move(parts).value()};
}

}  // namespace

Bytes encode_index(std::span<const Index::Part> parts) {
  ByteWriter writer;
  writer.u32(static_cast<uint32_t>(parts.size()));
  for (const Index::Part& part : parts) {
    writer.raw(part.pack.digest.bytes);
    writer.u64(part.pack.size_bytes);
    writer.u8(static_cast<uint8_t>(part.pack.type));
    writer.u32(part.pack.epoch);
    writer.u32(static_cast<uint32_t>(part.records.size()));
    for (const PackRecord& record : part.records) {
      writer.raw(record.id.bytes);
      writer.u32(record.offset);
      writer.u32(record.length);
    }
  }
  return writer.take();
}

Result<std::vector<Index::Part>> decode_index(ByteView plain) {
  ByteReader reader(plain);
  const uint32_t count = TRY(reader.u32());
  if (count > reader.remaining() / kPackEntryBytes)
    return make_error(ErrorCode::kInvalidData, "it counts more packs than it holds");
  std::vector<Index::Part> parts;
  parts.reserve(count);
  for (uint32_t i = 0; i < count; i++) parts.push_back(TRY(decode_part(reader)));
  TRY(reader.end());
  return parts;
}

Result<std::unique_ptr<Index>> Index::load(store::ObjectStore& store, KeySet& keys, const OnDamaged& damaged) {
  std::unique_ptr<Index> index(new Index());
  // What is decoded waits until its number is known, so that entries_ never grows by copying.
  std::vector<std::pair<Part, uint32_t>> waiting;
  size_t records = 0;
  std::set<ObjectDigest>
      seen;  // a pack may be in two objects: after a crash between the new one and the removal of the old
  const auto take = [&](const std::string& name) -> Result<void> {
    auto digest = digest_of_name(name);
    auto read = digest.ok() ? read_index_object(store, keys, name)
                            : Result<ReadObject>(digest.error().clone().with_code(ErrorCode::kDamaged));
    if (!read.ok()) {
      const ErrorCode code = read.error().code();
      if (!damaged || (code != ErrorCode::kDamaged && code != ErrorCode::kInvalidData)) return std::move(read).error();
      damaged(name, read.error());
      return {};
    }
    if (!read->parts) {
      // What other objects know can still be read.
      const Error error = make_error(ErrorCode::kDamaged, "the key of its epoch is missing or damaged");
      if (damaged)
        damaged(name, error);
      else
        log_warn("repo.index.unreadable", {{"object", name}, {"error", error.text()}});
      index->unreadable_.push_back({*digest, read->epoch});
      return {};
    }
    const auto object = static_cast<uint32_t>(index->objects_.size());
    index->objects_.push_back(*digest);
    for (Part& part : *read->parts) {
      if (!seen.insert(part.pack.digest).second) continue;
      records += part.records.size();
      waiting.emplace_back(std::move(part), object);
    }
    return {};
  };
  // A listing that runs while objects are merged may miss the old ones, which are gone, and the new
  // one, which was not there yet: the next listing has it.
  constexpr int kMaxLists = 10;
  std::set<std::string> names;
  for (int list = 1, fresh = 1; list <= 2 || fresh > 0; list++) {
    if (list > kMaxLists)
      return make_error(ErrorCode::kUnavailable, "the index changes faster than it can be read").with_retryable();
    fresh = 0;
    for (std::string& name : TRY(list_index(store))) {
      const auto [at, is_fresh] = names.insert(std::move(name));
      if (!is_fresh) continue;
      TRY(take(*at));
      fresh++;
    }
  }
  index->entries_.reserve(records);
  for (auto& [part, object] : waiting) index->add(std::exchange(part, {}), object);
  index->finish();
  return index;
}

std::unique_ptr<Index> Index::from_parts(std::vector<Part> parts) {
  std::unique_ptr<Index> index(new Index());
  for (const Part& part : parts) index->add(part, 0);
  index->finish();
  return index;
}

void Index::add(const Part& part, uint32_t object) {
  const auto pack = static_cast<uint32_t>(packs_.size());
  packs_.push_back(part.pack);
  packs_.back().index_object = object;
  for (const PackRecord& record : part.records) entries_.push_back({record.id, pack, record.offset, record.length});
}

void Index::finish() {
  std::sort(entries_.begin(), entries_.end(), comes_before);
  buckets_.assign(kBuckets + 1, static_cast<uint32_t>(entries_.size()));
  size_t next = 0;
  for (size_t i = 0; i < entries_.size(); i++) {
    for (const size_t bucket = bucket_of(entries_[i].id); next <= bucket; next++)
      buckets_[next] = static_cast<uint32_t>(i);
  }
}

std::span<const IndexEntry> Index::find(const BlockId& id) const {
  const size_t bucket = bucket_of(id);
  const auto begin = entries_.begin() + buckets_[bucket], end = entries_.begin() + buckets_[bucket + 1];
  const auto by_id = [](const IndexEntry& entry, const BlockId& wanted) { return entry.id < wanted; };
  const auto first = std::lower_bound(begin, end, id, by_id);
  auto last = first;
  while (last != end && last->id == id) ++last;
  return {first, last};
}

std::string Index::unreadable_note() const {
  std::set<uint32_t> epochs;
  for (const Unreadable& each : unreadable_) epochs.insert(each.epoch);
  if (epochs.empty()) return "";
  return fmt::format("; the index of epoch {} is left out, as its key is missing or damaged", fmt::join(epochs, ", "));
}

Result<std::vector<ObjectDigest>> write_index(store::ObjectStore& store, const KeySet& keys, Random& random,
                                              std::span<const Index::Part> parts) {
  std::vector<ObjectDigest> written;
  while (!parts.empty()) {
    size_t count = 0, records = 0;
    while (count < parts.size() && (count == 0 || records + parts[count].records.size() <= kMaxIndexRecords)) {
      records += parts[count++].records.size();
    }
    const Bytes plain = encode_index(parts.first(count));
    const Bytes object = keys.seal(ObjectType::kIndex, plain.view(), {}, random);
    written.push_back(TRY_CONTEXT(create_digested(store, kIndexPrefix, object.view()), "can't store the index"));
    parts = parts.subspan(count);
  }
  return written;
}

}  // namespace holdfast::repo
