#include <map>
#include <set>

#include "base/log.h"
#include "repo/check.h"
#include "repo/damage.h"
#include "repo/lease.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

namespace holdfast::repo {
namespace {

// Finds the packs that no readable index object describes, reads what is in them
// from the packs themselves, and stores new index objects.
class Rebuilder {
 public:
  Rebuilder(RepositoryAccess& repository, Lease& lease, Progress& progress)
      : repository_(repository), lease_(lease), progress_(progress) {}

  Result<RebuiltIndex> run() {
    progress_.phase = "rebuilding the index";
    std::vector<std::string> damaged;
    const auto index = TRY(load_index_despite_damage(
        repository_, [&](const std::string& object, const Error&) { damaged.push_back(object); }));
    TRY(repository_.keys().ensure_newest_known(repository_.store()));
    std::set<ObjectDigest> known;
    for (const PackInfo& pack : index->packs()) known.insert(pack.digest);
    std::map<ObjectDigest, uint64_t> missing;
    TRY(repository_.store().list(kPacksPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      const auto digest = digest_of_name(info.name);
      if (digest.ok() && !known.count(*digest)) missing[*digest] = info.size_bytes;
      return {};
    }));
    for (const auto& [digest, size_bytes] : missing) TRY(add_pack(digest, size_bytes));
    TRY(store_parts());
    // Only now that everything stands elsewhere. What the key of an epoch opens may be found again,
    // while what it says of packs that tell nothing stands nowhere else.
    std::set<std::string> kept;
    for (const Index::Unreadable& each : index->unreadable()) {
      if (!rebuilt_.skipped.empty()) kept.insert(index_name(each.object));
    }
    TRY(lease_.ensure_held(Lease::kCommitMargin));
    for (const std::string& object : damaged) {
      if (kept.contains(object)) continue;
      auto removed = repository_.store().remove(object);
      if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return std::move(removed).error();
    }
    TRY(repository_.refresh());
    return std::move(rebuilt_);
  }

 private:
  Result<void> add_pack(const ObjectDigest& digest, uint64_t size_bytes) {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "rebuilding the index was stopped");
    const std::string name = pack_name(digest);
    Index::Part part;
    part.pack.digest = digest;
    part.pack.size_bytes = size_bytes;
    const auto key = repository_.pack_key(part.pack);
    if (!key.ok()) return skip(name, key.error());
    part.pack.type = (*key)->header().type;
    part.pack.epoch = (*key)->header().epoch;
    auto records = read_directory(repository_.store(), repository_.keys(), digest, size_bytes);
    if (!records.ok()) records = records_by_scan(name);
    if (!records.ok()) return skip(name, records.error());
    part.records = std::move(records).value();
    rebuilt_.blocks += part.records.size();
    records_ += part.records.size();
    parts_.push_back(std::move(part));
    return records_ >= kMaxIndexRecords ? store_parts() : Result<void>();
  }

  // A pack whose footer is lost: what still opens.
  Result<std::vector<PackRecord>> records_by_scan(const std::string& name) {
    const Bytes bytes = TRY(read_whole(repository_.store(), name));
    return TRY(scan_pack(repository_.keys(), bytes, name)).records;
  }

  Result<void> skip(const std::string& name, const Error& error) {
    if (!is_damage(error)) return error.clone();
    log_warn("repo.rebuild_index.pack_skipped", {{"pack", name}, {"error", error.text()}});
    rebuilt_.skipped.push_back({name, error.message()});
    return {};
  }

  Result<void> store_parts() {
    TRY(lease_.ensure_held(Lease::kCommitMargin));
    TRY(write_index(repository_.store(), repository_.keys(), repository_.random(), parts_));
    parts_.clear();
    records_ = 0;
    return {};
  }

  RepositoryAccess& repository_;
  Lease& lease_;
  Progress& progress_;
  std::vector<Index::Part> parts_;
  size_t records_ = 0;
  RebuiltIndex rebuilt_;
};

}  // namespace

Result<RebuiltIndex> rebuild_index(Repository& repository, Progress& progress) {
  RepositoryAccess& ours = access(repository);
  TRY(ours.keys().load_epochs(ours.store()));
  // A collector forgets packs that it deletes: what we found of them must not come back after it.
  const auto lease =
      TRY(Lease::take(ours.environment(), {.kind = LeaseKind::kCollector, .purpose = "rebuilding the index"}));
  return Rebuilder(ours, *lease, progress).run();
}

}  // namespace holdfast::repo
