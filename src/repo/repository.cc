#include "repo/repository.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "repo/access.h"
#include "repo/block_cache.h"
#include "repo/config.h"
#include "repo/key_slot.h"
#include "repo/open_repository.h"
#include "repo/point_dates.h"
#include "repo/read_whole.h"

namespace holdfast::repo {

namespace {

constexpr size_t kDefaultCacheBytes = 32u << 20;
constexpr size_t kMaxPackKeys = 16 * 1024;  // about 200 bytes each
constexpr int kLoadAttempts = 5;
constexpr size_t kMinPointDigits = 4;

struct DigestHash {
  size_t operator()(const ObjectDigest& digest) const {
    size_t value;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};

class OpenRepository final : public RepositoryAccess {
 public:
  OpenRepository(Environment environment, std::unique_ptr<KeySet> keys, std::string slot)
      : environment_(environment), keys_(std::move(keys)), slot_(std::move(slot)), cache_(kDefaultCacheBytes) {}

  Result<std::shared_ptr<const Bytes>> read_block(const BlockId& id) override {
    if (auto block = cache_.find(id)) return block;
    Bytes plain;
    const auto read = [&](const PackInfo& pack, const IndexEntry& entry) -> Result<void> {
      plain = TRY(read_block_at(pack, entry));
      return {};
    };
    TRY(at_any_place(id, read));
    auto block = std::make_shared<const Bytes>(std::move(plain));
    cache_.keep(id, block);
    return block;
  }

  Result<void> read_block_into(const BlockId& id, MutableByteView out) override {
    if (const auto block = cache_.find(id)) {
      if (block->size() != out.size()) return wrong_size(id, block->size(), out.size());
      std::copy(block->begin(), block->end(), out.begin());
      return {};
    }
    return at_any_place(id, [&](const PackInfo& pack, const IndexEntry& entry) -> Result<void> {
      const auto key = TRY(pack_key(pack));
      const std::string name = pack_name(pack.digest);
      Bytes record = TRY(read_record(name, id, entry.offset, entry.length));
      return open_record_into(*keys_, *key, record.mutable_view(), id, name, out);
    });
  }

  Result<uint32_t> block_size(const BlockId& id) override {
    if (const auto block = cache_.find(id)) return static_cast<uint32_t>(block->size());
    uint32_t size = 0;
    const auto read = [&](const PackInfo& pack, const IndexEntry& entry) -> Result<void> {
      const std::string name = pack_name(pack.digest);
      const Bytes bytes = TRY(read_record(name, id, entry.offset, kRecordHeaderBytes));
      const auto header = parse_record_header(bytes.view());
      if (!header.ok())
        return make_error(ErrorCode::kDamaged, "pack {} is damaged: block {} has a broken header", name, id.hex());
      size = header->raw_length;
      return {};
    };
    TRY(at_any_place(id, read));
    return size;
  }

  void set_cache_bytes(size_t bytes) override { cache_.set_limit(bytes); }
  BlockId id_of(BlockKind kind, ByteView plain) const override { return keys_->id_of(kind, plain); }

  Result<std::vector<Point>> points(const OnDamaged& damaged) override {
    std::vector<store::ObjectInfo> objects;
    TRY(store().list(kPointsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      objects.push_back(info);
      return {};
    }));
    std::vector<Point> points;
    StoredTimes stored;
    for (const auto& [name, size_bytes, modified] : objects) {
      auto id = digest_of_name(name);
      auto point = id.ok() ? read_point(*id) : Result<Point>(id.error().clone().with_code(ErrorCode::kDamaged));
      if (point.ok()) {
        stored[*id] = modified;
        points.push_back(std::move(point).value());
      } else if (point.error().code() == ErrorCode::kNotFound) {
        continue;  // removed meanwhile
      } else if (damaged && point.error().code() == ErrorCode::kDamaged) {
        damaged(name, point.error());
      } else {
        return std::move(point).error();
      }
    }
    sort_by_age(points, stored, environment_.clock.now());
    return points;
  }

  Result<Point> find_point(std::string_view id_or_latest) override {
    if (id_or_latest == "latest") return latest_point();
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (id_or_latest.size() < kMinPointDigits || !std::all_of(id_or_latest.begin(), id_or_latest.end(), is_digit)) {
      return make_error(ErrorCode::kUsage,
                        "\"{}\" is not a point: give at least {} hexadecimal digits of its id, or \"latest\"",
                        id_or_latest, kMinPointDigits);
    }
    std::vector<std::string> names;
    TRY(list_names(kPointsPrefix, names));
    std::erase_if(names, [&](const std::string& name) {
      return !std::string_view(name).substr(kPointsPrefix.size()).starts_with(id_or_latest);
    });
    if (names.empty())
      return make_error(ErrorCode::kNotFound, "there is no point {}", id_or_latest)
          .with_hint("list them with: holdfast points");
    if (names.size() > 1)
      return make_error(ErrorCode::kUsage, "{} points begin with {}: give more digits", names.size(), id_or_latest);
    return read_point(TRY(digest_of_name(names.front())));
  }

  Result<void> remove_point(const PointId& id) override {
    TRY_CONTEXT(store().remove(point_name(id)), "can't remove point {}", id.hex().substr(0, 8));
    log_info("repo.point.removed", {{"point", id.hex()}});
    return {};
  }

  Result<void> refresh() override {
    const std::lock_guard lock(index_mutex_);
    index_.reset();
    return {};
  }

  Environment& environment() override { return environment_; }
  const std::string& id() const override { return keys_->repository_id(); }
  KeySet& keys() override { return *keys_; }
  const std::string& current_slot() const override { return slot_; }

  Result<std::shared_ptr<const Index>> index() override {
    const std::lock_guard lock(index_mutex_);
    if (!index_) index_ = TRY(load_index());
    return index_;
  }

  Result<std::shared_ptr<const PackKey>> pack_key(const PackInfo& pack) override {
    {
      const std::lock_guard lock(pack_keys_mutex_);
      if (const auto at = pack_keys_.find(pack.digest); at != pack_keys_.end()) return at->second;
    }
    auto key = std::make_shared<const PackKey>(TRY(read_pack_key(pack)));
    const std::lock_guard lock(pack_keys_mutex_);
    if (pack_keys_.size() >= kMaxPackKeys) pack_keys_.clear();
    pack_keys_.emplace(pack.digest, key);
    return std::shared_ptr<const PackKey>(key);
  }

  Result<Bytes> read_block_at(const PackInfo& pack, const IndexEntry& entry) override {
    const auto key = TRY(pack_key(pack));
    const std::string name = pack_name(pack.digest);
    const Bytes record = TRY(read_record(name, entry.id, entry.offset, entry.length));
    return TRY(open_record(*keys_, *key, record.view(), &entry.id, name)).plain;
  }

  Result<PointId> create_point(Point& point) override {
    const std::string json = TRY(describe_point(point));
    const Bytes object = keys_->seal(ObjectType::kPoint, as_bytes(json), {}, random());
    point.id = TRY_CONTEXT(create_digested(store(), kPointsPrefix, object.view()), "can't store the point");
    log_info("repo.point.committed", {{"point", point.id.hex()}});
    return point.id;
  }

  Result<Point> read_point(const PointId& id) override {
    const std::string name = point_name(id);
    const Bytes object = TRY(read_digested(store(), name));
    const Bytes plain = TRY(open_sealed(ObjectType::kPoint, object.view(), name));
    const auto json = nlohmann::json::parse(as_text(plain.view()), nullptr, /*allow_exceptions=*/false);
    auto point =
        json.is_discarded() ? Result<Point>(make_error(ErrorCode::kDamaged, "it is not JSON")) : point_from_json(json);
    if (!point.ok() && point.error().code() == ErrorCode::kNewerFormat)
      return std::move(point).error().with_context(fmt::format("object {}", name));
    if (!point.ok()) return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, point.error().message());
    point->id = id;
    return point;
  }

 private:
  static Error wrong_size(const BlockId& id, size_t has, size_t expected) {
    return make_error(ErrorCode::kDamaged, "block {} has {} bytes where {} were expected", id.hex(), has, expected);
  }

  // A block may be in several packs, and a pack may have gone since the index was
  // read (its live blocks are in another by then): every place is tried, once more
  // with a fresh index, before the block is given up.
  template <typename Read>
  Result<void> at_any_place(const BlockId& id, const Read& read) {
    std::optional<Error> failure;
    for (const bool fresh : {false, true}) {
      if (fresh && !TRY(forget_outdated_index())) break;
      const auto index = TRY(this->index());
      bool gone = index->find(id).empty();
      for (const IndexEntry& entry : index->find(id)) {
        auto outcome = read(index->packs()[entry.pack], entry);
        if (outcome.ok()) return {};
        gone |= outcome.error().code() == ErrorCode::kNotFound;
        if (!failure || failure->code() == ErrorCode::kNotFound) failure = std::move(outcome).error();
      }
      if (!gone) break;
    }
    if (!failure) {
      const std::string note = TRY(index())->unreadable_note();
      return make_error(ErrorCode::kNotFound, "no index knows block {}{}", id.hex(), note)
          .with_hint(note.empty() ? "" : "if a pack has it this finds it: holdfast check --repair-index");
    }
    if (failure->code() != ErrorCode::kNotFound) return std::move(*failure);
    return make_error(ErrorCode::kDamaged, "block {} can't be read: {}", id.hex(), failure->message());
  }

  // False where the index objects that can be read are still those that were: of a lost pack every
  // block comes here, and the index is large.
  Result<bool> forget_outdated_index() {
    const auto loaded = TRY(index());
    std::vector<std::string> known, stored;
    for (const ObjectDigest& object : loaded->objects()) known.push_back(index_name(object));
    bool readable_now = false;
    for (const Index::Unreadable& each : loaded->unreadable()) {
      known.push_back(index_name(each.object));
      readable_now |= TRY(keys_->knows_epoch(store(), each.epoch));
    }
    TRY(list_names(kIndexPrefix, stored));
    std::sort(known.begin(), known.end());
    if (known == stored && !readable_now) return false;
    const std::lock_guard lock(index_mutex_);
    if (index_ == loaded) index_.reset();
    return true;
  }

  Result<Bytes> read_record(const std::string& name, const BlockId& id, uint32_t offset, uint32_t length) {
    auto record = store().read(name, offset, length);
    if (record.ok() || record.error().code() != ErrorCode::kDamaged) return record;
    return make_error(ErrorCode::kDamaged, "pack {} is damaged: block {} can't be read: {}", name, id.hex(),
                      record.error().message());
  }

  Result<PackKey> read_pack_key(const PackInfo& pack) {
    const std::string name = pack_name(pack.digest);
    const Bytes first = TRY(store().read(name, 0, kPackHeaderBytes));
    auto header = parse_pack_header(first.view(), {}, name);
    if (!header.ok() && header.error().code() == ErrorCode::kDamaged && pack.size_bytes > kPackTrailerBytes) {
      const Bytes last = TRY(store().read(name, pack.size_bytes - kPackTrailerBytes, kPackTrailerBytes));
      header = parse_pack_header({}, last.view(), name);
    }
    if (!header.ok()) return std::move(header).error();
    return PackKey(*TRY(epoch_key(header->epoch)), *header);
  }

  // The key of an epoch, which may have begun after we opened the repository.
  Result<const crypto::Key*> epoch_key(uint32_t number) {
    TRY(keys_->knows_epoch(store(), number));
    return keys_->epoch_key(number);
  }

  Result<Bytes> open_sealed(ObjectType type, ByteView object, const std::string& name) {
    const ObjectHeader header = TRY(parse_object_header(object, type, name));
    TRY_CONTEXT(epoch_key(header.epoch), "can't open object {}", name);
    return keys_->open(type, object, {}, name);
  }

  // An index object may be replaced while we read: then the listing is out of date.
  Result<std::shared_ptr<const Index>> load_index() {
    TRY(keys_->load_epochs(store()));
    for (int attempt = 1;; attempt++) {
      auto index = Index::load(store(), *keys_);
      if (index.ok()) return std::shared_ptr<const Index>(std::move(index).value());
      if (index.error().code() != ErrorCode::kNotFound || attempt == kLoadAttempts) {
        const bool newer = index.error().code() == ErrorCode::kNewerFormat;
        Error error = std::move(index).error().with_context("can't load the index");
        return newer ? std::move(error) : std::move(error).with_hint("rebuild it with: holdfast check --repair-index");
      }
    }
  }

  Result<void> list_names(std::string_view prefix, std::vector<std::string>& names) {
    return store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
      names.push_back(info.name);
      return {};
    });
  }

  Result<Point> latest_point() {
    auto all = TRY(points(nullptr));
    if (all.empty())
      return make_error(ErrorCode::kNotFound, "the repository has no point yet")
          .with_hint("take one with: holdfast backup");
    return std::move(all.back());
  }

  Environment environment_;
  const std::unique_ptr<KeySet> keys_;
  const std::string slot_;
  BlockCache cache_;
  std::mutex index_mutex_;
  std::shared_ptr<const Index> index_;  // guarded by index_mutex_
  std::mutex pack_keys_mutex_;
  std::unordered_map<ObjectDigest, std::shared_ptr<const PackKey>, DigestHash> pack_keys_;
};

}  // namespace

RepositoryAccess& access(Repository& repository) {
  auto* const ours = dynamic_cast<RepositoryAccess*>(&repository);
  CHECK_MSG(ours != nullptr, "a Repository that is not ours");
  return *ours;
}

Result<std::string> describe_point(const Point& point, size_t limit_bytes) {
  std::string json = to_json(point).dump();
  if (json.size() <= limit_bytes) return json;
  return make_error(ErrorCode::kUnsupported, "what the point says of itself has {} bytes: no reader opens more than {}",
                    json.size(), limit_bytes)
      .with_hint("most of it names what could not be read of the sources: mend or exclude that");
}

std::unique_ptr<Repository> make_open_repository(Environment environment, std::unique_ptr<KeySet> keys,
                                                 std::string slot) {
  return std::make_unique<OpenRepository>(environment, std::move(keys), std::move(slot));
}

Result<Bytes> read_digested(store::ObjectStore& store, const std::string& name) {
  const ObjectDigest expected = TRY(digest_of_name(name));
  Bytes object = TRY(read_whole(store, name));
  if (crypto::sha256(object.view()) != expected.bytes) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: its bytes are not those that its name stands for",
                      name);
  }
  return object;
}

Result<ObjectDigest> create_digested(store::ObjectStore& store, std::string_view prefix, ByteView content) {
  const ObjectDigest digest{crypto::sha256(content)};
  const std::string name = prefix == kPacksPrefix ? pack_name(digest) : std::string(prefix) + digest.hex();
  auto created = store.create(name, content);
  if (!created.ok() && created.error().code() != ErrorCode::kAlreadyExists) return std::move(created).error();
  return digest;
}

}  // namespace holdfast::repo
