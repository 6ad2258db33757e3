// Covers: collection step by step (mark, tombstone, grace, leases, delete, resurrect,
// repack, index compaction, sweeping, dry run, damage, two at once, a killed collector).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "repo/check.h"
#include "repo/checked_json.h"
#include "repo/collect.h"
#include "repo/hold.h"
#include "repo/keyring.h"
#include "repo/lease.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "repo/test_points.h"
#include "repo/tombstone.h"
#include "repo/visibility.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

class CollectTest : public testing::Test {
 protected:
  CollectTest() : scratch_(7, clock_), repository_(scratch_.init()) {}

  Point take(const std::vector<TestFile>& files) {
    clock_.advance(Duration::seconds(10));
    auto point = take_test_point(*repository_, files, clock_.now());
    EXPECT_TRUE(point.ok()) << (point.ok() ? "" : point.error().text());
    clock_.advance(Duration::seconds(10));
    return std::move(point).value();
  }
  CollectReport run(CollectOptions options = {.dry_run = false, .grace = {}, .repack_below = 0.7}) {
    clock_.advance(Duration::seconds(10));
    auto report = collect(*repository_, options, {}, progress_);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().text());
    clock_.advance(Duration::seconds(10));
    return std::move(report).value();
  }
  CollectReport dry_run() { return run({.dry_run = true, .grace = {}, .repack_below = 0.7}); }
  void expect_clean() {
    const auto report = check(*repository_, {.read_data_percent = 100}, progress_).value();
    for (const Damage& damage : report.damage) ADD_FAILURE() << damage.object << ": " << damage.problem;
    for (const Point& point : repository_->points().value()) {
      const auto verified = verify_test_point(*repository_, point);
      EXPECT_TRUE(verified.ok()) << verified.error().text();
    }
  }
  size_t count(const std::string& prefix) { return scratch_.names(prefix).size(); }
  static std::vector<uint64_t> pieces(uint64_t first, uint64_t end) {
    std::vector<uint64_t> numbers;
    for (uint64_t i = first; i < end; i++) numbers.push_back(i);
    return numbers;
  }

  TestClock clock_;
  ScratchRepository scratch_;
  std::unique_ptr<Repository> repository_;
  Progress progress_;
};

TEST_F(CollectTest, a_removed_points_packs_go_in_two_runs) {
  const Point first = take({{"a", pieces(0, 20)}});
  const Point second = take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  const size_t packs = count("packs/");
  CollectReport report = run();
  EXPECT_EQ(report.packs_tombstoned, 2u);  // its data, its tree
  EXPECT_EQ(report.packs_deleted, 0u);
  EXPECT_EQ(count("packs/"), packs);
  EXPECT_EQ(count("tombs/"), 2u);
  report = run();
  EXPECT_EQ(report.packs_deleted, 2u);
  EXPECT_GT(report.bytes_deleted, 60'000u);
  EXPECT_EQ(count("packs/"), packs - 2);
  EXPECT_EQ(count("tombs/"), 0u);
  EXPECT_EQ(count("leases/"), 0u);
  expect_clean();
  report = run();
  EXPECT_EQ(report.packs_deleted + report.packs_tombstoned + report.packs_repacked, 0u);
  EXPECT_EQ(report.bytes_total > report.bytes_live, true);
}

TEST_F(CollectTest, waits_for_the_grace_time) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  const CollectOptions options;  // a day
  EXPECT_EQ(run(options).packs_tombstoned, 2u);
  clock_.advance(Duration::hours(23));
  EXPECT_EQ(run(options).packs_deleted, 0u);
  clock_.advance(Duration::hours(1));
  EXPECT_EQ(run(options).packs_deleted, 2u);
  expect_clean();
}

TEST_F(CollectTest, says_that_packs_wait_for_dates_of_a_clock_that_was_ahead) {
  clock_.advance(Duration::hours(240));
  const Point first = take({{"a", pieces(0, 20)}});
  clock_.advance(Duration::hours(-240));
  for (const std::string& lease : scratch_.names("leases/")) ASSERT_TRUE(scratch_.store->remove(lease).ok());
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  EXPECT_EQ(run().packs_tombstoned, 2u);
  const CollectReport report = run();
  EXPECT_EQ(report.packs_deleted, 0u);
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_EQ(report.notes[0].substr(0, 70), "2 packs that nothing needs stay until their dates have passed, the las");
  clock_.advance(Duration::hours(240));
  EXPECT_EQ(run().packs_deleted, 2u);
}

// What is in tmp/ and not named as we name what we have not finished is somebody's.
TEST_F(CollectTest, sweeps_unfinished_objects_and_no_other_file) {
  const std::string unfinished = "tmp/0123456789abcdef01234567";
  const std::vector<std::string> others = {"tmp/0123456789abcdef0123456", "tmp/0123456789abcdef01234567.txt",
                                           "tmp/folder/0123456789abcdef01234567", "tmp/thesis"};
  take({{"a", pieces(0, 20)}});
  ASSERT_TRUE(scratch_.store->create(unfinished, as_bytes("half")).ok());
  for (const std::string& other : others) ASSERT_TRUE(scratch_.store->create(other, as_bytes("mine")).ok());
  run();
  EXPECT_EQ(scratch_.names("tmp/").size(), others.size() + 1) << "it may still be written";
  clock_.advance(Duration::hours(2));
  run();
  EXPECT_EQ(scratch_.names("tmp/"), others);
}

TEST_F(CollectTest, a_lease_from_before_the_tombstone_keeps_the_packs) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  auto reader = Lease::take(scratch_.environment, {LeaseKind::kReader, "restore", Duration::hours(1), false}).value();
  EXPECT_EQ(run().packs_tombstoned, 2u);
  CollectReport report = run();
  EXPECT_EQ(report.packs_deleted, 0u);
  EXPECT_EQ(report.leases_live, 1u);
  ASSERT_EQ(report.notes.size(), 2u);
  EXPECT_NE(report.notes[0].find("stays: reader \"restore\" (process "), std::string::npos) << report.notes[0];
  auto newcomer = Lease::take(scratch_.environment, {LeaseKind::kReader, "restore", Duration::hours(1), false}).value();
  ASSERT_TRUE(reader->release().ok());
  EXPECT_EQ(run().packs_deleted, 2u);
}

// Another machine may see the tombstone only a while after it is settled: a writer of that time has
// perhaps not seen it.
TEST_F(CollectTest, without_grace_a_tombstone_waits_until_all_can_see_it) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  const auto run_at_once = [&] {
    clock_.advance(Duration::seconds(10));
    return collect(*repository_, {.grace = {}}, progress_).value();
  };
  EXPECT_EQ(run_at_once().packs_tombstoned, 2u);
  EXPECT_EQ(run_at_once().packs_deleted, 0u);
  auto late = Lease::take(scratch_.environment, {LeaseKind::kWriter, "backup", Duration::hours(1), false}).value();
  clock_.advance(kVisibilityMargin);
  EXPECT_EQ(run_at_once().packs_deleted, 0u) << "a lease that was taken within the margin counts as older";
  ASSERT_TRUE(late->release().ok());
  auto newcomer = Lease::take(scratch_.environment, {LeaseKind::kWriter, "backup", Duration::hours(1), false}).value();
  EXPECT_EQ(run_at_once().packs_deleted, 2u);
  ASSERT_TRUE(newcomer->release().ok());
  expect_clean();
}

TEST_F(CollectTest, a_point_committed_after_the_mark_resurrects_its_packs) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  // The writer begins, and takes everything over, before the tombstone.
  const auto session = WriteSession::begin(*repository_, {}).value();
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  const auto collector = scratch_.open().value();
  clock_.advance(Duration::seconds(10));
  ASSERT_EQ(collect(*collector, {.grace = {}}, {}, progress_).value().packs_tombstoned, 2u);
  ASSERT_TRUE(take_test_point(*session, {{"a2", pieces(0, 20)}}).ok());
  const CollectReport report = run();
  EXPECT_EQ(report.packs_deleted, 0u);
  EXPECT_EQ(report.packs_resurrected, 2u) << "the data, and the regions of the old tree";
  EXPECT_EQ(count("tombs/"), 0u);
  expect_clean();
}

TEST_F(CollectTest, a_newcomer_stores_anew_what_is_condemned) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  run();
  take({{"a", pieces(0, 20)}});
  const CollectReport report = run();
  EXPECT_EQ(report.packs_resurrected, 0u);
  EXPECT_EQ(report.packs_deleted, 2u);
  expect_clean();
}

// Tombstones bear no seal: anybody who may write here can make one, and say anything in it.
TEST_F(CollectTest, a_forged_tombstone_deletes_nothing_that_a_running_writer_needs) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  const auto session = WriteSession::begin(*repository_, {}).value();
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  ASSERT_TRUE(session->put(BlockKind::kData, piece(500)).ok());
  ASSERT_TRUE(session->flush().ok());
  nlohmann::json packs = nlohmann::json::array();
  for (const std::string& name : scratch_.names("packs/")) packs.push_back(name.substr(name.rfind('/') + 1));
  const std::string tombstone = "tombs/0123456789abcdef.";
  const auto forge = [&](const std::string& event, const nlohmann::json& json) {
    ASSERT_TRUE(scratch_.store->create(tombstone + event, encode_checked_json(json)).ok());
  };
  forge("packs", {{"announced_ns", 1}, {"packs", packs}});
  forge("settled", {{"settled_ns", 1}});
  const auto collector = scratch_.open().value();
  clock_.advance(Duration::seconds(10));
  EXPECT_EQ(collect(*collector, {.grace = {}}, {}, progress_).value().packs_deleted, 0u);
  ASSERT_TRUE(take_test_point(*session, {{"a2", pieces(0, 20)}, {"c", {500}}}).ok());
  EXPECT_EQ(run().packs_deleted, 0u);
  expect_clean();
}

TEST_F(CollectTest, a_forged_tombstone_waits_for_the_grace_time_as_any) {
  const Point first = take({{"a", pieces(0, 20)}});
  take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  nlohmann::json packs = nlohmann::json::array();
  for (const std::string& name : scratch_.names("packs/")) packs.push_back(name.substr(name.rfind('/') + 1));
  ASSERT_TRUE(scratch_.store
                  ->create("tombs/0123456789abcdef.packs", encode_checked_json({{"announced_ns", 1}, {"packs", packs}}))
                  .ok());
  ASSERT_TRUE(scratch_.store->create("tombs/0123456789abcdef.settled", encode_checked_json({{"settled_ns", 1}})).ok());
  EXPECT_EQ(run(CollectOptions{}).packs_deleted, 0u);
  clock_.advance(Duration::hours(24));
  EXPECT_EQ(run(CollectOptions{}).packs_deleted, 2u);
  expect_clean();
}

TEST_F(CollectTest, packs_of_a_running_writer_stay) {
  take({{"a", pieces(0, 20)}});
  WriteOptions options;
  const auto session = WriteSession::begin(*repository_, options).value();
  ASSERT_TRUE(session->put(BlockKind::kData, piece(500)).ok());
  ASSERT_TRUE(session->flush().ok());
  const auto collector = scratch_.open().value();
  clock_.advance(Duration::seconds(10));
  EXPECT_EQ(collect(*collector, {.grace = {}}, {}, progress_).value().packs_tombstoned, 0u);
  ASSERT_TRUE(take_test_point(*session, {{"c", {500}}}).ok());
  EXPECT_EQ(run().packs_tombstoned, 0u);
  expect_clean();
}

TEST_F(CollectTest, a_crashed_writers_packs_go_once_its_lease_ended) {
  take({{"a", pieces(0, 20)}});
  {
    const auto session = WriteSession::begin(*repository_, {}).value();
    ASSERT_TRUE(session->put(BlockKind::kData, piece(500)).ok());
    ASSERT_TRUE(session->flush().ok());
  }
  clock_.advance(Duration::seconds(10));
  // What a crash leaves that never came to the index.
  const Bytes orphan = Bytes::copy_of(as_bytes("not even a pack"));
  const auto crashed =
      Lease::take(scratch_.environment, {LeaseKind::kWriter, "backup", Duration::hours(1), false}).value();
  ASSERT_TRUE(create_digested(*scratch_.store, "packs/", orphan).ok());
  EXPECT_EQ(run().packs_tombstoned, 1u);
  clock_.advance(Duration::hours(2));
  EXPECT_EQ(run().packs_tombstoned, 1u);
  run();
  EXPECT_EQ(count("packs/"), 2u);
  EXPECT_EQ(count("tombs/") + count("leases/"), 0u);
  expect_clean();
}

TEST_F(CollectTest, sparse_packs_are_repacked_and_readers_are_not_disturbed) {
  const Point first = take({{"a", pieces(0, 20)}, {"b", pieces(20, 24)}});
  const Point second = take({{"b", pieces(20, 24)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  const CollectReport planned = dry_run();
  const CollectReport report = run();
  EXPECT_EQ(report.packs_repacked, 1u);
  EXPECT_EQ(report.packs_tombstoned, planned.packs_tombstoned);
  const auto reader = scratch_.open().value();
  ASSERT_TRUE(verify_test_point(*reader, second).ok());
  EXPECT_EQ(run().packs_deleted, report.packs_tombstoned);
  EXPECT_TRUE(verify_test_point(*reader, second).ok()) << "a reader with the old index finds the copies";
  EXPECT_EQ(run().packs_tombstoned, 0u);
  uint64_t bytes = 0;
  for (const std::string& name : scratch_.names("packs/")) bytes += scratch_.get(name).size();
  EXPECT_LT(bytes, 8 * kPieceBytes);
  expect_clean();
}

TEST_F(CollectTest, a_collector_killed_before_the_copies_were_safe_loses_nothing) {
  const Point first = take({{"a", pieces(0, 20)}, {"b", pieces(20, 24)}});
  take({{"b", pieces(20, 24)}});
  std::set<ObjectDigest> all;
  for (const std::string& name : scratch_.names("packs/")) all.insert(digest_of_name(name).value());
  // As if it had announced everything and died: the next one finds what is needed.
  ASSERT_TRUE(announce_tombstone(scratch_.environment, all).ok());
  EXPECT_EQ(run().packs_resurrected, all.size());
  EXPECT_EQ(count("tombs/"), 0u);
  EXPECT_EQ(run().packs_deleted, 0u);
  expect_clean();
}

TEST_F(CollectTest, a_dry_run_changes_nothing_and_reports_the_same) {
  const Point first = take({{"a", pieces(0, 20)}, {"b", pieces(20, 24)}});
  const Point second = take({{"c", pieces(50, 60)}});
  take({{"b", pieces(20, 24)}});
  const CollectReport foreseen =
      run({.dry_run = true, .grace = {}, .repack_below = 0.7, .as_if_removed = {first.id, second.id}});
  EXPECT_GT(foreseen.packs_tombstoned, dry_run().packs_tombstoned);
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  ASSERT_TRUE(repository_->remove_point(second.id).ok());
  EXPECT_EQ(dry_run().packs_tombstoned, foreseen.packs_tombstoned);
  EXPECT_EQ(dry_run().bytes_live, foreseen.bytes_live);
  for (int round = 0; round < 3; round++) {
    std::map<std::string, std::string> before;
    for (const std::string& name : scratch_.names()) before[name] = as_text(scratch_.get(name));
    const CollectReport planned = dry_run();
    std::map<std::string, std::string> after;
    for (const std::string& name : scratch_.names()) after[name] = as_text(scratch_.get(name));
    EXPECT_EQ(before, after);
    const CollectReport done = run();
    EXPECT_EQ(planned.packs_deleted, done.packs_deleted);
    EXPECT_EQ(planned.bytes_deleted, done.bytes_deleted);
    EXPECT_EQ(planned.packs_tombstoned, done.packs_tombstoned);
    EXPECT_EQ(planned.packs_repacked, done.packs_repacked);
    EXPECT_EQ(planned.bytes_live, done.bytes_live);
    EXPECT_EQ(planned.bytes_total, done.bytes_total);
  }
  expect_clean();
}

TEST_F(CollectTest, index_objects_are_merged_when_they_are_many) {
  for (uint64_t i = 0; i < 20; i++) take({{"f", pieces(i * 5, i * 5 + 5)}});
  ASSERT_EQ(count("index/"), 20u);
  run();
  EXPECT_EQ(count("index/"), 1u);
  EXPECT_EQ(repository_->points().value().size(), 20u);
  expect_clean();
}

// Each time that somebody has made an index object, a collection merges all there are.
class MergingStore : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  Result<void> create(std::string_view name, ByteView content) override {
    TRY(PassingStore::create(name, content));
    if (name.starts_with("index/") && merge) merge();
    return {};
  }
  std::function<void()> merge;
};

TEST_F(CollectTest, a_running_writers_index_may_be_merged_with_others) {
  for (uint64_t i = 0; i < 20; i++) take({{"f", pieces(i * 5, i * 5 + 5)}});
  MergingStore store(*scratch_.store);
  Environment environment{store, clock_, *scratch_.random};
  const auto writer = open_repository(environment, ScratchRepository::passphrase()).value();
  store.merge = [&] {
    run();
    EXPECT_EQ(count("index/"), 1u);
  };
  const auto point = take_test_point(*writer, {{"f", {500}}}, clock_.now());
  EXPECT_TRUE(point.ok()) << point.error().text();
  expect_clean();
}

TEST_F(CollectTest, refuses_to_judge_what_it_cannot_read) {
  const Point first = take({{"a", pieces(0, 20)}});
  const Point second = take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  scratch_.flip(point_name(second.id), 100);
  const auto fresh = scratch_.open().value();
  const auto report = collect(*fresh, {.grace = {}}, {}, progress_);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(count("tombs/"), 0u);
}

TEST_F(CollectTest, refuses_when_a_needed_pack_is_gone) {
  const Point first = take({{"a", pieces(0, 20)}});
  for (const std::string& name : scratch_.names("packs/")) {
    const bool has_data = scratch_.get(name).size() > 10 * kPieceBytes;
    ASSERT_TRUE(!has_data || scratch_.store->remove(name).ok());
  }
  const auto fresh = scratch_.open().value();
  const auto report = collect(*fresh, {.grace = {}}, {}, progress_);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kDamaged);
  EXPECT_NE(report.error().text().find("nothing was collected"), std::string::npos) << report.error().text();
}

// A backup stores anew what a pack that was cut short held; that copy is the one that stays.
TEST_F(CollectTest, a_pack_that_was_cut_short_goes_and_not_its_successor) {
  for (uint64_t seed = 0; seed < 8; seed++) {
    const Point first = take({{fmt::format("a{}", seed), pieces(seed * 100, seed * 100 + 20)}});
    const auto packs = scratch_.names("packs/");
    const std::string cut = *std::max_element(packs.begin(), packs.end(), [&](const auto& one, const auto& other) {
      return scratch_.get(one).size() < scratch_.get(other).size();
    });
    scratch_.truncate(cut, scratch_.get(cut).size() - 1000);
    repository_ = scratch_.open().value();
    take({{fmt::format("a{}", seed), pieces(seed * 100, seed * 100 + 20)}});
    for (int i = 0; i < 3; i++) run();
    repository_ = scratch_.open().value();
    expect_clean();
    for (const Point& point : repository_->points().value()) ASSERT_TRUE(repository_->remove_point(point.id).ok());
    for (int i = 0; i < 3; i++) run();
  }
}

// As when the directory of a store is not mounted, or somebody has moved it.
TEST_F(CollectTest, where_no_point_can_be_seen_nothing_goes) {
  const Point first = take({{"a", pieces(0, 20)}});
  const Point second = take({{"b", pieces(100, 120)}});
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  run();  // marks packs of the first
  const Bytes point = scratch_.get(point_name(second.id));
  ASSERT_TRUE(scratch_.store->remove(point_name(second.id)).ok());
  const size_t packs = count("packs/");
  for (int i = 0; i < 3; i++) {
    const CollectReport report = run();
    EXPECT_EQ(report.packs_deleted + report.packs_tombstoned, 0u);
    EXPECT_EQ(report.notes, std::vector<std::string>{"there is no point at all: no pack goes before there is one"});
  }
  EXPECT_EQ(count("packs/"), packs);
  ASSERT_TRUE(scratch_.store->create(point_name(second.id), point).ok());
  EXPECT_EQ(run().packs_deleted, 2u);
  expect_clean();
}

TEST_F(CollectTest, two_at_once_are_refused) {
  take({{"a", pieces(0, 20)}});
  const auto other =
      Lease::take(scratch_.environment, {LeaseKind::kCollector, "collection", Duration::hours(1), false}).value();
  EXPECT_EQ(collect(*repository_, {.grace = {}}, {}, progress_).error().code(), ErrorCode::kLocked);
  EXPECT_TRUE(collect(*repository_, {.dry_run = true}, {}, progress_).ok());
}

TEST_F(CollectTest, verified_points_are_remembered_until_they_go) {
  const Point first = take({{"a", pieces(0, 2)}});
  const Point second = take({{"b", pieces(2, 4)}});
  ASSERT_TRUE(record_verified(*repository_, first.id, clock_.now()).ok());
  ASSERT_TRUE(record_verified(*repository_, first.id, clock_.now()).ok());
  ASSERT_TRUE(record_verified(*repository_, second.id, clock_.now()).ok());
  EXPECT_EQ(verified_points(*repository_).value().size(), 2u);
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  run();
  EXPECT_EQ(verified_points(*repository_).value(), std::vector<PointId>{second.id});
}

TEST_F(CollectTest, a_record_of_verification_that_names_no_point_ends_nothing) {
  const Point point = take({{"a", {1}}});
  ASSERT_TRUE(record_verified(*repository_, point.id, clock_.now()).ok());
  ASSERT_TRUE(scratch_.store->create("verified/0.0", encode_checked_json({{"point", "none"}})).ok());
  ASSERT_TRUE(scratch_.store->create("verified/0.1", encode_checked_json({{"point", 1}})).ok());
  EXPECT_EQ(verified_points(*repository_).value(), std::vector<PointId>{point.id});
  run();
}

TEST_F(CollectTest, a_hold_goes_with_its_point_and_no_sooner) {
  const Point first = take({{"a", pieces(0, 2)}});
  take({{"b", pieces(2, 4)}});
  ASSERT_TRUE(place_hold(*repository_, first.id, "audit", clock_.now()).ok());
  clock_.advance(Duration::seconds(1));
  ASSERT_TRUE(place_hold(*repository_, first.id, "court", clock_.now()).ok());
  run();
  const auto holds = all_holds(*repository_).value();
  ASSERT_EQ(holds.size(), 2u);
  EXPECT_EQ(holds[0].point, first.id);
  EXPECT_EQ(holds[0].reason, "audit");
  EXPECT_EQ(holds[1].reason, "court");
  ASSERT_TRUE(repository_->remove_point(first.id).ok());
  EXPECT_EQ(place_hold(*repository_, first.id, "", clock_.now()).error().code(), ErrorCode::kNotFound);
  run();
  EXPECT_EQ(count("holds/"), 0u);
}

TEST_F(CollectTest, holds_of_one_instant_are_several) {
  const Point point = take({{"a", pieces(0, 2)}});
  const Time now = clock_.now();
  ASSERT_TRUE(place_hold(*repository_, point.id, "audit", now).ok());
  ASSERT_TRUE(place_hold(*repository_, point.id, "court", now).ok());
  auto holds = all_holds(*repository_).value();
  ASSERT_EQ(holds.size(), 2u);
  EXPECT_EQ(holds[0].reason, "audit");
  EXPECT_EQ(holds[1].reason, "court");
  EXPECT_EQ(holds[1].time, now);
  // One that is taken back leaves those that others made.
  const LeaseOptions retention = {.kind = LeaseKind::kCollector, .purpose = std::string(kRetentionPurpose)};
  auto lease = Lease::take(scratch_.environment, retention).value();
  EXPECT_EQ(place_hold(*repository_, point.id, "late", now).error().code(), ErrorCode::kLocked);
  ASSERT_TRUE(lease->release().ok());
  EXPECT_EQ(all_holds(*repository_)->size(), 2u);
}

TEST_F(CollectTest, a_hold_whose_note_is_damaged_holds_all_the_same) {
  const Point point = take({{"a", pieces(0, 2)}});
  ASSERT_TRUE(place_hold(*repository_, point.id, "audit", clock_.now()).ok());
  scratch_.flip(scratch_.names("holds/").at(0), 80);
  const auto holds = all_holds(*repository_).value();
  ASSERT_EQ(holds.size(), 1u);
  EXPECT_EQ(holds[0].point, point.id);
  EXPECT_EQ(release_holds(*repository_, point.id).value(), 1u);
}

// A command may have been stopped between the two, or the store have refused the second.
TEST_F(CollectTest, the_second_copy_of_what_opens_a_repository_is_made_when_it_is_absent) {
  take({{"a", pieces(0, 20)}});
  ASSERT_TRUE(add_key(*repository_, Secret::from_text("second"), "second").ok());
  ASSERT_TRUE(rotate_epoch(*repository_, false, progress_).ok());
  std::map<std::string, Bytes> objects;
  for (const std::string& name : scratch_.names()) {
    if (name.starts_with("config") || name.starts_with("keys/") || name.starts_with("epochs/"))
      objects[name] = scratch_.get(name);
  }
  ASSERT_EQ(objects.size(), 10u) << "config, two keys and two epochs, twice";
  for (const auto& [name, content] : objects) {
    ASSERT_TRUE(scratch_.store->remove(name).ok());
    run({.dry_run = true, .grace = {}, .repack_below = 0.7});
    EXPECT_FALSE(scratch_.store->stat(name).ok()) << name;
    EXPECT_TRUE(run().notes.empty());
    const auto again = scratch_.store->read_all(name);
    ASSERT_TRUE(again.ok()) << name;
    EXPECT_TRUE(equal(*again, content)) << name;
  }
  // Damage is not doubled, and a key that was removed stays removed.
  const std::string name = objects.begin()->first;
  ASSERT_EQ(name, "config");
  ASSERT_TRUE(scratch_.store->remove(name + ".copy").ok());
  scratch_.flip(name, 60);
  run();
  EXPECT_FALSE(scratch_.store->stat(name + ".copy").ok());
  scratch_.flip(name, 60);
  const auto slots = list_keys(*repository_).value();
  const auto other = std::find_if(slots.begin(), slots.end(), [](const KeySlot& slot) { return !slot.current; });
  ASSERT_TRUE(remove_key(*repository_, other->id).ok());
  run();
  EXPECT_EQ(list_keys(*repository_).value().size(), 1u);
  expect_clean();
}

}  // namespace
}  // namespace holdfast::repo
