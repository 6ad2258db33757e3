#include "repo/write_session.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "crypto/aead.h"
#include "repo/block_codec.h"
#include "repo/block_set.h"
#include "repo/damaged_packs.h"
#include "repo/lease.h"
#include "repo/pack_builder.h"
#include "repo/pack_uploader.h"
#include "repo/session_part.h"
#include "repo/tombstone.h"

// The order in which begin() looks at the repository is what makes reuse safe:
// lease, tombstones, packs, index. Whatever the index then offers was not about to
// be deleted, and nothing that is announced from now on goes while the lease lives
// (README.md, "Collection").

namespace holdfast::repo {

namespace {

constexpr size_t kMetadataPackBytes = 8u << 20;    // at most; they are read back in small pieces
constexpr size_t kLeastAhead = 1u << 20;           // of a pack that is stored before it is full
constexpr size_t kIndexBatchRecords = 256 * 1024;  // a first backup of terabytes does not hold its whole index
constexpr size_t kStatLimit = 64;                  // more packs than this are looked up by one listing

size_t class_of(BlockKind kind) { return kind == BlockKind::kData ? 0 : 1; }

Result<std::map<ObjectDigest, uint64_t>> stored_packs(store::ObjectStore& store) {
  std::map<ObjectDigest, uint64_t> packs;
  TRY(store.list(kPacksPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (const auto digest = digest_of_name(info.name); digest.ok()) packs.emplace(*digest, info.size_bytes);
    return {};
  }));
  return packs;
}

class Session final : public WriteSession {
 public:
  Session(RepositoryAccess& repository, const WriteOptions& options, std::unique_ptr<Lease> lease,
          std::shared_ptr<const Index> index, std::vector<uint8_t> usable)
      : repository_(repository),
        options_(options),
        epoch_(repository.keys().newest()),
        lease_(std::move(lease)),
        index_(std::move(index)),
        usable_(std::move(usable)),
        used_(usable_.size()),
        uploader_(repository.store(), [this](Index::Part part) { return note_stored(std::move(part)); }) {}

  Result<BlockId> put(BlockKind kind, ByteView plain) override {
    const BlockId id = repository_.id_of(kind, plain);
    TRY(put_known(id, kind, plain));
    return id;
  }

  Result<void> put_known(const BlockId& id, BlockKind kind, ByteView plain) override {
    return put_counted(id, kind, plain, nullptr);
  }

  // `part`: figures that count it, too; guarded by our mutex, as our own are.
  Result<void> put_counted(const BlockId& id, BlockKind kind, ByteView plain, WriteStats* part) {
    if (plain.size() > kMaxBlockBytes) {
      return make_error(ErrorCode::kInternal, "a block of {} bytes is larger than the limit of {}", plain.size(),
                        kMaxBlockBytes);
    }
    TRY(uploader_.status());
    {
      const std::lock_guard lock(mutex_);
      const bool is_known = known(id);
      if (!is_known) ids_.insert(id);
      for (WriteStats* stats : {&stats_, part}) {
        if (stats == nullptr) continue;
        if (is_known) {
          stats->blocks_reused++;
        } else {
          stats->blocks_new++;
          stats->raw_bytes_new += plain.size();
        }
      }
      if (is_known) return {};
    }
    add(id, kind, plain, part);
    return {};
  }

  Result<bool> reuse(const BlockId& id) override { return reuse_counted(id, nullptr); }

  Result<bool> reuse_counted(const BlockId& id, WriteStats* part) {
    const std::lock_guard lock(mutex_);
    if (!known(id)) return false;
    stats_.blocks_reused++;
    if (part != nullptr) part->blocks_reused++;
    return true;
  }

  Result<void> status() { return uploader_.status(); }

  Result<void> flush() override {
    std::vector<std::unique_ptr<PackBuilder>> ready;
    {
      const std::lock_guard lock(mutex_);
      for (auto& open : open_) {
        CHECK_MSG(!open || open->in_flight == 0, "flush() while put() runs");
        if (open) ready.push_back(std::move(open->builder));
        open.reset();
      }
    }
    for (auto& pack : ready) uploader_.push(std::move(pack));
    TRY(uploader_.drain());
    TRY(write_index_parts(0));
    return repository_.refresh();
  }

  void store_ahead() override {
    std::unique_ptr<PackBuilder> pack;
    {
      const std::lock_guard lock(mutex_);
      const size_t data = class_of(BlockKind::kData);
      if (open_[data] && open_[data]->builder->used_bytes() >= kLeastAhead) pack = close(data);
    }
    if (pack) uploader_.push(std::move(pack));
  }

  Result<PointId> commit(Point& point) override {
    // 1. All blocks, then the index that finds them.
    TRY(flush());
    // 2. All that it refers to is still there, and what was taken over still ours to refer to.
    TRY(ensure_packs());
    TRY(lease_->freshen());
    TRY(lease_->ensure_held(std::min(Lease::kCommitMargin, Duration{options_.lease.ns / 2})));
    // 3. The point; it goes again if the lease ended meanwhile.
    const PointId id = TRY(repository_.create_point(point));
    if (auto held = lease_->ensure_held(); !held.ok()) {
      ignore(repository_.remove_point(id), "the error to tell is the lost lease; check names the point if it stays");
      return std::move(held).error();
    }
    if (const auto info = repository_.store().stat(point_name(id)); info.ok()) {
      const std::lock_guard lock(mutex_);
      stats_.stored_bytes += info->size_bytes;
    }
    if (const auto concluded = lease_->conclude(id.hex()); !concluded.ok())
      log_warn("repo.lease.not_concluded", {{"lease", lease_->info().object}, {"error", concluded.error().text()}});
    return id;
  }

  Repository& repository() override { return repository_; }

  WriteStats stats() const override { return copy_of(stats_); }
  // Figures that our mutex guards.
  WriteStats copy_of(const WriteStats& stats) const {
    const std::lock_guard lock(mutex_);
    return stats;
  }

 private:
  // A pack and the number of threads that are sealing records into it.
  struct Filling {
    std::unique_ptr<PackBuilder> builder;
    size_t in_flight = 0;
    bool closed = false;
  };

  // With mutex_ held. Whether the block may be referred to; remembers the pack.
  bool known(const BlockId& id) {
    for (const IndexEntry& entry : index_->find(id)) {
      if (!usable_[entry.pack]) continue;
      used_[entry.pack] = true;
      return true;
    }
    return ids_.contains(id);
  }

  void add(const BlockId& id, BlockKind kind, ByteView plain, WriteStats* part) {
    thread_local Bytes scratch;
    if (scratch.size() < compress_bound(plain.size())) scratch = Bytes(compress_bound(plain.size()));
    const auto size = compress(plain, options_.compression_level, scratch.mutable_view());
    const ByteView content = size ? scratch.view(0, *size) : plain;

    std::shared_ptr<Filling> filling;
    PackBuilder::Place place;
    std::unique_ptr<PackBuilder> full;
    {
      const std::lock_guard lock(mutex_);
      full = make_room(class_of(kind), content.size());
      filling = open_[class_of(kind)];
      place = filling->builder->reserve(id, kind, plain.size(), content.size());
      filling->in_flight++;
      const uint64_t record_bytes = kRecordHeaderBytes + content.size() + crypto::kTagBytes;
      stats_.stored_bytes += record_bytes;
      if (part != nullptr) part->stored_bytes += record_bytes;
    }
    if (full) uploader_.push(std::move(full));
    filling->builder->fill(place, kind, plain.size(), size.has_value(), content);
    {
      const std::lock_guard lock(mutex_);
      if (--filling->in_flight == 0 && filling->closed) full = std::move(filling->builder);
    }
    if (full) uploader_.push(std::move(full));
  }

  // With mutex_ held. Closes the open pack, if there is one. Gives it when nobody writes
  // into it any more; else its last writer pushes it.
  std::unique_ptr<PackBuilder> close(size_t pack_class) {
    std::shared_ptr<Filling>& open = open_[pack_class];
    std::unique_ptr<PackBuilder> pack;
    if (!open) return pack;
    open->closed = true;
    if (open->in_flight == 0) pack = std::move(open->builder);
    open.reset();
    return pack;
  }

  // With mutex_ held. Opens a pack in which such a record fits. Gives the one before, as close() does.
  std::unique_ptr<PackBuilder> make_room(size_t pack_class, size_t content_bytes) {
    std::shared_ptr<Filling>& open = open_[pack_class];
    std::unique_ptr<PackBuilder> full;
    if (open && !open->builder->fits(content_bytes)) full = close(pack_class);
    if (!open) {
      const ObjectType type = pack_class == 0 ? ObjectType::kDataPack : ObjectType::kMetadataPack;
      const size_t capacity = pack_class == 0 ? options_.pack_bytes : std::min(options_.pack_bytes, kMetadataPackBytes);
      Bytes buffer = pack_class == 0 ? uploader_.take_buffer() : Bytes();
      open = std::make_shared<Filling>();
      open->builder = std::make_unique<PackBuilder>(type, epoch_, capacity, std::move(buffer), repository_.random());
    }
    return full;
  }

  // From an upload thread.
  Result<void> note_stored(Index::Part part) {
    {
      const std::lock_guard lock(mutex_);
      stats_.stored_bytes += part.pack.size_bytes;  // what put() has counted of it already:
      for (const PackRecord& record : part.records) stats_.stored_bytes -= record.length;
      unindexed_records_ += part.records.size();
      own_packs_[part.pack.digest] = part.pack.size_bytes;
      unindexed_.push_back(std::move(part));
    }
    return write_index_parts(kIndexBatchRecords);
  }

  // Indexes the packs that are stored, when they hold more than `above` records.
  Result<void> write_index_parts(size_t above) {
    std::vector<Index::Part> parts;
    {
      const std::lock_guard lock(mutex_);
      if (unindexed_records_ <= above) return {};
      parts.swap(unindexed_);
      unindexed_records_ = 0;
    }
    // Without a lease the packs may have been collected: then an index would name what is gone.
    TRY(lease_->ensure_held());
    const auto objects = TRY(write_index(repository_.store(), repository_.keys(), repository_.random(), parts));
    if (auto held = lease_->ensure_held(); !held.ok()) {
      for (const ObjectDigest& object : objects)
        ignore(repository_.store().remove(index_name(object)), "the error to tell is the lost lease");
      return held;
    }
    for (const ObjectDigest& object : objects) {
      const auto info = repository_.store().stat(index_name(object));
      if (!info.ok()) continue;  // a collector has merged it with others already
      const std::lock_guard lock(mutex_);
      stats_.stored_bytes += info->size_bytes;
    }
    return {};
  }

  // Those that were built on, and our own.
  Result<void> ensure_packs() {
    std::map<ObjectDigest, uint64_t> needed;
    {
      const std::lock_guard lock(mutex_);
      needed = own_packs_;
      for (size_t i = 0; i < used_.size(); i++) {
        if (used_[i]) needed.emplace(index_->packs()[i].digest, index_->packs()[i].size_bytes);
      }
    }
    const auto gone = [](const ObjectDigest& pack) {
      return make_error(ErrorCode::kLeaseLost, "pack {} that this writer builds on is gone or cut short",
                        pack_name(pack))
          .with_retryable()
          .with_hint("nothing was committed; run it again");
    };
    if (needed.size() > kStatLimit) {
      const auto stored = TRY(stored_packs(repository_.store()));
      for (const auto& [pack, size_bytes] : needed) {
        const auto at = stored.find(pack);
        if (at == stored.end() || at->second != size_bytes) return gone(pack);
      }
      return {};
    }
    for (const auto& [pack, size_bytes] : needed) {
      const auto info = repository_.store().stat(pack_name(pack));
      if (!info.ok() && info.error().code() != ErrorCode::kNotFound) return info.error().clone();
      if (!info.ok() || info->size_bytes != size_bytes) return gone(pack);
    }
    return {};
  }

  RepositoryAccess& repository_;
  const WriteOptions options_;
  const EpochKey& epoch_;
  const std::unique_ptr<Lease> lease_;
  const std::shared_ptr<const Index> index_;
  const std::vector<uint8_t> usable_;  // by position in index_->packs()
  mutable std::mutex mutex_;
  std::vector<uint8_t> used_;  // guarded by mutex_, as is what follows
  BlockSet ids_;
  std::shared_ptr<Filling> open_[2];  // by class_of()
  std::vector<Index::Part> unindexed_;
  size_t unindexed_records_ = 0;
  std::map<ObjectDigest, uint64_t> own_packs_;  // and their sizes
  WriteStats stats_;
  PackUploader uploader_;  // last: its threads use what is above
};

class Part final : public WriteSession {
 public:
  explicit Part(Session& whole) : whole_(whole) {}

  Result<BlockId> put(BlockKind kind, ByteView plain) override {
    const BlockId id = whole_.repository().id_of(kind, plain);
    TRY(put_known(id, kind, plain));
    return id;
  }
  Result<void> put_known(const BlockId& id, BlockKind kind, ByteView plain) override {
    return whole_.put_counted(id, kind, plain, &stats_);
  }
  Result<bool> reuse(const BlockId& id) override { return whole_.reuse_counted(id, &stats_); }
  Result<PointId> commit(Point&) override {
    return make_error(ErrorCode::kInternal, "a part of a session can't be committed alone");
  }
  Result<void> flush() override { return whole_.status(); }
  void store_ahead() override {}
  Repository& repository() override { return whole_.repository(); }
  WriteStats stats() const override { return whole_.copy_of(stats_); }

 private:
  Session& whole_;
  WriteStats stats_;  // guarded by the session's mutex
};

}  // namespace

std::unique_ptr<WriteSession> part_of(WriteSession& session) {
  auto* const whole = dynamic_cast<Session*>(&session);
  CHECK_MSG(whole != nullptr, "a session that is not ours");
  return std::make_unique<Part>(*whole);
}

Result<std::unique_ptr<WriteSession>> begin_session(Repository& repository, const WriteOptions& options,
                                                    const SessionInternals& internals) {
  RepositoryAccess& ours = access(repository);
  auto lease = TRY(
      Lease::take(ours.environment(), {.kind = LeaseKind::kWriter, .purpose = options.purpose, .term = options.lease}));
  const std::set<ObjectDigest> tombstoned = TRY(tombstoned_packs(ours.store()));
  TRY(ours.refresh());
  auto index = TRY(ours.index());
  TRY(ours.keys().ensure_newest_known(ours.store()));
  const auto stored = TRY(stored_packs(ours.store()));
  std::set<ObjectDigest> avoid = TRY(noted_damaged_packs(ours.store()));
  avoid.insert(internals.avoid.begin(), internals.avoid.end());
  std::vector<uint8_t> usable;
  usable.reserve(index->packs().size());
  for (const PackInfo& pack : index->packs()) {
    // A pack that is lost, cut short or damaged is not built on: its blocks are stored again.
    const auto at = stored.find(pack.digest);
    usable.push_back(at != stored.end() && at->second == pack.size_bytes && !tombstoned.contains(pack.digest) &&
                     !avoid.contains(pack.digest));
  }
  return std::unique_ptr<WriteSession>(
      std::make_unique<Session>(ours, options, std::move(lease), std::move(index), std::move(usable)));
}

Result<std::unique_ptr<WriteSession>> WriteSession::begin(Repository& repository, const WriteOptions& options) {
  return begin_session(repository, options, {});
}

}  // namespace holdfast::repo
