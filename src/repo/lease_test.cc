// Covers: leases (take, renew, a renewal that hangs, expire, release, lost, damaged, exclusive collectors,
// sweep, the background renewal) and tombstones (announce, settle, resurrect, remove,
// damage of each object, the order of removal).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>
#include <utility>

#include "repo/lease.h"
#include "repo/process_mark.h"
#include "repo/test_clock.h"
#include "repo/tombstone.h"
#include "repo/visibility.h"
#include "store/memory_store.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

class LeaseTest : public testing::Test {
 protected:
  std::unique_ptr<Lease> take(LeaseKind kind, const std::string& purpose = "test") {
    auto lease = Lease::take(environment_, {kind, purpose, Duration::hours(1), false});
    EXPECT_TRUE(lease.ok()) << (lease.ok() ? "" : lease.error().text());
    return std::move(lease).value();
  }
  std::vector<std::string> objects(const std::string& prefix) {
    std::vector<std::string> names;
    EXPECT_TRUE(store_
                    ->list(prefix,
                           [&](const store::ObjectInfo& object) -> Result<void> {
                             names.push_back(object.name);
                             return {};
                           })
                    .ok());
    return names;
  }
  void flip(const std::string& name, size_t at) {
    Bytes bytes = store_->read_all(name).value();
    bytes[at % bytes.size()] ^= 1;
    ASSERT_TRUE(store_->remove(name).ok());
    ASSERT_TRUE(store_->create(name, bytes).ok());
  }

  // Of a lease that another process takes and never releases.
  void store_what_a_killed_one_left(LeaseKind kind) {
    random_->u64();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto lease = take(kind);
      const Bytes content = store_->read_all(lease->info().object).value();
      const std::string left = lease->info().object + '\n' + std::string(as_text(content));
      _exit(write(ends[1], left.data(), left.size()) == static_cast<ssize_t>(left.size()) ? 0 : 1);
    }
    close(ends[1]);
    std::string left(8192, '\0');
    const ssize_t got = read(ends[0], left.data(), left.size());
    close(ends[0]);
    int status = 0;
    ASSERT_TRUE(waitpid(child, &status, 0) == child && status == 0 && got > 0);
    left.resize(static_cast<size_t>(got));
    const size_t line = left.find('\n');
    ASSERT_TRUE(store_->create(left.substr(0, line), as_bytes(left.substr(line + 1))).ok());
  }

  TestClock clock_;
  std::unique_ptr<store::ObjectStore> store_ = store::make_memory_store(clock_);
  std::unique_ptr<Random> random_ = seeded_random(1);
  Environment environment_{*store_, clock_, *random_};
};

TEST_F(LeaseTest, is_listed_until_it_is_released) {
  auto lease = take(LeaseKind::kWriter, "backup");
  const auto live = live_leases(*store_).value();
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].kind, LeaseKind::kWriter);
  EXPECT_EQ(live[0].purpose, "backup");
  EXPECT_EQ(live[0].pid, getpid());
  EXPECT_EQ(live[0].since, clock_.now());
  EXPECT_EQ(live[0].expires, clock_.now() + Duration::hours(1));
  EXPECT_EQ(live[0].object, objects("leases/").front());
  EXPECT_TRUE(lease->release().ok());
  EXPECT_TRUE(live_leases(*store_).value().empty());
  EXPECT_TRUE(objects("leases/").empty());
  EXPECT_EQ(lease->ensure_held().error().code(), ErrorCode::kLeaseLost);
}

TEST_F(LeaseTest, is_renewed_by_successors_and_keeps_its_beginning) {
  auto lease = take(LeaseKind::kWriter);
  const Time since = clock_.now();
  for (int i = 0; i < 5; i++) {
    clock_.advance(Duration::seconds(3000));
    ASSERT_TRUE(lease->renew().ok());
    EXPECT_EQ(objects("leases/").size(), 2u) << "the predecessor stays for listings that run meanwhile";
  }
  const auto live = live_leases(*store_).value();
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].sequence, 5u);
  EXPECT_EQ(live[0].since, since);
  EXPECT_TRUE(lease->ensure_held().ok());
  lease.reset();
  EXPECT_TRUE(objects("leases/").empty());
}

TEST_F(LeaseTest, is_lost_for_good_once_it_ended) {
  auto lease = take(LeaseKind::kWriter, "backup");
  clock_.advance(Duration::hours(1));
  EXPECT_TRUE(live_leases(*store_).value().empty());
  EXPECT_EQ(lease->renew().error().text(),
            "the lease for \"backup\" ended at 2026-01-01T01:00:00.000000Z, before the work did "
            "(nothing was committed; run it again)");
  EXPECT_EQ(lease->ensure_held().error().code(), ErrorCode::kLeaseLost);
}

TEST_F(LeaseTest, that_was_removed_is_not_renewed) {
  auto lease = take(LeaseKind::kWriter, "backup");
  const std::string name = objects("leases/")[0];
  ASSERT_TRUE(store_->remove(name).ok());
  const std::string lost = name + ", the lease for \"backup\", was removed before the work ended";
  const auto renewed = lease->renew();
  EXPECT_EQ(renewed.error().code(), ErrorCode::kLeaseLost);
  EXPECT_EQ(renewed.error().message(), lost);
  EXPECT_EQ(lease->ensure_held().error().message(), lost);
  EXPECT_EQ(lease->freshen().error().message(), lost);
  EXPECT_TRUE(lease->release().ok());
  EXPECT_TRUE(objects("leases/").empty());
}

TEST_F(LeaseTest, a_margin_renews_it_first) {
  auto lease = take(LeaseKind::kWriter);
  clock_.advance(Duration::seconds(3590));
  EXPECT_TRUE(lease->ensure_held(Lease::kCommitMargin).ok());
  EXPECT_EQ(lease->info().expires, clock_.now() + Duration::hours(1));
}

// The store hangs while the successor is made, and then can't tell the time.
class HangingStore : public store::PassingStore {
 public:
  HangingStore(store::ObjectStore& inner, TestClock& clock) : PassingStore(inner), clock_(clock) {}
  Result<void> create(std::string_view name, ByteView content) override {
    TRY(PassingStore::create(name, content));
    clock_.advance(hang);
    is_away_ = hang.ns > 0;
    hang = {};
    return {};
  }
  Result<Time> server_time() override {
    if (std::exchange(is_away_, false)) return make_error(ErrorCode::kUnavailable, "away");
    return PassingStore::server_time();
  }
  Duration hang{};

 private:
  TestClock& clock_;
  bool is_away_ = false;
};

TEST_F(LeaseTest, a_renewal_that_may_have_come_too_late_does_not_count) {
  HangingStore hanging(*store_, clock_);
  Environment environment{hanging, clock_, *random_};
  for (const bool too_late : {true, false}) {
    auto lease = Lease::take(environment, {LeaseKind::kWriter, "backup", Duration::hours(1), false}).value();
    clock_.advance(Duration::seconds(1800));
    hanging.hang = Duration::seconds(too_late ? 3000 : 60);
    EXPECT_EQ(lease->renew().error().code(), ErrorCode::kUnavailable);
    const auto held = lease->ensure_held();
    EXPECT_EQ(held.ok(), !too_late);
    if (too_late)
      EXPECT_EQ(held.error().code(), ErrorCode::kLeaseLost);
    else
      EXPECT_TRUE(lease->renew().ok());
    lease.reset();
    EXPECT_TRUE(objects("leases/").empty());
  }
}

TEST_F(LeaseTest, one_collector_at_a_time) {
  auto writer = take(LeaseKind::kWriter);
  auto first = take(LeaseKind::kCollector);
  const auto second = Lease::take(environment_, {LeaseKind::kCollector, "prune", Duration::hours(1), false});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
  EXPECT_NE(second.error().text().find("its lease ends at 2026-01-01T01:00:00.000000Z"), std::string::npos);
  EXPECT_EQ(objects("leases/").size(), 2u);
  clock_.advance(Duration::hours(2));
  EXPECT_TRUE(take(LeaseKind::kCollector)->ensure_held().ok());
}

TEST_F(LeaseTest, an_unreadable_one_counts_as_a_writers_for_a_day) {
  auto lease = take(LeaseKind::kReader);
  flip(lease->info().object, 70);
  std::string damaged;
  const auto live = live_leases(*store_, [&](const std::string& object, const Error&) { damaged = object; }).value();
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].kind, LeaseKind::kWriter);
  EXPECT_LT(live[0].since, Time{0});
  EXPECT_EQ(damaged, lease->info().object);
  EXPECT_EQ(sweep_leases(*store_, {}).value(), 0u);
  clock_.advance(Duration::hours(25));
  EXPECT_TRUE(live_leases(*store_).value().empty());
  EXPECT_EQ(sweep_leases(*store_, {}).value(), 1u);
}

TEST_F(LeaseTest, sweep_removes_what_ended_and_nothing_else) {
  auto old = take(LeaseKind::kWriter);
  ASSERT_TRUE(old->renew().ok());
  clock_.advance(Duration::hours(2));
  auto young = take(LeaseKind::kWriter);
  EXPECT_EQ(sweep_leases(*store_, {}).value(), 2u);
  EXPECT_EQ(objects("leases/"), std::vector<std::string>{young->info().object});
}

TEST_F(LeaseTest, what_commits_leave_does_not_pile_up) {
  for (int i = 0; i < 5; i++) {
    ASSERT_TRUE(take(LeaseKind::kWriter)->conclude("").ok());
    EXPECT_EQ(objects("leases/").size(), 1u);
    clock_.advance(kVisibilityMargin);
  }
}

// A store that takes nothing more once it is full.
class FullStore : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  bool full = false;
  Result<void> create(std::string_view name, ByteView content) override {
    if (full) return make_error(ErrorCode::kNoSpace, "full");
    return PassingStore::create(name, content);
  }
};

TEST_F(LeaseTest, stays_until_it_expires_where_it_could_not_be_concluded) {
  FullStore store(*store_);
  Environment environment{store, clock_, *random_};
  auto lease = Lease::take(environment, {LeaseKind::kWriter, "test", Duration::hours(1), false}).value();
  store.full = true;
  EXPECT_EQ(lease->conclude("").error().code(), ErrorCode::kNoSpace);
  lease.reset();
  ASSERT_EQ(live_leases(*store_).value().size(), 1u);
  clock_.advance(Duration::hours(1));
  EXPECT_TRUE(live_leases(*store_).value().empty());
  EXPECT_EQ(sweep_leases(*store_, kVisibilityMargin).value(), 0u);
  clock_.advance(kVisibilityMargin);
  EXPECT_EQ(sweep_leases(*store_, kVisibilityMargin).value(), 1u);
}

// Its own machine knows at once, others see it by the lease alone.
TEST_F(LeaseTest, of_a_killed_writer_stays_as_long_as_others_may_not_see_its_point) {
  if (own_process_mark().empty()) GTEST_SKIP() << "/proc says nothing here";
  for (const LeaseKind kind : {LeaseKind::kWriter, LeaseKind::kReader}) store_what_a_killed_one_left(kind);
  EXPECT_TRUE(live_leases(*store_).value().empty());
  EXPECT_EQ(sweep_leases(*store_, kVisibilityMargin).value(), 1u) << "the reader's";
  clock_.advance(kVisibilityMargin);
  EXPECT_EQ(sweep_leases(*store_, kVisibilityMargin).value(), 0u);
  clock_.advance(Lease::kCommitMargin);
  EXPECT_EQ(sweep_leases(*store_, kVisibilityMargin).value(), 1u);
}

TEST_F(LeaseTest, is_fresh_before_a_commit) {
  auto lease = take(LeaseKind::kWriter);
  ASSERT_TRUE(lease->freshen().ok());
  EXPECT_EQ(lease->info().sequence, 0u);
  clock_.advance(Lease::kCommitMargin);
  ASSERT_TRUE(lease->freshen().ok());
  EXPECT_EQ(lease->info().sequence, 1u);
}

TEST_F(LeaseTest, says_what_its_writer_has_committed) {
  ASSERT_TRUE(take(LeaseKind::kWriter)->conclude("abcd").ok());
  EXPECT_EQ(recent_leases(*store_, kVisibilityMargin).value().at(0).point, "abcd");
}

TEST_F(LeaseTest, renews_itself_in_the_background) {
  auto lease = Lease::take(environment_, {LeaseKind::kWriter, "test", Duration::milliseconds(30), true}).value();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (lease->info().sequence < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_GE(lease->info().sequence, 3u);
  EXPECT_TRUE(lease->release().ok());
  EXPECT_TRUE(objects("leases/").empty());
}

ObjectDigest pack_number(uint8_t number) {
  ObjectDigest digest;
  digest.bytes.fill(number);
  return digest;
}

TEST_F(LeaseTest, tombstones_are_announced_settled_and_removed) {
  Tombstone tombstone = announce_tombstone(environment_, {pack_number(1), pack_number(2)}).value();
  EXPECT_EQ(tombstoned_packs(*store_).value(), (std::set<ObjectDigest>{pack_number(1), pack_number(2)}));
  EXPECT_FALSE(load_tombstones(*store_).value()[0].settled);
  clock_.advance(Duration::seconds(5));
  ASSERT_TRUE(settle_tombstone(environment_, tombstone).ok());
  Tombstone loaded = load_tombstones(*store_).value().at(0);
  EXPECT_EQ(loaded.id, tombstone.id);
  EXPECT_EQ(loaded.settled, clock_.now());
  EXPECT_EQ(loaded.announced, clock_.now() - Duration::seconds(5));
  ASSERT_TRUE(resurrect(environment_, loaded, {pack_number(2)}).ok());
  EXPECT_EQ(tombstoned_packs(*store_).value(), std::set<ObjectDigest>{pack_number(1)});
  loaded = load_tombstones(*store_).value().at(0);
  ASSERT_EQ(loaded.objects.size(), 3u);
  EXPECT_TRUE(loaded.objects[0].ends_with(".packs")) << "goes first, so that no pack is condemned on the way";
  ASSERT_TRUE(remove_tombstone(environment_, loaded).ok());
  EXPECT_TRUE(objects("tombs/").empty());
}

TEST_F(LeaseTest, damage_to_any_object_of_a_tombstone_disarms_it) {
  Tombstone tombstone = announce_tombstone(environment_, {pack_number(1), pack_number(2)}).value();
  ASSERT_TRUE(settle_tombstone(environment_, tombstone).ok());
  ASSERT_TRUE(resurrect(environment_, tombstone, {pack_number(2)}).ok());
  for (const std::string& object : tombstone.objects) {
    for (const size_t at : {0u, 64u, 70u, 1000u}) {
      flip(object, at);
      std::string damaged;
      const auto loaded = load_tombstones(*store_, [&](const std::string& name, const Error& error) {
                            damaged = name;
                            EXPECT_EQ(error.code(), ErrorCode::kDamaged);
                          }).value();
      ASSERT_EQ(loaded.size(), 1u);
      EXPECT_TRUE(loaded[0].damaged);
      EXPECT_EQ(damaged, object);
      flip(object, at);
    }
  }
  EXPECT_FALSE(load_tombstones(*store_).value()[0].damaged);
}

}  // namespace
}  // namespace holdfast::repo
