#include "repo/collect.h"

#include "base/log.h"
#include "repo/collect_plan.h"
#include "repo/damaged_packs.h"
#include "repo/index_compaction.h"
#include "repo/key_copies.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"
#include "repo/visibility.h"
#include "repo/write_session.h"
#include "store/names.h"

namespace holdfast::repo {
namespace {

constexpr Duration kStaleTemporary = Duration::hours(1);
constexpr uint64_t kDeletesPerCheck = 64;  // packs deleted between two looks at our own lease

class Collector {
 public:
  Collector(RepositoryAccess& repository, Lease& lease, CollectPlan& plan, Duration visibility_margin,
            Progress& progress)
      : repository_(repository),
        lease_(lease),
        plan_(plan),
        visibility_margin_(visibility_margin),
        progress_(progress) {}

  Result<void> run() {
    TRY(go_on());
    TRY(bring_tombstones_up_to_date());
    TRY(delete_packs());
    TRY(condemn_packs());
    TRY(sweep());
    return repository_.refresh();
  }

 private:
  // Before each step: a collector that lost its lease (its machine slept) stops.
  Result<void> go_on() {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "collection was stopped");
    return lease_.ensure_held(Lease::kCommitMargin);
  }

  Result<void> remove(const std::string& object) {
    auto removed = repository_.store().remove(object);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
    return {};
  }

  Result<void> bring_tombstones_up_to_date() {
    for (Tombstone& tombstone : plan_.tombstones) {
      if (tombstone.damaged) {
        TRY(remove_tombstone(repository_.environment(), tombstone));
        tombstone.packs.clear();
        continue;
      }
      if (const auto alive = plan_.resurrected.find(tombstone.id); alive != plan_.resurrected.end()) {
        TRY(resurrect(repository_.environment(), tombstone, alive->second));
      }
      // Left by a collector that was killed in between. All newcomers see it by now.
      if (!tombstone.settled && !tombstone.packs.empty()) TRY(settle_tombstone(repository_.environment(), tombstone));
    }
    return {};
  }

  // The index forgets the packs first: a crash then leaves packs that nobody knows,
  // which the next collection finds, and no name without a pack behind it.
  Result<void> delete_packs() {
    progress_.phase = "deleting";
    TRY(compact_index(repository_, plan_.deleted, plan_.stored));
    uint64_t deleted = 0;
    for (const ObjectDigest& pack : plan_.deleted) {
      if (deleted++ % kDeletesPerCheck == 0) TRY(go_on());
      TRY(remove(pack_name(pack)));
      plan_.stored.erase(pack);
    }
    for (const Tombstone& tombstone : plan_.tombstones) {
      const bool done = std::none_of(tombstone.packs.begin(), tombstone.packs.end(),
                                     [&](const ObjectDigest& pack) { return plan_.stored.count(pack) > 0; });
      if (done) TRY(remove_tombstone(repository_.environment(), tombstone));
    }
    return {};
  }

  // Announced first, so that the session that repacks (as any other from now on)
  // stores the blocks anew; settled only when the copies are in place.
  Result<void> condemn_packs() {
    std::set<ObjectDigest> packs = plan_.condemned;
    for (const auto& [pack, blocks] : plan_.repacked) packs.insert(pack);
    if (packs.empty()) return {};
    TRY(go_on());
    Tombstone tombstone = TRY(announce_tombstone(repository_.environment(), packs));
    std::set<ObjectDigest> failed;
    if (!plan_.repacked.empty()) failed = TRY(repack());
    if (!failed.empty()) TRY(resurrect(repository_.environment(), tombstone, failed));
    TRY(go_on());
    return settle_tombstone(repository_.environment(), tombstone);
  }

  // Returns packs with damaged blocks: they stay, for whoever mends them.
  Result<std::set<ObjectDigest>> repack() {
    progress_.phase = "repacking";
    std::set<ObjectDigest> failed;
    WriteOptions options;
    options.purpose = "repack";
    const auto session = TRY(begin_session(repository_, options, {}));
    for (const auto& [pack, blocks] : plan_.repacked) {
      TRY(go_on());
      auto copied = copy_blocks(*session, pack, blocks);
      if (copied.ok()) continue;
      if (copied.error().code() != ErrorCode::kDamaged) return std::move(copied).error();
      plan_.report.notes.push_back(fmt::format("pack {} stays: {}", pack.hex().substr(0, 8), copied.error().text()));
      failed.insert(pack);
    }
    TRY(session->flush());
    return failed;
  }

  Result<void> copy_blocks(WriteSession& session, const ObjectDigest& pack, const std::set<BlockId>& blocks) {
    const std::string name = pack_name(pack);
    const Bytes bytes = TRY(read_whole(repository_.store(), name));
    PackInfo info;
    info.digest = pack;
    info.size_bytes = bytes.size();
    const auto key = TRY(repository_.pack_key(info));
    std::set<BlockId> left = blocks;
    for (const PackRecord& record : TRY(records_of(bytes, name))) {
      if (left.erase(record.id) == 0) continue;
      const ByteView sealed = bytes.view(record.offset, record.length);
      const OpenedRecord opened = TRY(open_record(repository_.keys(), *key, sealed, &record.id, name));
      TRY(session.put_known(record.id, record.kind, opened.plain));
      progress_.bytes_done += record.length;
    }
    if (!left.empty()) return make_error(ErrorCode::kDamaged, "block {} can't be read", left.begin()->hex());
    return {};
  }

  Result<std::vector<PackRecord>> records_of(const Bytes& pack, const std::string& name) {
    auto directory = read_directory(repository_.keys(), pack, name);
    if (directory.ok()) return directory;
    return TRY(scan_pack(repository_.keys(), pack, name)).records;
  }

  Result<void> sweep() {
    TRY(go_on());
    TRY(sweep_leases(repository_.store(), visibility_margin_));
    TRY(sweep_damaged_notes(repository_.store(), plan_.stored));
    const Time now = TRY(repository_.store().server_time());
    std::vector<std::string> stale;
    TRY(repository_.store().list(store::kTemporaryPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      if (store::is_temporary_name(info.name) && info.modified + kStaleTemporary < now) stale.push_back(info.name);
      return {};
    }));
    // What is noted of points that are gone: nothing refers to them.
    for (const std::string_view prefix : {kVerifiedPrefix, kHoldsPrefix}) {
      TRY(repository_.store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
        const auto point = ObjectDigest::from_hex(std::string_view(info.name).substr(prefix.size()).substr(0, 64));
        if (!point.ok()) return {};
        const auto there = repository_.store().stat(point_name(point.value()));
        if (!there.ok() && there.error().code() == ErrorCode::kNotFound) stale.push_back(info.name);
        return {};
      }));
    }
    for (const std::string& object : stale) TRY(remove(object));
    return {};
  }

  RepositoryAccess& repository_;
  Lease& lease_;
  CollectPlan& plan_;
  const Duration visibility_margin_;
  Progress& progress_;
};

// What was collected is, whether or not the store takes more.
void complete_keys(RepositoryAccess& repository, Lease& lease, CollectReport& report) {
  const auto completed = complete_key_objects(repository, lease);
  if (!completed.ok())
    report.notes.push_back("the second copy of a key could not be made: " + completed.error().text());
}

bool is_not_writable(const Error& error) {
  return error.code() == ErrorCode::kPermission || error.code() == ErrorCode::kNoSpace;
}

}  // namespace

Result<CollectReport> collect(Repository& repository, const CollectOptions& options, Progress& progress) {
  return collect(repository, options, kVisibilityMargin, progress);
}

Result<CollectReport> collect(Repository& repository, const CollectOptions& options, Duration visibility_margin,
                              Progress& progress) {
  RepositoryAccess& ours = access(repository);
  LeaseOptions lease_options;
  lease_options.kind = options.dry_run ? LeaseKind::kReader : LeaseKind::kCollector;
  lease_options.purpose = options.dry_run ? "dry run of a collection" : "collection";
  std::unique_ptr<Lease> lease;
  std::string no_lease;
  if (auto taken = Lease::take(ours.environment(), lease_options); taken.ok()) {
    lease = std::move(taken).value();
  } else {
    // A dry run takes nothing away: it may look where nothing can be written, too.
    if (!options.dry_run || !is_not_writable(taken.error())) return std::move(taken).error();
    no_lease = "a prune at the same time would not wait for this dry run: " + taken.error().message();
  }
  CollectPlan plan = TRY(plan_collection(ours, options, visibility_margin, lease ? lease->info().id : "", progress));
  if (!lease) plan.report.notes.push_back(std::move(no_lease));
  if (!options.dry_run) {
    TRY(Collector(ours, *lease, plan, visibility_margin, progress).run());
    TRY(lease->ensure_held(Lease::kCommitMargin));
    complete_keys(ours, *lease, plan.report);
  }
  if (lease) TRY(lease->release());
  log_info("repo.collected", {{"packs_deleted", plan.report.packs_deleted},
                              {"bytes_deleted", plan.report.bytes_deleted},
                              {"packs_tombstoned", plan.report.packs_tombstoned}});
  return std::move(plan.report);
}

}  // namespace holdfast::repo
