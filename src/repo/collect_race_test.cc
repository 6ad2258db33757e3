// Covers: collection beside writers, readers, holds and retention. Writers, restores,
// somebody who holds and releases points, a retention that removes those that nobody
// holds, and collectors run one step of the store at a time, in an order that a seed
// decides, while a manual clock jumps (so that leases end, too). Whatever the schedule:
// every point that was committed and not removed can be read whole, so can a restore
// read on what it began with, a held point is not removed, and check is clean.
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "repo/check.h"
#include "repo/collect.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "repo/test_points.h"
#include "repo/visibility.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

// Lets one of several threads run at a time; a seed says which one next.
class Schedule {
 public:
  explicit Schedule(uint64_t seed, TestClock& clock) : random_(seed), clock_(clock) {}

  // The order of threads' beginnings is not ours to decide: the number tells them apart.
  void join(size_t number) {
    std::lock_guard lock(mutex_);
    numbers_[std::this_thread::get_id()] = number;
    waiting_.insert(number);
  }
  // Begins once all have joined.
  void start() {
    std::lock_guard lock(mutex_);
    pick();
  }
  void leave() {
    std::lock_guard lock(mutex_);
    waiting_.erase(numbers_.extract(std::this_thread::get_id()).mapped());
    pick();
  }
  size_t joined() {
    std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  // Called before each operation on the store. Helper threads of an actor pass.
  void step() {
    std::unique_lock lock(mutex_);
    const auto self = numbers_.find(std::this_thread::get_id());
    if (self == numbers_.end()) return;
    if (turn_ == self->second) pick();
    changed_.wait(lock, [&, number = self->second] { return turn_ == number; });
  }

 private:
  void pick() {
    if (waiting_.empty()) return;
    if (random_() % 150 == 0) clock_.advance(Duration::seconds(static_cast<int64_t>(random_() % 4000)));
    clock_.advance(Duration::milliseconds(static_cast<int64_t>(random_() % 3)));
    auto next = waiting_.begin();
    std::advance(next, static_cast<ptrdiff_t>(random_() % waiting_.size()));
    turn_ = *next;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::thread::id, size_t> numbers_;  // guarded by mutex_, as is what follows
  std::set<size_t> waiting_;
  size_t turn_ = 0;
  std::mt19937_64 random_;
  TestClock& clock_;
};

class SteppingStore : public store::SteppedStore {
 public:
  SteppingStore(store::ObjectStore& inner, Schedule& schedule) : SteppedStore(inner), schedule_(schedule) {}

 private:
  void step() override { schedule_.step(); }

  Schedule& schedule_;
};

struct Outcomes {
  std::atomic<int> commits{0}, lost{0}, collections{0}, deleted{0}, resurrected{0}, repacked{0};
  std::atomic<int> read{0}, cut_off{0}, held{0}, refused_holds{0}, removed{0}, spared{0};
};

class Race {
 public:
  explicit Race(uint64_t seed)
      : seed_(seed), schedule_(seed, clock_), scratch_(seed, clock_), stepping_(*scratch_.store, schedule_) {}

  void run(Outcomes& outcomes) {
    const auto repository = scratch_.init();
    for (uint64_t i = 0; i < 3; i++) {
      const auto point = take_test_point(*repository, files(i), clock_.now());
      ASSERT_TRUE(point.ok());
      committed_.insert(point->id);
    }
    {
      std::vector<std::jthread> actors;
      const auto add = [&](std::function<void(Repository&)> work) {
        actors.emplace_back([this, number = actors.size() + 1, work = std::move(work)] { act(number, work); });
      };
      for (uint64_t i = 0; i < 3; i++) add([&, i](Repository& ours) { write(ours, seed_ * 10 + i, outcomes); });
      add([&](Repository& ours) { retain(ours, seed_ * 10 + 5, outcomes); });
      add([&](Repository& ours) { restore(ours, seed_ * 10 + 6, outcomes); });
      add([&](Repository& ours) { hold(ours, seed_ * 10 + 7, outcomes); });
      add([&](Repository& ours) { collect_often(ours, outcomes); });
      const size_t count = actors.size();
      while (schedule_.joined() < count) std::this_thread::yield();
      schedule_.start();
    }
    judge();
  }

 private:
  // Files of few pieces out of a small universe, so that points share and repeat them.
  std::vector<TestFile> files(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<TestFile> list;
    for (char name = 'a'; name <= 'c'; name++) {
      TestFile file{std::string(1, name), {}};
      for (uint64_t count = random() % 8; count > 0; count--) file.pieces.push_back(random() % 25);
      list.push_back(file);
    }
    return list;
  }

  // Each actor has its own open repository, as processes have.
  void act(size_t number, const std::function<void(Repository&)>& work) {
    Environment environment{stepping_, clock_, *scratch_.random};
    const auto repository = open_repository(environment, ScratchRepository::passphrase());
    schedule_.join(number);
    schedule_.step();
    if (repository.ok())
      work(**repository);
    else
      ADD_FAILURE() << repository.error().text();
    schedule_.leave();
  }

  void write(Repository& repository, uint64_t seed, Outcomes& outcomes) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 3; round++) {
      const Time begun = clock_.now();
      const auto point =
          random() % 2 ? take_test_point(repository, files(random()), clock_.now()) : copy_newest(repository);
      if (point.ok()) {
        outcomes.commits++;
        const std::lock_guard lock(mutex_);
        committed_.insert(point->id);
        continue;
      }
      // A lease that ended is the only excuse.
      EXPECT_GE(clock_.now() - begun, Duration::hours(1)) << "seed " << seed_ << ": " << point.error().text();
      outcomes.lost++;
    }
  }

  // What an incremental capture does: regions and blocks of the newest point are taken
  // over unread where they may be, stored anew where not.
  Result<Point> copy_newest(Repository& repository) {
    const auto session = TRY(WriteSession::begin(repository, {}));
    const auto newest = repository.find_point("latest");
    if (!newest.ok()) return take_test_point(*session, files(seed_), clock_.now());
    std::vector<Entry> entries;
    {
      const auto reader = TreeReader::open(repository, newest->snapshots[0].root);
      // The point may be removed and collected while it is read: then it is no base.
      while (reader.ok()) {
        auto entry = (*reader)->next();
        if (!entry.ok()) return take_test_point(*session, files(seed_), clock_.now());
        if (!*entry) break;
        entries.push_back(std::move(**entry));
      }
    }
    TreeWriter writer(*session);
    for (Entry& entry : entries) {
      const auto reusable = reuse_content(*session, entry.content);
      if (!reusable.ok() || !*reusable) entry = TRY(test_entry(*session, {entry.path, numbers(entry.source_data)}));
      TRY(writer.add(entry));
    }
    Point point = *newest;
    point.time = clock_.now();
    point.snapshots[0].files = entries.size();
    point.snapshots[0].root = TRY(writer.finish());
    TRY(session->commit(point));
    return point;
  }

  static std::vector<uint64_t> numbers(const std::string& text) {
    std::vector<uint64_t> list;
    for (size_t at = 0; at < text.size();) {
      size_t used = 0;
      list.push_back(std::stoull(text.substr(at), &used));
      at += used + 1;
    }
    return list;
  }

  // Points go as by rules: under a lease, and not those that are held.
  void retain(Repository& repository, uint64_t seed, Outcomes& outcomes) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 6; round++) {
      LeaseOptions options{.kind = LeaseKind::kCollector, .purpose = std::string(kRetentionPurpose)};
      const auto lease = Lease::take(repository.environment(), options);
      if (!lease.ok()) continue;  // a collector is at work
      const auto points = repository.points();
      const auto holds = all_holds(repository);
      if (!points.ok() || !holds.ok() || points->empty()) continue;
      const PointId point = (*points)[random() % points->size()].id;
      const bool is_held =
          std::any_of(holds->begin(), holds->end(), [&](const Hold& hold) { return hold.point == point; });
      if (is_held) {
        outcomes.spared++;
        continue;
      }
      if (!(*lease)->ensure_held(Lease::kCommitMargin).ok()) continue;
      const auto removed = repository.remove_point(point);
      // A writer takes its point back when its lease ended as it committed.
      EXPECT_TRUE(removed.ok() || removed.error().code() == ErrorCode::kNotFound) << removed.error().text();
      outcomes.removed++;
      // A machine that slept for longer than the margin between the two calls can't be
      // told from one that is dead: whoever held the point meanwhile has lost it.
      if (!(*lease)->ensure_held().ok()) {
        const std::lock_guard lock(mutex_);
        excused_.insert(point);
      }
    }
  }

  // What a restore does: a lease, a point of those that are there, all of its bytes.
  void restore(Repository& repository, uint64_t seed, Outcomes& outcomes) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 4; round++) {
      const auto lease = Lease::take(repository.environment(), {.kind = LeaseKind::kReader, .purpose = "restore"});
      const auto points = repository.points();
      if (!lease.ok() || !points.ok() || points->empty()) continue;
      const Point& point = (*points)[random() % points->size()];
      const auto read = verify_test_point(repository, point);
      if (read.ok()) {
        outcomes.read++;
        continue;
      }
      // A lease that ended is the only excuse.
      EXPECT_FALSE((*lease)->ensure_held().ok()) << "seed " << seed_ << ": " << read.error().text();
      outcomes.cut_off++;
    }
  }

  // Holds points, and releases some of them.
  void hold(Repository& repository, uint64_t seed, Outcomes& outcomes) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 8; round++) {
      const auto points = repository.points();
      if (!points.ok() || points->empty()) continue;
      const PointId point = (*points)[random() % points->size()].id;
      if (random() % 4 == 0) {
        {
          const std::lock_guard lock(mutex_);
          held_.erase(point);
        }
        EXPECT_TRUE(release_holds(repository, point).ok());
        continue;
      }
      const auto held = place_hold(repository, point, "race", clock_.now());
      if (held.ok()) {
        outcomes.held++;
        const std::lock_guard lock(mutex_);
        held_.insert(point);
        continue;
      }
      // Points are being removed, this one is gone, or leases come and go too fast to tell.
      const ErrorCode code = held.error().code();
      EXPECT_TRUE(code == ErrorCode::kLocked || code == ErrorCode::kNotFound || code == ErrorCode::kUnavailable)
          << held.error().text();
      outcomes.refused_holds++;
    }
  }

  void collect_often(Repository& repository, Outcomes& outcomes) {
    Progress progress;
    for (int round = 0; round < 6; round++) {
      const auto report = collect(repository, {.dry_run = false, .grace = {}, .repack_below = 0.7}, {}, progress);
      if (!report.ok()) {
        // Its lease ended, points are being removed, or leases come and go too fast to tell.
        const ErrorCode code = report.error().code();
        EXPECT_TRUE(code == ErrorCode::kLeaseLost || code == ErrorCode::kLocked || code == ErrorCode::kUnavailable)
            << "seed " << seed_ << ": " << report.error().text();
        continue;
      }
      outcomes.collections++;
      outcomes.deleted += static_cast<int>(report->packs_deleted);
      outcomes.resurrected += static_cast<int>(report->packs_resurrected);
      outcomes.repacked += static_cast<int>(report->packs_repacked);
    }
  }

  void judge() {
    const auto repository = scratch_.open().value();
    const auto points = repository->points();
    ASSERT_TRUE(points.ok()) << "seed " << seed_ << ": " << points.error().text();
    for (const PointId& point : held_) {
      const bool there =
          std::any_of(points->begin(), points->end(), [&](const Point& each) { return each.id == point; });
      // A writer whose lease ended as it committed takes its point back, held or not.
      EXPECT_TRUE(there || excused_.contains(point) || !committed_.contains(point))
          << "seed " << seed_ << ": a held point is gone: " << point.hex();
    }
    for (const Point& point : *points) {
      const auto verified = verify_test_point(*repository, point);
      EXPECT_TRUE(verified.ok()) << "seed " << seed_ << ": " << (verified.ok() ? "" : verified.error().text());
    }
    Progress progress;
    const auto report = check(*repository, {.read_data_percent = 100}, progress);
    ASSERT_TRUE(report.ok()) << "seed " << seed_ << ": " << report.error().text();
    for (const Damage& damage : report->damage)
      ADD_FAILURE() << "seed " << seed_ << ": " << damage.object << ": " << damage.problem;
  }

  const uint64_t seed_;
  TestClock clock_;
  Schedule schedule_;
  ScratchRepository scratch_;
  SteppingStore stepping_;
  std::mutex mutex_;
  std::set<PointId> committed_;  // guarded by mutex_, as is what follows
  std::set<PointId> held_;
  std::set<PointId> excused_;  // removed by somebody whose lease ended in the act
};

TEST(CollectRace, no_schedule_loses_a_block_or_a_held_point) {
  Outcomes outcomes;
  for (uint64_t seed = 1; seed <= 300 && !testing::Test::HasFailure(); seed++) {
    Race race(seed);
    race.run(outcomes);
  }
  // The schedules were worth running: everything that can happen did.
  EXPECT_GT(outcomes.commits, 600);
  EXPECT_GT(outcomes.lost, 0);
  EXPECT_GT(outcomes.collections, 400);
  EXPECT_GT(outcomes.deleted, 100);
  EXPECT_GT(outcomes.resurrected, 0);
  EXPECT_GT(outcomes.repacked, 50);
  EXPECT_GT(outcomes.read, 300);
  EXPECT_GT(outcomes.held, 300);
  EXPECT_GT(outcomes.refused_holds, 0);
  EXPECT_GT(outcomes.removed, 200);
  EXPECT_GT(outcomes.spared, 30);
  RecordProperty("commits", outcomes.commits);
  RecordProperty("lost_leases", outcomes.lost);
  RecordProperty("resurrected", outcomes.resurrected);
  RecordProperty("read", outcomes.read);
  RecordProperty("held", outcomes.held);
  RecordProperty("spared", outcomes.spared);
}

}  // namespace
}  // namespace holdfast::repo
