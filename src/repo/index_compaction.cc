#include "repo/index_compaction.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "repo/object_names.h"

namespace holdfast::repo {
namespace {

constexpr uint64_t kSmallBytes = 2u << 20;
constexpr size_t kManySmall = 16;

// Collects the packs of old index objects and stores them in new ones.
class Rewriter {
 public:
  explicit Rewriter(RepositoryAccess& repository) : repository_(repository) {}

  Result<void> take(const std::string& object, std::vector<Index::Part> parts) {
    replaced_.push_back(object);
    for (Index::Part& part : parts) {
      if (!seen_.insert(part.pack.digest).second) continue;
      records_ += part.records.size();
      parts_.push_back(std::move(part));
    }
    // Objects go only when everything in them stands elsewhere, hence whole objects at a time.
    return records_ >= kMaxIndexRecords ? flush() : Result<void>();
  }

  Result<void> flush() {
    std::set<std::string> written;
    for (const ObjectDigest& object :
         TRY(write_index(repository_.store(), repository_.keys(), repository_.random(), parts_))) {
      written.insert(index_name(object));
    }
    for (const std::string& object : replaced_) {
      if (written.count(object)) continue;
      auto removed = repository_.store().remove(object);
      if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
    }
    log_info("repo.index.compacted", {{"objects", uint64_t{replaced_.size()}}, {"into", uint64_t{written.size()}}});
    parts_.clear();
    replaced_.clear();
    records_ = 0;
    return {};
  }

 private:
  RepositoryAccess& repository_;
  std::vector<Index::Part> parts_;
  std::vector<std::string> replaced_;
  std::set<ObjectDigest> seen_;
  size_t records_ = 0;
};

Result<std::vector<Index::Part>> read_parts(RepositoryAccess& repository, const std::string& object) {
  const Bytes bytes = TRY(read_digested(repository.store(), object));
  const Bytes plain = TRY(repository.keys().open(ObjectType::kIndex, bytes, {}, object));
  return TRY_CONTEXT(decode_index(plain), "object {}", object);
}

// Objects that can't be opened, as the key of their epoch is missing, are nobody's to rewrite; nor
// are those that their writer took back.
Result<bool> can_be_opened(RepositoryAccess& repository, const std::string& object) {
  const auto bytes = repository.store().read(object, 0, ObjectHeader::kBytes);
  if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) return false;
  if (!bytes.ok()) return bytes.error().clone();
  const ObjectHeader header = TRY(parse_object_header(bytes->view(), ObjectType::kIndex, object));
  return repository.keys().knows_epoch(repository.store(), header.epoch);
}

// False only for what is proven absent.
Result<bool> exists(store::ObjectStore& store, const std::string& object) {
  const auto info = store.stat(object);
  if (info.ok()) return true;
  if (info.error().code() == ErrorCode::kNotFound) return false;
  return info.error().clone();
}

}  // namespace

Result<void> compact_index(RepositoryAccess& repository, const std::set<ObjectDigest>& deleted,
                           const std::set<ObjectDigest>& stored) {
  std::map<std::string, uint64_t> listed, objects;  // name -> size
  TRY(repository.store().list(kIndexPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (digest_of_name(info.name).ok()) listed[info.name] = info.size_bytes;  // else nobody's: check names it
    return {};
  }));
  size_t small = 0;
  for (const auto& [object, size_bytes] : listed) {
    if (!TRY(can_be_opened(repository, object))) continue;
    objects[object] = size_bytes;
    small += size_bytes < kSmallBytes;
  }
  const bool merge = small >= kManySmall;
  Rewriter rewriter(repository);
  bool any = false;
  for (const auto& [object, size_bytes] : objects) {
    auto parts = read_parts(repository, object);
    if (!parts.ok() && parts.error().code() == ErrorCode::kNotFound) continue;  // its writer took it back
    if (!parts.ok()) return std::move(parts).error();
    std::vector<Index::Part> kept;
    for (Index::Part& part : *parts) {
      const ObjectDigest& pack = part.pack.digest;
      // What a writer indexed after our listing exists, although we have not seen it.
      const bool stays =
          !deleted.count(pack) && (stored.count(pack) || TRY(exists(repository.store(), pack_name(pack))));
      if (stays) kept.push_back(std::move(part));
    }
    if (kept.size() == parts->size() && !(merge && size_bytes < kSmallBytes)) continue;
    any = true;
    TRY(rewriter.take(object, std::move(kept)));
  }
  return any ? rewriter.flush() : Result<void>();
}

}  // namespace holdfast::repo
