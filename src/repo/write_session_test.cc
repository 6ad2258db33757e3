// Covers: round trip of blocks and points, deduplication (in a session, across
// sessions, between threads), what a session does not build on, errors of the store
// in the background, any damaged byte of a pack or index, cut packs, lost footers,
// leases that end, packs that vanish before commit.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "repo/lease.h"
#include "repo/open_repository.h"
#include "repo/scratch_repository.h"
#include "repo/session_part.h"
#include "repo/test_clock.h"
#include "repo/test_outcome.h"
#include "repo/tombstone.h"
#include "repo/write_session.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

struct Written {
  ScratchRepository scratch;
  std::unique_ptr<Repository> repository = scratch.init();
  std::unique_ptr<Random> content = seeded_random(99);
  std::vector<std::pair<BlockId, Bytes>> blocks;

  std::unique_ptr<WriteSession> begin(WriteOptions options = {}) {
    auto session = WriteSession::begin(*repository, options);
    EXPECT_TRUE(session.ok()) << session.error().text();
    return std::move(session).value();
  }
  void put(WriteSession& session, size_t size, BlockKind kind = BlockKind::kData) {
    Bytes plain = ScratchRepository::text(*content, size);
    const auto id = session.put(kind, plain.view());
    ASSERT_TRUE(id.ok()) << id.error().text();
    blocks.emplace_back(*id, std::move(plain));
  }
  void write(size_t count, size_t size) {
    const auto session = begin();
    for (size_t i = 0; i < count; i++) put(*session, size + i);
    Point point = ScratchRepository::point();
    const auto committed = session->commit(point);
    ASSERT_TRUE(committed.ok()) << committed.error().text();
  }
  std::string pack() { return scratch.names("packs/").at(0); }
  size_t readable(Repository& from) {
    size_t good = 0;
    for (const auto& [id, plain] : blocks) {
      const auto read = from.read_block(id);
      if (read.ok()) {
        EXPECT_TRUE(equal((*read)->view(), plain.view())) << "wrong bytes given as right";
        good++;
      }
    }
    return good;
  }
};

TEST(WriteSession, GivesBackBlocksOfEverySizeAndKind) {
  Written w;
  {
    const auto session = w.begin();
    for (const size_t size : {0u, 1u, 100u, 8192u, 300'000u, 1'000'000u}) w.put(*session, size);
    for (const BlockKind kind : {BlockKind::kRegion, BlockKind::kTreeChunk, BlockKind::kTreeRoot})
      w.put(*session, 5000, kind);
    Bytes noise(70'000);
    w.content->fill(noise.mutable_view());
    w.blocks.emplace_back(session->put(BlockKind::kData, noise.view()).value(), std::move(noise));
    Point point = ScratchRepository::point();
    ASSERT_TRUE(session->commit(point).ok());
    EXPECT_EQ(session->stats().blocks_new, 10u);
    uint64_t stored = 0;
    for (const std::string prefix : {"packs/", "index/", "points/"}) {
      for (const std::string& name : w.scratch.names(prefix)) stored += w.scratch.get(name).size();
    }
    EXPECT_EQ(session->stats().stored_bytes, stored);
  }
  EXPECT_EQ(w.scratch.names("packs/").size(), 2u);  // data, metadata
  EXPECT_TRUE(live_leases(*w.scratch.store).value().empty());
  EXPECT_EQ(recent_leases(*w.scratch.store, Duration::hours(1)).value().size(), 1u) << "it tells that it was there";
  EXPECT_EQ(w.scratch.names("leases/").size(), 1u);
  const auto opened = w.scratch.open().value();
  for (const auto& [id, plain] : w.blocks) {
    EXPECT_EQ(opened->block_size(id).value(), plain.size());
    Bytes out(plain.size());
    const auto read = opened->read_block_into(id, out.mutable_view());
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_TRUE(equal(out.view(), plain.view()));
    EXPECT_TRUE(equal(opened->read_block(id).value()->view(), plain.view()));
  }
  EXPECT_EQ(opened->points()->size(), 1u);
}

TEST(WriteSession, TellsKindsApart) {
  Written w;
  const Bytes plain = Bytes::zeros(10);
  EXPECT_NE(w.repository->id_of(BlockKind::kData, plain.view()), w.repository->id_of(BlockKind::kRegion, plain.view()));
}

TEST(WriteSession, StoresABlockOnce) {
  Written w;
  w.write(3, 1000);
  const auto session = w.begin();
  const BlockId known = w.blocks[1].first;
  EXPECT_TRUE(session->reuse(known).value());
  EXPECT_EQ(session->put(BlockKind::kData, w.blocks[0].second.view()).value(), w.blocks[0].first);
  const Bytes fresh = ScratchRepository::text(*w.content, 500);
  const BlockId id = w.repository->id_of(BlockKind::kData, fresh.view());
  EXPECT_FALSE(session->reuse(id).value());
  ASSERT_TRUE(session->put(BlockKind::kData, fresh.view()).ok());
  ASSERT_TRUE(session->put(BlockKind::kData, fresh.view()).ok());
  EXPECT_TRUE(session->reuse(id).value());
  EXPECT_EQ(session->stats().blocks_new, 1u);
  EXPECT_EQ(session->stats().blocks_reused, 4u);
}

TEST(WriteSession, StoresNothingWhenNothingIsNew) {
  Written w;
  w.write(3, 1000);
  const auto session = w.begin();
  ASSERT_TRUE(session->put(BlockKind::kData, w.blocks[0].second.view()).ok());
  Point point = ScratchRepository::point("again");
  ASSERT_TRUE(session->commit(point).ok());
  EXPECT_EQ(w.scratch.names("packs/").size(), 1u);
  EXPECT_EQ(w.scratch.names("index/").size(), 1u);
  EXPECT_EQ(w.scratch.names("points/").size(), 2u);
}

TEST(WriteSession, StoresAheadWhatWasPut) {
  Written w;
  const auto session = w.begin();
  session->store_ahead();  // nothing yet
  w.put(*session, 5000);
  session->store_ahead();  // not worth a pack
  Bytes noise(2u << 20);
  w.content->fill(noise.mutable_view());
  const auto id = session->put(BlockKind::kData, noise.view());
  ASSERT_TRUE(id.ok());
  w.blocks.emplace_back(*id, std::move(noise));
  w.put(*session, 5000, BlockKind::kTreeChunk);
  session->store_ahead();
  while (w.scratch.names("packs/").empty()) std::this_thread::yield();
  w.put(*session, 6000);
  Point point = ScratchRepository::point();
  ASSERT_TRUE(session->commit(point).ok());
  EXPECT_EQ(w.scratch.names("packs/").size(), 3u);  // data, metadata, data
  EXPECT_EQ(w.readable(*w.scratch.open().value()), 4u);
}

TEST(WriteSession, RefusesABlockThatIsTooLarge) {
  Written w;
  const auto session = w.begin();
  const Bytes large = Bytes::zeros(WriteSession::kMaxBlockBytes + 1);
  EXPECT_EQ(outcome(session->put(BlockKind::kData, large.view())),
            "internal: a block of 8388609 bytes is larger than the limit of 8388608");
  const Bytes largest = Bytes::zeros(WriteSession::kMaxBlockBytes);
  EXPECT_TRUE(session->put(BlockKind::kData, largest.view()).ok());
}

TEST(WriteSession, TakesBlocksFromManyThreads) {
  Written w;
  constexpr int kThreads = 6, kBlocks = 300;
  const auto block = [](int number) {
    const auto random = seeded_random(static_cast<uint64_t>(number));
    return ScratchRepository::text(*random, 500 + static_cast<size_t>(random->below(20'000)));
  };
  {
    const auto session = w.begin({.pack_bytes = 100'000});
    std::atomic<int> failed{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
          for (int i = 0; i < kBlocks; i++) {
            // Half of the blocks are every thread's.
            const Bytes plain = block(i % 2 ? i : t * 1000 + i);
            if (!session->put(i % 3 ? BlockKind::kData : BlockKind::kTreeChunk, plain.view()).ok()) failed++;
          }
        });
      }
    }
    EXPECT_EQ(failed, 0);
    Point point = ScratchRepository::point();
    const auto committed = session->commit(point);
    ASSERT_TRUE(committed.ok()) << committed.error().text();
    EXPECT_EQ(session->stats().blocks_new, uint64_t{kBlocks / 2 + kThreads * kBlocks / 2});
  }
  EXPECT_GT(w.scratch.names("packs/").size(), 10u);
  const auto opened = w.scratch.open().value();
  for (int t = 0; t < kThreads; t++) {
    for (int i = 0; i < kBlocks; i++) {
      const Bytes plain = block(i % 2 ? i : t * 1000 + i);
      const BlockId id = opened->id_of(i % 3 ? BlockKind::kData : BlockKind::kTreeChunk, plain.view());
      const auto read = opened->read_block(id);
      ASSERT_TRUE(read.ok()) << read.error().text();
      ASSERT_TRUE(equal((*read)->view(), plain.view()));
    }
  }
}

TEST(WriteSession, OfAnOpenRepositoryIsSeenByItAndByOthersAfterRefresh) {
  Written w;
  const auto other = w.scratch.open().value();
  w.write(1, 100);
  EXPECT_EQ(w.readable(*w.repository), 1u);
  EXPECT_EQ(w.readable(*other), 1u);  // an unknown block makes it read the index again
}

TEST(WriteSession, ThatIsGivenUpLeavesNoPointAndNoLease) {
  Written w;
  {
    const auto session = w.begin({.pack_bytes = 10'000});
    for (int i = 0; i < 50; i++) w.put(*session, 3000 + static_cast<size_t>(i));
  }
  EXPECT_TRUE(w.scratch.names("leases/").empty());
  EXPECT_TRUE(w.scratch.names("points/").empty());
}

TEST(WriteSession, DoesNotBuildOnAPackThatIsLostCutShortOrTombstoned) {
  for (const std::string how : {"lost", "cut", "tombstoned"}) {
    Written w;
    w.write(2, 1000);
    if (how == "lost") {
      ASSERT_TRUE(w.scratch.store->remove(w.pack()).ok());
    }
    if (how == "cut") w.scratch.truncate(w.pack(), 500);
    if (how == "tombstoned") {
      const ObjectDigest digest = digest_of_name(w.pack()).value();
      auto tomb = announce_tombstone(w.scratch.environment, {digest});
      ASSERT_TRUE(tomb.ok()) << tomb.error().text();
    }
    const auto session = w.begin();
    EXPECT_FALSE(session->reuse(w.blocks[0].first).value()) << how;
    ASSERT_TRUE(session->put(BlockKind::kData, w.blocks[0].second.view()).ok());
    Point point = ScratchRepository::point("again");
    const auto committed = session->commit(point);
    ASSERT_TRUE(committed.ok()) << how << ": " << committed.error().text();
    EXPECT_EQ(session->stats().blocks_new, 1u) << how;
    const auto opened = w.scratch.open().value();
    EXPECT_TRUE(equal(opened->read_block(w.blocks[0].first).value()->view(), w.blocks[0].second.view())) << how;
  }
}

TEST(WriteSession, DoesNotCommitWhenAPackThatItBuildsOnIsGone) {
  Written w;
  w.write(2, 1000);
  const auto session = w.begin();
  ASSERT_TRUE(session->reuse(w.blocks[0].first).value());
  const std::string pack = w.pack();
  ASSERT_TRUE(w.scratch.store->remove(pack).ok());
  Point point = ScratchRepository::point("again");
  EXPECT_EQ(outcome(session->commit(point)),
            "lease-lost: pack " + pack + " that this writer builds on is gone or cut short");
  EXPECT_EQ(w.scratch.names("points/").size(), 1u);
}

TEST(WriteSession, DoesNotCommitWhenAPackOfItsOwnIsGone) {
  Written w;
  const auto session = w.begin();
  w.put(*session, 1000);
  ASSERT_TRUE(session->flush().ok());
  const std::string pack = w.pack();
  ASSERT_TRUE(w.scratch.store->remove(pack).ok());
  Point point = ScratchRepository::point();
  EXPECT_EQ(outcome(session->commit(point)),
            "lease-lost: pack " + pack + " that this writer builds on is gone or cut short");
  EXPECT_TRUE(w.scratch.names("points/").empty());
}

TEST(WriteSession, CommitsNoPointThatNoReaderOpens) {
  Point point = ScratchRepository::point();
  const size_t size = describe_point(point).value().size();
  EXPECT_TRUE(describe_point(point, size).ok());
  point.tags.push_back(std::string(1000, 'x'));
  EXPECT_EQ(describe_point(point, size + 1000).error().code(), ErrorCode::kUnsupported);
}

// Sees nothing of the index at first, and counts the objects of it that are read.
class LateIndexStore : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    if (prefix == "index/" && missed_lists > 0) {
      missed_lists--;
      return {};
    }
    return PassingStore::list(prefix, visit);
  }
  Result<Bytes> read_all(std::string_view name) override {
    if (name.starts_with("index/")) index_reads++;
    return PassingStore::read_all(name);
  }
  int missed_lists = 0;
  int index_reads = 0;
};

// As where a collector stores the new object and removes the old ones while we list.
TEST(WriteSession, AnIndexThatIsMergedWhileItIsListedIsSeen) {
  Written w;
  w.write(3, 1000);
  LateIndexStore late(*w.scratch.store);
  const auto opened =
      open_repository({late, system_clock(), *w.scratch.random}, ScratchRepository::passphrase()).value();
  late.missed_lists = 1;
  const auto session = WriteSession::begin(*opened, {}).value();
  EXPECT_TRUE(session->reuse(w.blocks[0].first).value());
}

TEST(WriteSession, ABlockIsFoundWhereItWentThoughAnotherPlaceOfItIsDamaged) {
  Written w;
  w.write(1, 1000);
  const std::string damaged = w.pack();
  const BlockId id = w.blocks[0].first;
  const auto write_anew = [&] {
    const auto before = w.scratch.names("packs/");
    std::vector<ObjectDigest> avoid;
    for (const std::string& name : before) avoid.push_back(digest_of_name(name).value());
    const auto session = begin_session(*w.repository, {}, {avoid}).value();
    EXPECT_TRUE(session->put_known(id, BlockKind::kData, w.blocks[0].second.view()).ok());
    EXPECT_TRUE(session->flush().ok());
    for (const std::string& name : w.scratch.names("packs/")) {
      if (std::find(before.begin(), before.end(), name) == before.end()) return name;
    }
    return std::string();
  };
  const std::string second = write_anew();
  LateIndexStore counting(*w.scratch.store);
  const auto reader =
      open_repository({counting, system_clock(), *w.scratch.random}, ScratchRepository::passphrase()).value();
  ASSERT_TRUE(reader->read_block(id).ok());
  reader->set_cache_bytes(0);
  w.scratch.flip(damaged, kPackHeaderBytes + kRecordHeaderBytes + 3);
  write_anew();
  ASSERT_TRUE(w.scratch.store->remove(second).ok());
  const auto read = reader->read_block(id);
  EXPECT_TRUE(read.ok()) << read.error().text();
  // Where all are lost the index is not read for every block anew.
  for (const std::string& name : w.scratch.names("packs/")) ASSERT_TRUE(w.scratch.store->remove(name).ok());
  const int reads = counting.index_reads;
  for (int i = 0; i < 5; i++) EXPECT_EQ(reader->read_block(id).error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(counting.index_reads, reads);
}

TEST(WriteSession, DoesNotCommitWithoutItsLease) {
  Written w;
  const auto session = w.begin();
  w.put(*session, 100);
  for (const std::string& name : w.scratch.names("leases/")) ASSERT_TRUE(w.scratch.store->remove(name).ok());
  Point point = ScratchRepository::point();
  const auto committed = session->commit(point);
  ASSERT_FALSE(committed.ok());
  EXPECT_EQ(committed.error().code(), ErrorCode::kLeaseLost);
  EXPECT_TRUE(committed.error().message().ends_with("was removed before the work ended")) << committed.error().text();
  EXPECT_TRUE(w.scratch.names("points/").empty());
}

// Nobody renewed the lease meanwhile, and a collector may have taken what the session builds on.
TEST(WriteSession, OfAMachineThatWasSuspendedForLongerThanItsLeaseCommitsNothing) {
  TestClock clock;
  ScratchRepository scratch(1, clock);
  const auto repository = scratch.init();
  const auto content = seeded_random(99);
  const Bytes plain = ScratchRepository::text(*content, 1000);
  for (const bool suspended : {true, false}) {
    const auto session = WriteSession::begin(*repository, {}).value();
    const auto id = session->put(BlockKind::kData, plain.view());
    ASSERT_TRUE(id.ok());
    if (suspended) clock.advance(Duration::hours(10));
    Point point = ScratchRepository::point();
    const auto committed = session->commit(point);
    EXPECT_EQ(committed.ok(), !suspended);
    EXPECT_EQ(scratch.names("points/").size(), suspended ? 0u : 1u);
    if (suspended) {
      EXPECT_EQ(committed.error().code(), ErrorCode::kLeaseLost);
      continue;
    }
    ASSERT_TRUE(repository->refresh().ok());
    EXPECT_TRUE(equal((*repository->read_block(*id))->view(), plain.view()));
  }
}

// A store that fails to create whatever begins with a prefix.
class FailingStore final : public store::PassingStore {
 public:
  FailingStore(store::ObjectStore& inner, std::string prefix) : PassingStore(inner), prefix_(std::move(prefix)) {}
  Result<void> create(std::string_view name, ByteView content) override {
    if (name.starts_with(prefix_))
      return make_error(ErrorCode::kNoSpace, "no space for {}", name.substr(0, name.find('/')));
    return PassingStore::create(name, content);
  }

 private:
  const std::string prefix_;
};

TEST(WriteSession, TellsAFailureOfTheStore) {
  for (const std::string prefix : {"packs", "index", "points"}) {
    Written w;
    FailingStore failing(*w.scratch.store, prefix);
    const auto repository =
        open_repository({failing, system_clock(), *w.scratch.random}, ScratchRepository::passphrase()).value();
    const auto session = WriteSession::begin(*repository, {.pack_bytes = 20'000}).value();
    Result<void> put;
    for (int i = 0; i < 1000 && put.ok(); i++) {
      const Bytes plain = ScratchRepository::text(*w.content, 9000);
      const auto id = session->put(BlockKind::kData, plain.view());
      if (!id.ok()) put = id.error().clone();
    }
    if (prefix == "packs") {
      EXPECT_EQ(outcome(put), "no-space: no space for packs");
    }
    Point point = ScratchRepository::point();
    EXPECT_EQ(outcome(session->commit(point)), "no-space: no space for " + prefix);
    EXPECT_TRUE(w.scratch.names("points/").empty());
  }
}

// Whatever byte of a pack is flipped: the block it belongs to is named or nothing is
// lost; other blocks read; nothing wrong is ever given as right.
TEST(Damage, OfAnyByteOfAPackIsNamedAndCostsOneBlock) {
  Written w;
  w.write(4, 300);
  const std::string name = w.pack();
  const Bytes intact = w.scratch.get(name);
  for (size_t at = 0; at < intact.size(); at++) {
    w.scratch.flip(name, at, static_cast<uint8_t>(1u << at % 8));
    const auto opened = w.scratch.open().value();
    const size_t good = w.readable(*opened);
    ASSERT_GE(good, 3u) << "byte " << at;
    for (const auto& [id, plain] : w.blocks) {
      const auto read = opened->read_block(id);
      if (read.ok()) continue;
      EXPECT_EQ(read.error().code(), ErrorCode::kDamaged);
      ASSERT_NE(read.error().message().find("pack " + name + " is damaged: block " + id.hex()), std::string::npos)
          << read.error().message();
    }
    const Bytes broken = w.scratch.get(name);
    const auto scan = scan_pack(access(*opened).keys(), broken.view(), name);
    ASSERT_TRUE(scan.ok()) << scan.error().text();
    ASSERT_EQ(scan->records.size(), good) << "byte " << at;
    ASSERT_EQ(read_digested(*w.scratch.store, name).error().code(), ErrorCode::kDamaged);
    w.scratch.replace(name, intact.view());
  }
}

TEST(Damage, OfACutPackLosesOnlyWhatIsCutOff) {
  Written w;
  w.write(4, 300);
  const std::string name = w.pack();
  const Bytes intact = w.scratch.get(name);
  const auto directory = read_directory(access(*w.repository).keys(), intact.view(), name).value();
  for (size_t size = 0; size < intact.size(); size += 7) {
    w.scratch.truncate(name, size);
    const auto opened = w.scratch.open().value();
    size_t whole = 0;
    for (const PackRecord& record : directory) whole += record.offset + record.length <= size;
    ASSERT_EQ(w.readable(*opened), whole) << "cut to " << size;
    const auto scan = scan_pack(access(*opened).keys(), intact.view(0, size), name);
    if (size >= kPackHeaderBytes) {
      ASSERT_TRUE(scan.ok()) << scan.error().text();
      EXPECT_EQ(scan->records.size(), whole);
      EXPECT_FALSE(scan->damage.empty());
    } else {
      EXPECT_EQ(scan.error().code(), ErrorCode::kDamaged);
    }
    w.scratch.replace(name, intact.view());
  }
}

TEST(Damage, OfTheFooterIsMadeGoodByScanning) {
  Written w;
  w.write(4, 300);
  const std::string name = w.pack();
  const KeySet& keys = access(*w.repository).keys();
  Bytes pack = w.scratch.get(name);
  const auto directory = read_directory(keys, pack.view(), name).value();
  ASSERT_EQ(directory.size(), 4u);
  for (size_t i = directory.back().offset + directory.back().length; i < pack.size(); i++) pack[i] = 0xAA;
  EXPECT_EQ(outcome(read_directory(keys, pack.view(), name)),
            "damaged: pack " + name + " is damaged: its trailer is broken");
  const auto scan = scan_pack(keys, pack.view(), name).value();
  ASSERT_EQ(scan.records.size(), 4u);
  for (size_t i = 0; i < 4; i++) {
    EXPECT_EQ(scan.records[i].id, directory[i].id);
    EXPECT_EQ(scan.records[i].offset, directory[i].offset);
    EXPECT_EQ(scan.records[i].length, directory[i].length);
    EXPECT_EQ(scan.records[i].raw_length, directory[i].raw_length);
  }
  ASSERT_EQ(scan.damage.size(), 2u);
  EXPECT_EQ(scan.damage[1].problem, "no block can be read there");
}

TEST(Damage, OfAnIndexObjectIsNamedWhateverByteIsFlipped) {
  Written w;
  w.write(2, 300);
  const std::string name = w.scratch.names("index/").at(0);
  const Bytes intact = w.scratch.get(name);
  for (size_t at = 0; at < intact.size(); at++) {
    w.scratch.flip(name, at);
    const auto opened = w.scratch.open().value();
    ASSERT_EQ(outcome(opened->read_block(w.blocks[0].first)),
              "damaged: object " + name + " is damaged: its bytes are not those that its name stands for");
    std::vector<std::string> damaged;
    const auto index = Index::load(*w.scratch.store, access(*opened).keys(),
                                   [&](const std::string& object, const Error&) { damaged.push_back(object); });
    ASSERT_TRUE(index.ok());
    EXPECT_EQ(damaged, (std::vector<std::string>{name}));
    w.scratch.replace(name, intact.view());
  }
}

TEST(Damage, OfOneCopyOfABlockIsMadeGoodByAnother) {
  Written w;
  w.write(1, 500);
  const std::string first = w.pack();
  {
    SessionInternals internals{{digest_of_name(first).value()}};
    const auto session = begin_session(*w.repository, {}, internals).value();
    ASSERT_TRUE(session->put(BlockKind::kData, w.blocks[0].second.view()).ok());
    Point point = ScratchRepository::point("copy");
    ASSERT_TRUE(session->commit(point).ok());
  }
  ASSERT_EQ(w.scratch.names("packs/").size(), 2u);
  for (const std::string& name : w.scratch.names("packs/")) {
    const Bytes intact = w.scratch.get(name);
    w.scratch.flip(name, kPackHeaderBytes + kRecordHeaderBytes);
    EXPECT_EQ(w.readable(*w.scratch.open().value()), 1u);
    w.scratch.replace(name, intact.view());
    ASSERT_TRUE(w.scratch.store->remove(name).ok());
    EXPECT_EQ(w.readable(*w.scratch.open().value()), 1u);
    ASSERT_TRUE(w.scratch.store->create(name, intact.view()).ok());
  }
}

TEST(SessionPart, EachCountsItsOwnAndOneCommitStoresAll) {
  Written w;
  const auto session = w.begin();
  constexpr size_t kParts = 3, kBlocks = 200;
  std::vector<std::unique_ptr<WriteSession>> parts;
  for (size_t i = 0; i < kParts; i++) parts.push_back(part_of(*session));
  std::vector<Bytes> shared;
  for (size_t i = 0; i < kBlocks; i++) shared.push_back(ScratchRepository::text(*w.content, 3000));
  std::vector<std::vector<Bytes>> own(kParts);
  for (auto& blocks : own) {
    for (size_t i = 0; i < kBlocks; i++) blocks.push_back(ScratchRepository::text(*w.content, 2000));
  }
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kParts; i++) {
      threads.emplace_back([&, i] {
        for (size_t j = 0; j < kBlocks; j++) {
          EXPECT_TRUE(parts[i]->put(BlockKind::kData, shared[j].view()).ok());
          EXPECT_TRUE(parts[i]->put(BlockKind::kData, own[i][j].view()).ok());
        }
        EXPECT_TRUE(parts[i]->reuse(w.repository->id_of(BlockKind::kData, shared[0].view())).value());
        EXPECT_TRUE(parts[i]->flush().ok());
      });
    }
  }
  WriteStats sum;
  for (const auto& part : parts) {
    sum.blocks_new += part->stats().blocks_new;
    sum.blocks_reused += part->stats().blocks_reused;
    sum.raw_bytes_new += part->stats().raw_bytes_new;
    sum.stored_bytes += part->stats().stored_bytes;
  }
  EXPECT_EQ(sum.blocks_new, kBlocks * (kParts + 1));
  EXPECT_EQ(sum.blocks_new, session->stats().blocks_new);
  EXPECT_EQ(sum.blocks_reused, kBlocks * (kParts - 1) + kParts);
  EXPECT_EQ(sum.raw_bytes_new, session->stats().raw_bytes_new);
  Point point = ScratchRepository::point();
  EXPECT_EQ(outcome(parts[0]->commit(point)), "internal: a part of a session can't be committed alone");
  ASSERT_TRUE(session->commit(point).ok());
  EXPECT_GT(session->stats().stored_bytes, sum.stored_bytes);
  const auto repository = w.scratch.open().value();
  for (const auto& blocks : own) {
    for (const Bytes& block : blocks)
      EXPECT_TRUE(repository->read_block(w.repository->id_of(BlockKind::kData, block.view())).ok());
  }
}

}  // namespace
}  // namespace holdfast::repo
