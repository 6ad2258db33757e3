// Covers: a collection beside a backup that is just ending. The backup commits, and two
// collections run, in every order of the two in which one goes on after any of its steps,
// the other does any number of its own, and then each ends; with and without leases that
// end between the two. The backup refers to a pack that is about to be deleted, one that
// is about to be condemned, one that is about to be repacked, and its own. Whatever the
// order, and also where the collector sees points only a while after they were committed, as
// on another machine: a point that was committed can be read whole, then and after all that is garbage
// has gone, and check is clean.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "repo/check.h"
#include "repo/collect.h"
#include "repo/object_names.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "repo/test_points.h"
#include "repo/visibility.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

enum class Who { kBackup, kCollector };
constexpr size_t kToTheEnd = SIZE_MAX;

struct Turn {
  Who who = Who::kBackup;
  size_t steps = kToTheEnd;
  Duration pause{};  // before it begins
};

// Lets one of the two work at a time, as many steps as its turn has.
class Turns {
 public:
  Turns(std::vector<Turn> turns, TestClock& clock) : turns_(std::move(turns)), clock_(clock) {}

  // Before each step: returns when it may be done.
  void step(Who who) {
    std::unique_lock lock(mutex_);
    if (turn().who == who && done_ == turn().steps) next();
    changed_.wait(lock, [&] { return turn().who == who; });
    done_++;
    steps_[static_cast<size_t>(who)]++;
  }
  void leave(Who who) {
    const std::lock_guard lock(mutex_);
    gone_[static_cast<size_t>(who)] = true;
    if (turn().who == who) next();
  }
  size_t steps(Who who) const { return steps_[static_cast<size_t>(who)]; }

 private:
  const Turn& turn() const { return turns_[at_]; }
  // With mutex_ held.
  void next() {
    while (at_ + 1 < turns_.size()) {
      at_++;
      done_ = 0;
      clock_.advance(turn().pause);
      if (!gone_[static_cast<size_t>(turn().who)]) break;
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::vector<Turn> turns_;  // guarded by mutex_, as is what follows
  size_t at_ = 0;
  size_t done_ = 0;
  size_t steps_[2] = {};
  bool gone_[2] = {};
  TestClock& clock_;
};

// What one of the two does to the store. Its helper threads work within its turn.
class TurnStore : public store::SteppedStore {
 public:
  using SteppedStore::SteppedStore;
  // From now on this thread waits for its turns.
  void obey(Turns& turns, Who who) {
    turns_ = &turns;
    who_ = who;
    thread_ = std::this_thread::get_id();
  }
  // Hides points for kVisibilityMargin after they were made.
  void see_points_late(Clock& clock) { clock_ = &clock; }

  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    return SteppedStore::list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
      if (clock_ && prefix == kPointsPrefix && info.modified + kVisibilityMargin > clock_->now()) return {};
      return visit(info);
    });
  }

 private:
  void step() override {
    if (turns_ && std::this_thread::get_id() == thread_) turns_->step(who_);
  }

  Turns* turns_ = nullptr;
  Clock* clock_ = nullptr;
  Who who_ = Who::kBackup;
  std::thread::id thread_;
};

struct Outcome {
  size_t backup_steps = 0;
  size_t collector_steps = 0;
  bool committed = false;
  uint64_t resurrected = 0;
};

class EndingBackup {
 public:
  EndingBackup()
      : scratch_(3, clock_),
        backup_store_(*scratch_.store),
        collector_store_(*scratch_.store),
        backup_environment_{backup_store_, clock_, *scratch_.random},
        collector_environment_{collector_store_, clock_, *scratch_.random} {}

  Outcome run(std::vector<Turn> turns, bool points_are_seen_late) {
    begin();
    if (points_are_seen_late) collector_store_.see_points_late(clock_);
    Turns order(std::move(turns), clock_);
    Outcome outcome;
    {
      std::jthread backup([&] {
        backup_store_.obey(order, Who::kBackup);
        outcome.committed = commit();
        order.leave(Who::kBackup);
      });
      std::jthread collector([&] {
        collector_store_.obey(order, Who::kCollector);
        for (int round = 0; round < 2; round++) outcome.resurrected += collect_once();
        order.leave(Who::kCollector);
      });
    }
    session_.reset();
    judge(outcome);
    outcome.backup_steps = order.steps(Who::kBackup);
    outcome.collector_steps = order.steps(Who::kCollector);
    return outcome;
  }

 private:
  static constexpr CollectOptions kCollect = {.dry_run = false, .grace = {}, .repack_below = 0.7};

  Point take(Repository& repository, const std::vector<TestFile>& files) {
    clock_.advance(Duration::seconds(10));
    auto point = take_test_point(repository, files, clock_.now());
    EXPECT_TRUE(point.ok()) << (point.ok() ? "" : point.error().text());
    clock_.advance(Duration::seconds(10));
    return std::move(point).value();
  }

  // A backup that has everything but its commit behind it, and what it took over is to go.
  void begin() {
    auto repository = scratch_.init();
    const Point deleted = take(*repository, {{"deleted", {1, 2}}});
    const Point condemned = take(*repository, {{"condemned", {11, 12}}});
    const Point sparse = take(*repository, {{"sparse", {21, 22, 23, 24, 25}}});
    kept_ = take(*repository, {{"kept", {21}}});

    backup_ = open_repository(backup_environment_, ScratchRepository::passphrase()).value();
    collector_ = open_repository(collector_environment_, ScratchRepository::passphrase()).value();
    session_ = WriteSession::begin(*backup_, {}).value();
    TreeWriter writer(*session_);
    for (const TestFile& file :
         std::vector<TestFile>{{"condemned", {11, 12}}, {"deleted", {1, 2}}, {"own", {31}}, {"sparse", {22, 23}}}) {
      const auto entry = test_entry(*session_, file);
      ASSERT_TRUE(entry.ok() && writer.add(*entry).ok());
    }
    point_ = kept_;
    point_.time = clock_.now();
    point_.snapshots[0].files = 4;
    point_.snapshots[0].root = writer.finish().value();

    ASSERT_TRUE(repository->remove_point(deleted.id).ok());
    clock_.advance(Duration::seconds(10));
    ASSERT_GT(collect(*repository, kCollect, progress_).value().packs_tombstoned, 0u);
    ASSERT_TRUE(repository->remove_point(condemned.id).ok());
    ASSERT_TRUE(repository->remove_point(sparse.id).ok());
    clock_.advance(Duration::seconds(10));
  }

  bool commit() {
    const auto committed = session_->commit(point_);
    if (committed.ok()) return true;
    EXPECT_EQ(committed.error().code(), ErrorCode::kLeaseLost) << committed.error().text();
    return false;
  }

  uint64_t collect_once() {
    clock_.advance(Duration::seconds(1));
    const auto report = collect(*collector_, kCollect, progress_);
    if (report.ok()) return report->packs_resurrected;
    EXPECT_EQ(report.error().code(), ErrorCode::kLeaseLost) << report.error().text();
    return 0;
  }

  void judge(const Outcome& outcome) {
    const auto repository = scratch_.open().value();
    expect_whole(*repository, outcome);
    // Nobody is at work any more: all that is garbage goes, and nothing else does.
    for (int round = 0; round < 3; round++) {
      clock_.advance(Duration::hours(2));
      const auto report = collect(*repository, kCollect, progress_);
      ASSERT_TRUE(report.ok()) << report.error().text();
    }
    EXPECT_TRUE(scratch_.names("tombs/").empty());
    expect_whole(*repository, outcome);
  }

  void expect_whole(Repository& repository, const Outcome& outcome) {
    const auto points = repository.points();
    ASSERT_TRUE(points.ok()) << points.error().text();
    EXPECT_EQ(points->size(), outcome.committed ? 2u : 1u);
    for (const Point& point : *points) {
      const auto verified = verify_test_point(repository, point);
      EXPECT_TRUE(verified.ok()) << verified.error().text();
    }
    const auto report = check(repository, {.read_data_percent = 100}, progress_);
    ASSERT_TRUE(report.ok()) << report.error().text();
    for (const Damage& damage : report->damage) ADD_FAILURE() << damage.object << ": " << damage.problem;
  }

  TestClock clock_;
  ScratchRepository scratch_;
  TurnStore backup_store_, collector_store_;
  Environment backup_environment_, collector_environment_;
  std::unique_ptr<Repository> backup_, collector_;
  std::unique_ptr<WriteSession> session_;
  Point kept_, point_;
  Progress progress_;
};

struct Circumstances {
  size_t paused_turn = 0;  // 0: none
  Duration pause{};        // before it
  bool points_are_seen_late = false;
};
constexpr Duration kLeasesEnd = Duration::hours(2);
constexpr Duration kLeasesLive = Duration::seconds(600);

// Who begins, after how many steps the other goes on, and after how many of those the first does.
struct Order {
  Who first;
  size_t before = 0, meanwhile = 0;
  Circumstances circumstances;

  std::vector<Turn> turns() const {
    const Who second = first == Who::kBackup ? Who::kCollector : Who::kBackup;
    std::vector<Turn> turns = {{first, before}, {second, meanwhile}, {first, kToTheEnd}, {second, kToTheEnd}};
    turns[circumstances.paused_turn].pause = circumstances.pause;
    return turns;
  }
  std::string text() const {
    return fmt::format("{} does {} steps, then the other {}, pause before turn {}",
                       first == Who::kBackup ? "the backup" : "the collector", before, meanwhile,
                       circumstances.paused_turn);
  }
};

class CollectCommit : public testing::TestWithParam<Circumstances> {};

TEST_P(CollectCommit, no_order_of_the_two_loses_a_block) {
  const Circumstances& circumstances = GetParam();
  const Outcome alone = EndingBackup().run({{Who::kBackup, kToTheEnd}, {Who::kCollector, kToTheEnd}}, false);
  ASSERT_TRUE(alone.committed);
  ASSERT_GE(alone.backup_steps, 10u);
  ASSERT_GT(alone.collector_steps, 50u);
  size_t committed = 0, lost = 0, resurrecting = 0;
  const auto visit = [&](const Order& order) {
    SCOPED_TRACE(order.text());
    const Outcome outcome = EndingBackup().run(order.turns(), circumstances.points_are_seen_late);
    (outcome.committed ? committed : lost)++;
    resurrecting += outcome.resurrected > 0;
  };
  // Where there is a pause not all: others for each step of the backup.
  size_t stride = circumstances.paused_turn == 0 ? 1 : circumstances.points_are_seen_late ? 7 : 3;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  stride = 31;  // what a sanitizer can see is the same in most orders, and takes it much longer
#endif
  for (size_t backup = 0; backup <= alone.backup_steps && !HasFailure(); backup++) {
    for (size_t collector = backup % stride; collector <= alone.collector_steps && !HasFailure(); collector += stride) {
      visit({Who::kBackup, backup, collector, circumstances});
      visit({Who::kCollector, collector, backup, circumstances});
    }
  }
  RecordProperty("committed", static_cast<int>(committed));
  RecordProperty("lost", static_cast<int>(lost));
  EXPECT_GT(committed, 50u);
  EXPECT_GT(resurrecting, circumstances.points_are_seen_late ? 0u : 50u);
  EXPECT_EQ(lost > 0, circumstances.pause == kLeasesEnd);
}

INSTANTIATE_TEST_SUITE_P(All, CollectCommit,
                         testing::Values(Circumstances{}, Circumstances{1, kLeasesEnd, false},
                                         Circumstances{2, kLeasesEnd, false}, Circumstances{1, kLeasesLive, true},
                                         Circumstances{2, kLeasesLive, true}));

}  // namespace
}  // namespace holdfast::repo
