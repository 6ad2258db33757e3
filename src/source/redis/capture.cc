#include "source/redis/capture.h"

#include "base/log.h"
#include "base/parallel.h"
#include "repo/tree.h"
#include "source/chunker.h"
#include "source/redis/rdb_stream.h"

namespace holdfast::redis {

namespace {

constexpr size_t kReadBytes = 256u << 10;
constexpr uint64_t kRegionBytes = 64ull << 20;

// Cuts an RDB, as it comes, where its content says.
class RdbCutter {
 public:
  RdbCutter(RdbStream& rdb, const source::GearTable& table, Progress& progress)
      : rdb_(rdb), chunker_(table), progress_(progress) {}

  // The next block; empty at the end.
  Result<std::optional<Bytes>> next() {
    Bytes block = std::move(rest_);
    rest_ = Bytes();
    size_t looked_at = 0;
    chunker_.restart();
    while (true) {
      const size_t cut = chunker_.feed(block.view(looked_at, block.size() - looked_at));
      if (cut != source::Chunker::kNoCut) {
        const size_t end = looked_at + cut;
        rest_ = Bytes::copy_of(block.view(end, block.size() - end));
        block.resize(end);
        return std::optional(std::move(block));
      }
      looked_at = block.size();
      if (!TRY(read_more(block))) break;
    }
    if (block.empty()) return std::optional<Bytes>();
    return std::optional(std::move(block));
  }

 private:
  Result<bool> read_more(Bytes& block) {
    const size_t before = block.size();
    if (block.capacity() < before + kReadBytes) block.reserve(source::Chunker::kMaximumBytes + 2 * kReadBytes);
    block.resize(before + kReadBytes);
    const size_t got = TRY(rdb_.read(block.mutable_view().subspan(before)));
    block.resize(before + got);
    progress_.bytes_done += got;
    return got > 0;
  }

  RdbStream& rdb_;
  source::Chunker chunker_;
  Progress& progress_;
  Bytes rest_;
};

Result<repo::Content> store_rdb(source::World& world, repo::WriteSession& session, RdbStream& rdb) {
  const source::GearTable table = source::GearTable::of(session.repository());
  RdbCutter cutter(rdb, table, world.progress);
  repo::ContentBuilder builder(session, kRegionBytes);
  TRY((ordered_pipeline<Bytes, repo::Extent>(
      world.threads, 2 * world.threads + 2, [&] { return cutter.next(); },
      [&](Bytes& block) -> Result<repo::Extent> {
        const repo::BlockId id = TRY(session.put(repo::BlockKind::kData, block.view()));
        return repo::Extent{.length_bytes = block.size(), .block = id};
      },
      [&](const repo::Extent& extent) { return builder.add(extent); })));
  return builder.finish();
}

SnapshotSource describe(const ReplicationSession& replication, const SyncAnswer& answer, const RdbStream& rdb) {
  const ServerFacts& facts = replication.facts();
  SnapshotSource source;
  source.position = answer.position;
  if (answer.latest > answer.time) source.latest = answer.latest;
  source.redis_version = facts.version;
  source.run_id = facts.run_id;
  source.place = replication.place();
  source.databases = facts.databases;
  source.rdb_bytes = rdb.check().size_bytes();
  source.rdb_version = rdb.check().version();
  source.rdb_checksum = rdb.check().has_checksum();
  source.has_users = facts.has_users;
  return source;
}

}  // namespace

Result<repo::Snapshot> capture_rdb(source::World& world, repo::WriteSession& session, ReplicationSession& replication,
                                   const SyncAnswer& answer) {
  CHECK(answer.full);
  const Duration began = world.clock.monotonic();
  const uint64_t stored_before = session.stats().stored_bytes;
  world.progress.phase = "waiting for the server's fork";
  RdbStream rdb = TRY(RdbStream::begin(replication.session()));
  world.progress.phase = "receiving the RDB";
  if (rdb.announced_bytes() > 0) world.progress.bytes_total = rdb.announced_bytes();

  repo::Entry entry;
  entry.path = kRdbName;
  entry.mode = 0640;
  entry.modified = entry.changed = entry.captured = answer.time;
  entry.content = TRY(store_rdb(world, session, rdb));
  entry.size_bytes = rdb.check().size_bytes();
  repo::TreeWriter tree(session);
  TRY(tree.add(entry));

  repo::Snapshot snapshot;
  snapshot.kind = "redis";
  snapshot.root = TRY(tree.finish());
  snapshot.instant = answer.time;
  snapshot.files = 1;
  snapshot.source_bytes = snapshot.read_bytes = entry.size_bytes;
  snapshot.stored_bytes = session.stats().stored_bytes - stored_before;
  snapshot.took = world.clock.monotonic() - began;
  snapshot.source = to_json(describe(replication, answer, rdb));
  log_info("redis.captured", {{"bytes", entry.size_bytes},
                              {"replid", answer.position.replid},
                              {"offset", answer.position.offset},
                              {"diskless", rdb.is_diskless()}});
  return snapshot;
}

Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const Connection& connection) {
  world.progress.phase = "connecting";
  const auto replication = TRY(ReplicationSession::connect(connection, &world.progress.stop));
  const SyncAnswer answer = TRY(replication->sync(std::nullopt, true, world.clock));
  return capture_rdb(world, session, *replication, answer);
}

}  // namespace holdfast::redis
