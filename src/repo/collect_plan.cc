#include "repo/collect_plan.h"

#include <algorithm>
#include <climits>
#include <tuple>

#include "repo/damaged_packs.h"
#include "repo/object_names.h"
#include "repo/tree_walk.h"

namespace holdfast::repo {
namespace {

constexpr size_t kThreads = 2;
constexpr size_t kMaxRepacked = 256;  // packs, in one collection

// A pack as the collection sees it.
struct PackState {
  uint64_t size_bytes = 0;
  Time modified;
  uint64_t record_bytes = 0;  // of all its blocks
  uint64_t live_bytes = 0;    // of those that are needed and have no better place
  const Tombstone* tombstone = nullptr;
  bool damaged = false;
};

// Marks what points need. Whatever is wrong ends the collection: what can't be
// understood can't be proven unneeded.
class NeededBlocks : public WalkSink {
 public:
  NeededBlocks(BlockMarks& marks, Progress& progress) : marks_(marks), progress_(progress) {}

  Result<bool> enter(BlockKind, const BlockId& id) override {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "collection was stopped");
    const auto outcome = marks_.mark(id);
    if (outcome == BlockMarks::Outcome::kUnknown)
      return damaged(id, "no index knows it" + marks_.index().unreadable_note());
    return outcome == BlockMarks::Outcome::kFirst;
  }
  Result<void> unreadable(BlockKind, const BlockId& id, const Error& error) override {
    if (error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kIo) return error.clone();
    return damaged(id, error.text());
  }

  static Error damaged(const BlockId& id, const std::string& problem) {
    return make_error(ErrorCode::kDamaged, "nothing was collected: block {}, which a point needs, is damaged: {}",
                      id.hex(), problem)
        .with_hint("see what it touches: holdfast explain");
  }

 private:
  BlockMarks& marks_;
  Progress& progress_;
};

class Planner {
 public:
  Planner(RepositoryAccess& repository, const CollectOptions& options, Duration visibility_margin,
          const std::string& own, Progress& progress)
      : repository_(repository),
        options_(options),
        visibility_margin_(visibility_margin),
        own_(own),
        progress_(progress) {}

  Result<CollectPlan> run() {
    // 1. Who is at work, before anything is looked at: whoever ends after this has committed before
    //    the points are listed, or never will.
    plan_.tombstones = TRY(load_tombstones(repository_.store()));
    TRY(look_at_leases());
    // 2. What is needed.
    auto points = TRY(repository_.points());
    if (options_.dry_run) {
      std::erase_if(points, [&](const Point& point) {
        return std::find(options_.as_if_removed.begin(), options_.as_if_removed.end(), point.id) !=
               options_.as_if_removed.end();
      });
    }
    plan_.report.points_kept = points.size();
    TRY(repository_.refresh());
    BlockMarks marks(TRY(repository_.index()));
    tell_of_unreadable_index(marks.index());
    TRY(repository_.keys().ensure_newest_known(repository_.store()));
    NeededBlocks needed(marks, progress_);
    progress_.phase = "marking";
    for (const Point& point : points) {
      for (const Snapshot& snapshot : point.snapshots) {
        TRY_CONTEXT(walk_tree(repository_, snapshot.root, kThreads, needed), "point {}", point.id.hex().substr(0, 8));
      }
    }
    // 3. What is there (after the index, so that a pack that it names was there before).
    TRY(look_at_packs(marks.index()));
    TRY(count_live_bytes(marks));
    // 4. What follows.
    // No rule ever drops the last point: none at all means a repository of which nothing was completed
    // yet, or one whose points can't be seen now. Nothing goes for that.
    if (points.empty() && !packs_.empty()) {
      plan_.report.notes.push_back("there is no point at all: no pack goes before there is one");
      return std::move(plan_);
    }
    for (const auto& [digest, pack] : packs_) decide(digest, pack);
    tell_of_packs_ahead();
    decide_repacked();
    choose_kept_blocks(marks);
    return std::move(plan_);
  }

 private:
  // A writer that ended within the margin may have committed a point that we can't see yet: it
  // counts for what is deleted.
  Result<void> look_at_leases() {
    auto leases = TRY(recent_leases(repository_.store(), visibility_margin_));
    now_ = TRY(repository_.store().server_time());
    for (LeaseInfo& lease : leases) {
      if (lease.id == own_) continue;
      const bool is_live = lease.expires > now_, is_writer = lease.kind == LeaseKind::kWriter;
      if (is_live) plan_.report.leases_live++;
      if (is_live && is_writer) oldest_writer_ = std::min(oldest_writer_, lease.since);
      if (is_live || is_writer) leases_.push_back(std::move(lease));
    }
    return {};
  }

  void tell_of_unreadable_index(const Index& index) {
    for (const Index::Unreadable& each : index.unreadable()) {
      plan_.report.notes.push_back(
          fmt::format("object {} stays: the key of epoch {} is missing or damaged (holdfast check --repair-index)",
                      index_name(each.object), each.epoch));
    }
  }

  Result<void> look_at_packs(const Index& index) {
    TRY(repository_.store().list(kPacksPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      const auto digest = digest_of_name(info.name);
      if (!digest.ok()) {
        plan_.report.notes.push_back(fmt::format("object {} stays: it is not named as a pack is", info.name));
        return {};
      }
      packs_[*digest] = {.size_bytes = info.size_bytes, .modified = info.modified};
      plan_.stored.insert(*digest);
      plan_.report.packs_total++;
      plan_.report.bytes_total += info.size_bytes;
      return {};
    }));
    for (const PackInfo& pack : index.packs()) {
      const auto found = packs_.find(pack.digest);
      states_.push_back(found == packs_.end() ? nullptr : &found->second);
      // Cut short: writers do not build on it, and have stored its blocks again.
      if (found != packs_.end() && found->second.size_bytes != pack.size_bytes) found->second.damaged = true;
    }
    for (const IndexEntry& entry : index.entries()) {
      if (PackState* pack = states_[entry.pack]) pack->record_bytes += entry.length;
    }
    for (const ObjectDigest& pack : TRY(noted_damaged_packs(repository_.store()))) {
      if (const auto found = packs_.find(pack); found != packs_.end()) found->second.damaged = true;
    }
    for (const Tombstone& tombstone : plan_.tombstones) {
      if (tombstone.damaged) continue;
      for (const ObjectDigest& pack : tombstone.packs) {
        if (const auto found = packs_.find(pack); found != packs_.end()) found->second.tombstone = &tombstone;
      }
    }
    return {};
  }

  // The place that keeps a needed block: one in a pack that is whole and stays, else one
  // that is whole, else any. A copy that was stored because of damage must not go for
  // the sake of what it replaces.
  const IndexEntry* place_of(std::span<const IndexEntry> places) const {
    const IndexEntry* best = nullptr;
    int least = INT_MAX;
    for (const IndexEntry& place : places) {
      const PackState* pack = states_[place.pack];
      if (!pack) continue;
      const int reluctance = (pack->damaged ? 2 : 0) + (pack->tombstone ? 1 : 0);
      if (reluctance >= least) continue;
      least = reluctance;
      best = &place;
    }
    return best;
  }

  template <typename Visit>
  Result<void> for_each_needed(const BlockMarks& marks, const Visit& visit) {
    const auto entries = marks.index().entries();
    for (size_t i = 0; i < entries.size();) {
      size_t end = i + 1;
      while (end < entries.size() && entries[end].id == entries[i].id) end++;
      if (marks.marked(i)) TRY(visit(entries.subspan(i, end - i)));
      i = end;
    }
    return {};
  }

  Result<void> count_live_bytes(const BlockMarks& marks) {
    return for_each_needed(marks, [&](std::span<const IndexEntry> places) -> Result<void> {
      const IndexEntry* place = place_of(places);
      if (!place) {
        return NeededBlocks::damaged(
            places[0].id, fmt::format("its pack {} is gone", pack_name(marks.index().packs()[places[0].pack].digest)));
      }
      states_[place->pack]->live_bytes += place->length;
      plan_.report.bytes_live += place->length;
      return {};
    });
  }

  void decide(const ObjectDigest& digest, const PackState& pack) {
    if (pack.tombstone) return decide_tombstoned(digest, pack);
    if (pack.modified >= oldest_writer_) return;  // perhaps a writer's who has not committed yet
    if (pack.live_bytes > 0) {
      // Of its blocks, not of its size: what a small pack costs in frames, its successor would cost, too.
      const double share = static_cast<double>(pack.live_bytes) / static_cast<double>(pack.record_bytes);
      if (share < options_.repack_below) sparse_.push_back({share, digest, pack.size_bytes});
      return;
    }
    plan_.condemned.insert(digest);
    plan_.report.packs_tombstoned++;
    plan_.report.bytes_tombstoned += pack.size_bytes;
  }

  // The emptiest first; the rest is for the next time, so that what is kept in mind stays bounded.
  void decide_repacked() {
    std::sort(sparse_.begin(), sparse_.end());
    sparse_.resize(std::min(sparse_.size(), kMaxRepacked));
    for (const auto& [share, digest, size_bytes] : sparse_) {
      plan_.repacked[digest];
      plan_.report.packs_repacked++;
      plan_.report.packs_tombstoned++;
      plan_.report.bytes_tombstoned += size_bytes;
    }
  }

  void decide_tombstoned(const ObjectDigest& digest, const PackState& pack) {
    const Tombstone& tombstone = *pack.tombstone;
    if (pack.live_bytes > 0) {
      plan_.resurrected[tombstone.id].insert(digest);
      plan_.report.packs_resurrected++;
      return;
    }
    if (!tombstone.settled) return;
    // A pack that came after its tombstone is a writer's who has not seen that.
    const Time settled = std::max(*tombstone.settled, pack.modified);
    if (pack.modified > now_) {
      packs_ahead_++;
      last_ahead_ = std::max(last_ahead_, pack.modified);
    }
    const Time seen_by_all = settled + visibility_margin_;
    if (now_ < std::max(seen_by_all, settled + options_.grace)) return;
    for (const LeaseInfo& lease : leases_) {
      if (lease.since > seen_by_all) continue;
      plan_.report.notes.push_back(
          fmt::format("pack {} stays: {} \"{}\" (process {}) on {} since {}", digest.hex().substr(0, 8),
                      lease_kind_name(lease.kind), lease.purpose, lease.pid, lease.host,
                      lease.since.ns == INT64_MIN ? "an unknown time" : format_rfc3339(lease.since)));
      return;
    }
    plan_.deleted.insert(digest);
    plan_.report.packs_deleted++;
    plan_.report.bytes_deleted += pack.size_bytes;
  }

  void tell_of_packs_ahead() {
    if (packs_ahead_ == 0) return;
    plan_.report.notes.push_back(
        fmt::format("{} packs that nothing needs stay until their dates have passed, the last at {}: the store's clock "
                    "was ahead, or is behind now",
                    packs_ahead_, format_rfc3339(last_ahead_)));
  }

  void choose_kept_blocks(const BlockMarks& marks) {
    if (plan_.repacked.empty()) return;
    const auto chosen = for_each_needed(marks, [&](std::span<const IndexEntry> places) -> Result<void> {
      const IndexEntry* place = place_of(places);
      const auto found = plan_.repacked.find(marks.index().packs()[place->pack].digest);
      if (found != plan_.repacked.end()) found->second.insert(place->id);
      return {};
    });
    CHECK(chosen.ok());
  }

  RepositoryAccess& repository_;
  const CollectOptions& options_;
  const Duration visibility_margin_;
  const std::string own_;
  Progress& progress_;
  CollectPlan plan_;
  std::vector<LeaseInfo> leases_;
  Time oldest_writer_{INT64_MAX};
  Time now_;
  uint64_t packs_ahead_ = 0;  // condemned, and dated after now_
  Time last_ahead_{INT64_MIN};
  std::map<ObjectDigest, PackState> packs_;
  std::vector<std::tuple<double, ObjectDigest, uint64_t>> sparse_;  // live share, pack, size
  std::vector<PackState*> states_;                                  // by position in the index's packs; null: gone
};

}  // namespace

Result<CollectPlan> plan_collection(RepositoryAccess& repository, const CollectOptions& options,
                                    Duration visibility_margin, const std::string& own, Progress& progress) {
  return Planner(repository, options, visibility_margin, own, progress).run();
}

}  // namespace holdfast::repo
