#include "repo/check.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/parallel.h"
#include "crypto/digest.h"
#include "repo/checked_json.h"
#include "repo/damage.h"
#include "repo/damaged_packs.h"
#include "repo/lease.h"
#include "repo/log_codec.h"
#include "repo/log_store.h"
#include "repo/object_names.h"
#include "repo/read_share.h"
#include "repo/read_whole.h"
#include "repo/salvage.h"
#include "repo/tombstone.h"
#include "repo/tree_walk.h"

namespace holdfast::repo {
namespace {

constexpr size_t kThreads = 2;
constexpr int kLooks = 3;

class Checker : private WalkSink {
 public:
  Checker(RepositoryAccess& repository, const CheckOptions& options, Progress& progress)
      : repository_(repository), options_(options), progress_(progress) {}

  // Points before the index, the index before packs: what each names was there before it.
  Result<CheckReport> run() {
    progress_.phase = "checking structure";
    TRY(check_key_objects(repository_, told()));
    TRY(count_objects());
    TRY(check_small_objects());
    const auto points = TRY(repository_.points(told()));
    report_.points = points.size();
    TRY(find_blocks_of(points));
    report_.blocks = index_->entries().size();
    tell_of_packs();
    note_lost_blocks();
    TRY(check_logs());
    TRY(check_data());
    report_.damage = damage_.take();
    // What nothing refers to any more may be what a damaged object referred to.
    if (!report_.damage.empty()) report_.garbage_packs = report_.garbage_bytes = 0;
    TRY(note_damaged_packs());
    return std::move(report_);
  }

 private:
  // So that the next backup stores anew what it still has of them. Of packs that are lost
  // or cut short every writer sees that itself.
  Result<void> note_damaged_packs() {
    for (const Damage& damage : report_.damage) {
      if (!damage.object.starts_with(kPacksPrefix)) continue;
      const auto digest = digest_of_name(damage.object);
      if (!digest.ok() || !stored_.contains(*digest)) continue;
      auto noted = note_damaged_pack(repository_.environment(), *digest);
      if (noted.ok()) continue;
      // Where nothing may be written somebody else has to check.
      if (noted.error().code() == ErrorCode::kPermission) return {};
      if (noted.error().code() != ErrorCode::kNoSpace) return noted;
      report_.notes.emplace_back(
          "the repository is full, and which packs are damaged could not be noted in it: make room and check again, so "
          "that the next backup stores anew what it still has of them");
      return {};
    }
    return {};
  }

  std::function<void(const std::string&, const Error&)> told() {
    return [this](const std::string& object, const Error& error) { damage_.add(object, error); };
  }

  Result<void> ensure_wanted() const {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "check was stopped");
    return {};
  }

  Result<void> count_objects() {
    return repository_.store().list("", [&](const store::ObjectInfo&) -> Result<void> {
      report_.objects++;
      return {};
    });
  }

  Result<void> check_small_objects() {
    TRY(live_leases(repository_.store(), told()));
    TRY(load_tombstones(repository_.store(), told()));
    for (const std::string_view prefix : {kVerifiedPrefix, kHoldsPrefix, kDamagedPrefix, std::string_view("checks/")}) {
      std::vector<std::string> names;
      TRY(repository_.store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
        names.push_back(info.name);
        return {};
      }));
      for (const std::string& name : names) {
        const auto bytes = read_whole(repository_.store(), name);
        if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) continue;  // removed meanwhile
        if (!bytes.ok() && !is_damage(bytes.error())) return bytes.error().clone();
        const auto json =
            bytes.ok() ? decode_checked_json(*bytes, name) : Result<nlohmann::json>(bytes.error().clone());
        if (!json.ok()) damage_.add(name, json.error());
      }
    }
    return {};
  }

  // A block that no index object has may be in one that was merged with others as we looked.
  Result<void> find_blocks_of(const std::vector<Point>& points) {
    for (int attempt = 1;; attempt++) {
      TRY(look_at_packs());
      TRY(walk_points(points));
      if (unknown_.empty() || attempt == kLooks) return {};
      const auto again = TRY(load_index_despite_damage(repository_, told()));
      if (std::equal(again->objects().begin(), again->objects().end(), index_->objects().begin(),
                     index_->objects().end()))
        return {};
      unknown_.clear();
    }
  }

  // A collector that goes on meanwhile removes packs after their index: what the index of
  // a moment ago misses is damage only if a newer one misses it, too.
  Result<void> look_at_packs() {
    for (int attempt = 1;; attempt++) {
      index_ = TRY(load_index_despite_damage(repository_, told()));
      TRY(list_packs());
      const auto& packs = index_->packs();
      const bool whole = std::all_of(packs.begin(), packs.end(), [&](const PackInfo& pack) { return is_whole(pack); });
      if (!whole && attempt < kLooks) continue;
      whole_.clear();
      for (const PackInfo& pack : packs) whole_.push_back(is_whole(pack));
      return {};
    }
  }

  bool is_whole(const PackInfo& pack) const {
    const auto found = stored_.find(pack.digest);
    return found != stored_.end() && found->second == pack.size_bytes;
  }

  Result<void> list_packs() {
    stored_.clear();
    return repository_.store().list(kPacksPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      const auto digest = digest_of_name(info.name);
      if (digest.ok())
        stored_[*digest] = info.size_bytes;
      else
        damage_.add(info.name, "it is not named as a pack is");
      return {};
    });
  }

  void tell_of_packs() {
    report_.packs = stored_.size();
    for (const PackInfo& pack : index_->packs()) {
      const auto found = stored_.find(pack.digest);
      if (found == stored_.end())
        damage_.add(pack_name(pack.digest), "it is gone");
      else if (!is_whole(pack))
        damage_.add(pack_name(pack.digest),
                    fmt::format("it has {} bytes instead of {}", found->second, pack.size_bytes));
    }
  }

  Result<void> walk_points(const std::vector<Point>& points) {
    marks_ = std::make_unique<BlockMarks>(index_);
    SalvageRepository blocks(repository_, index_);
    for (const Point& point : points) {
      for (const Snapshot& snapshot : point.snapshots) TRY(walk_tree(blocks, snapshot.root, kThreads, *this));
    }
    return {};
  }

  // A block that is missing is told once for all, in note_lost_blocks().
  Result<bool> enter(BlockKind, const BlockId& id) override {
    TRY(ensure_wanted());
    const auto outcome = marks_->mark(id);
    if (outcome == BlockMarks::Outcome::kUnknown) {
      std::lock_guard lock(mutex_);
      unknown_.insert(id);
    }
    return outcome == BlockMarks::Outcome::kFirst;
  }

  Result<void> unreadable(BlockKind, const BlockId& id, const Error& error) override {
    if (!is_damage(error)) return error.clone();
    for (const IndexEntry& place : index_->find(id)) {
      if (whole_[place.pack]) damage_.add(pack_name(index_->packs()[place.pack].digest), error);
    }
    return {};
  }

  // Blocks that points need and that no whole pack has; and packs that nobody needs.
  void note_lost_blocks() {
    if (!unknown_.empty()) {
      damage_.add(
          std::string(kIndexPrefix),
          fmt::format(
              "{} blocks that points need (the first is {}) are in no index object: try holdfast check --repair-index",
              unknown_.size(), unknown_.begin()->hex()));
    }
    std::vector<uint64_t> lost(index_->packs().size());
    std::vector<bool> needed(index_->packs().size());
    const auto entries = index_->entries();
    for (size_t i = 0; i < entries.size();) {
      size_t end = i;
      bool whole = false;
      for (; end < entries.size() && entries[end].id == entries[i].id; end++) {
        whole |= whole_[entries[end].pack];
        if (marks_->marked(i)) needed[entries[end].pack] = true;
      }
      if (marks_->marked(i) && !whole) lost[entries[i].pack]++;
      i = end;
    }
    for (size_t pack = 0; pack < lost.size(); pack++) {
      const PackInfo& info = index_->packs()[pack];
      if (lost[pack])
        damage_.add(pack_name(info.digest),
                    fmt::format("{} that points need {} only in it",
                                lost[pack] == 1 ? "a block" : fmt::format("{} blocks", lost[pack]),
                                lost[pack] == 1 ? "was" : "were"));
    }
    count_garbage(needed);
  }

  void count_garbage(const std::vector<bool>& needed) {
    std::set<ObjectDigest> used;
    for (size_t pack = 0; pack < needed.size(); pack++) {
      if (needed[pack]) used.insert(index_->packs()[pack].digest);
    }
    for (const auto& [digest, size_bytes] : stored_) {
      if (used.count(digest)) continue;
      report_.garbage_packs++;
      report_.garbage_bytes += size_bytes;
    }
  }

  Result<void> check_logs() {
    progress_.phase = "checking logs";
    share_ = TRY(ReadShare::next(repository_, options_.read_data_percent));
    const auto logs = open_log_store(repository_);
    TRY(add_up(*logs));
    const std::set<std::string> moving = TRY(moving_records());
    for (const std::string& stream : TRY(logs->streams())) {
      for (const LogStore::Info& record : TRY(logs->list(stream))) {
        TRY(ensure_wanted());
        std::string object = log_object_name(stream, record.name);
        if (moving.contains(log_moving_name(stream, record.name)) && TRY(is_gone(object)))
          object = log_moving_name(stream, record.name);
        report_.records++;
        const bool whole = share_.takes(object);
        const auto read =
            whole ? discard(logs->get(stream, record.name)) : check_log_frame(*logs, stream, record, object);
        if (whole) add_bytes_read(record.stored_bytes);
        if (read.ok() || read.error().code() == ErrorCode::kNotFound) continue;  // not found: removed meanwhile
        if (!is_damage(read.error())) return read.error().clone();
        damage_.add(object, read.error());
      }
    }
    return {};
  }

  // What will be read, before any of it is.
  Result<void> add_up(LogStore& logs) {
    if (options_.read_data_percent == 0) return {};
    uint64_t bytes = 0;
    for (const std::string& stream : TRY(logs.streams())) {
      for (const LogStore::Info& record : TRY(logs.list(stream))) {
        if (share_.takes(log_object_name(stream, record.name))) bytes += record.stored_bytes;
      }
    }
    for (const auto& [digest, size_bytes] : stored_) {
      if (share_.takes(digest)) bytes += size_bytes;
    }
    progress_.bytes_total = bytes;
    return {};
  }

  // What a rotation that was cut short has left under the other name.
  Result<std::set<std::string>> moving_records() {
    std::set<std::string> names;
    TRY(repository_.store().list(kLogMovingPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
      names.insert(info.name);
      return {};
    }));
    return names;
  }

  Result<bool> is_gone(const std::string& object) {
    const auto there = repository_.store().stat(object);
    if (!there.ok() && there.error().code() != ErrorCode::kNotFound) return there.error().clone();
    return !there.ok();
  }

  // The record's header opens, and the object is as long as its lengths add up to.
  Result<void> check_log_frame(LogStore& logs, const std::string& stream, const LogStore::Info& record,
                               const std::string& object) {
    TRY(logs.get_header(stream, record.name));
    const Bytes bytes = TRY(repository_.store().read(object, 0, kLogPrefixBytes));
    const LogPrefix prefix = TRY(parse_log_prefix(bytes, object));
    const uint64_t expected = kLogPrefixBytes + uint64_t{prefix.header_length} + prefix.body_length;
    if (record.stored_bytes == expected) return {};
    return make_error(ErrorCode::kDamaged, "object {} is damaged: it has {} bytes instead of {}", object,
                      record.stored_bytes, expected);
  }

  template <typename T>
  static Result<void> discard(Result<T> result) {
    if (!result.ok()) return std::move(result).error();
    return {};
  }

  void add_bytes_read(uint64_t bytes) {
    progress_.bytes_done += bytes;
    bytes_read_ += bytes;
  }

  Result<void> check_data() {
    progress_.phase = "reading data";
    std::vector<ObjectDigest> packs;
    for (const auto& [digest, size_bytes] : stored_) {
      if (share_.takes(digest)) packs.push_back(digest);
    }
    TRY(parallel_for(packs.size(), kThreads, [&](size_t i) { return check_pack(packs[i]); }));
    report_.bytes_read = bytes_read_;
    auto finished = share_.finish(repository_);
    if (finished.ok() || finished.error().code() != ErrorCode::kNoSpace) return finished;
    report_.notes.emplace_back("the repository is full: the next check reads the same share of the data once more");
    return {};
  }

  // The pack's bytes against its name, then every record, so that it is known which blocks are lost.
  Result<void> check_pack(const ObjectDigest& digest) {
    TRY(ensure_wanted());
    const std::string name = pack_name(digest);
    const auto bytes = read_whole(repository_.store(), name);
    if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) return {};  // collected meanwhile
    if (!bytes.ok() && !is_damage(bytes.error())) return bytes.error().clone();
    if (!bytes.ok()) {
      damage_.add(name, bytes.error());
      return {};
    }
    add_bytes_read(bytes->size());
    if (crypto::sha256(*bytes) != digest.bytes) damage_.add(name, "its bytes are not those that its name stands for");
    const auto scan = scan_pack(repository_.keys(), *bytes, name);
    if (!scan.ok()) {
      damage_.add(name, scan.error());
      return {};
    }
    for (const PackDamage& part : scan->damage) {
      damage_.add(name, fmt::format("{} (at byte {}, {} bytes)", part.problem, part.offset, part.length));
    }
    return {};
  }

  RepositoryAccess& repository_;
  const CheckOptions& options_;
  Progress& progress_;
  CheckReport report_;
  DamageList damage_;
  ReadShare share_;
  std::shared_ptr<const Index> index_;
  std::map<ObjectDigest, uint64_t> stored_;  // packs that are there, and their sizes
  std::vector<bool> whole_;                  // by position in the index's packs: there, and as long as it should be
  std::unique_ptr<BlockMarks> marks_;
  std::mutex mutex_;
  std::set<BlockId> unknown_;  // guarded by mutex_
  std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace

Result<CheckReport> check(Repository& repository, const CheckOptions& options, Progress& progress) {
  RepositoryAccess& ours = access(repository);
  const auto lease = Lease::take(ours.environment(), {.kind = LeaseKind::kReader, .purpose = "check"});
  // Where nothing may be written nothing is collected either.
  const bool is_full = !lease.ok() && lease.error().code() == ErrorCode::kNoSpace;
  if (!lease.ok() && !is_full && lease.error().code() != ErrorCode::kPermission) return lease.error().clone();
  CheckReport report = TRY(Checker(ours, options, progress).run());
  if (is_full)
    report.notes.emplace_back(
        "the repository is full: there was no room for a lease. What a prune took away at the same time is told as "
        "damage");
  return report;
}

}  // namespace holdfast::repo
