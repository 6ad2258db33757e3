// Covers: collection beside writers. Writers, one who removes points, and collectors
// run one step of the store at a time, in an order that a seed decides, while a
// manual clock jumps (so that leases end, too). Whatever the schedule: every point
// that was committed and not removed can be read whole, and check is clean.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "repo/check.h"
#include "repo/collect.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "repo/test_points.h"

namespace holdfast::repo {
namespace {

// Lets one of several threads run at a time; a seed says which one next.
class Schedule {
 public:
  explicit Schedule(uint64_t seed, TestClock& clock) : random_(seed), clock_(clock) {}

  void join() {
    std::lock_guard lock(mutex_);
    waiting_.insert(std::this_thread::get_id());
  }
  // Begins once all have joined.
  void start() {
    std::lock_guard lock(mutex_);
    pick();
  }
  void leave() {
    std::lock_guard lock(mutex_);
    waiting_.erase(std::this_thread::get_id());
    pick();
  }
  size_t joined() {
    std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  // Called before each operation on the store. Helper threads of an actor pass.
  void step() {
    std::unique_lock lock(mutex_);
    const auto self = std::this_thread::get_id();
    if (!waiting_.count(self)) return;
    if (turn_ == self) pick();
    changed_.wait(lock, [&] { return turn_ == self; });
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
  std::set<std::thread::id> waiting_;
  std::thread::id turn_;
  std::mt19937_64 random_;
  TestClock& clock_;
};

class SteppingStore : public store::ObjectStore {
 public:
  SteppingStore(store::ObjectStore& inner, Schedule& schedule) : inner_(inner), schedule_(schedule) {}
  Result<void> create(std::string_view name, ByteView content) override {
    schedule_.step();
    return inner_.create(name, content);
  }
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    schedule_.step();
    return inner_.read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override {
    schedule_.step();
    return inner_.read_all(name);
  }
  Result<store::ObjectInfo> stat(std::string_view name) override {
    schedule_.step();
    return inner_.stat(name);
  }
  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    schedule_.step();
    return inner_.list(prefix, visit);
  }
  Result<void> remove(std::string_view name) override {
    schedule_.step();
    return inner_.remove(name);
  }
  Result<Time> server_time() override {
    schedule_.step();
    return inner_.server_time();
  }
  std::string location() const override { return "memory, step by step"; }

 private:
  store::ObjectStore& inner_;
  Schedule& schedule_;
};

struct Outcomes {
  std::atomic<int> commits{0}, lost{0}, collections{0}, deleted{0}, resurrected{0}, repacked{0};
};

class Race {
 public:
  explicit Race(uint64_t seed)
      : seed_(seed), schedule_(seed, clock_), scratch_(seed, clock_), stepping_(*scratch_.store, schedule_) {}

  void run(Outcomes& outcomes) {
    const auto repository = scratch_.init();
    for (uint64_t i = 0; i < 3; i++) ASSERT_TRUE(take_test_point(*repository, files(i), clock_.now()).ok());
    {
      std::vector<std::jthread> actors;
      for (uint64_t i = 0; i < 2; i++)
        actors.emplace_back([&, i] { act([&](Repository& ours) { write(ours, seed_ * 10 + i, outcomes); }); });
      actors.emplace_back([&] { act([&](Repository& ours) { remove(ours, seed_ * 10 + 5); }); });
      actors.emplace_back([&] { act([&](Repository& ours) { collect_often(ours, outcomes); }); });
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
  void act(const std::function<void(Repository&)>& work) {
    Environment environment{stepping_, clock_, *scratch_.random};
    const auto repository = open_repository(environment, ScratchRepository::passphrase());
    schedule_.join();
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

  void remove(Repository& repository, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 6; round++) {
      const auto points = repository.points();
      if (!points.ok() || points->empty()) continue;
      const auto removed = repository.remove_point((*points)[random() % points->size()].id);
      // A writer takes its point back when its lease ended as it committed.
      EXPECT_TRUE(removed.ok() || removed.error().code() == ErrorCode::kNotFound) << removed.error().text();
    }
  }

  void collect_often(Repository& repository, Outcomes& outcomes) {
    Progress progress;
    for (int round = 0; round < 6; round++) {
      const auto report = collect(repository, {.dry_run = false, .grace = {}, .repack_below = 0.7}, progress);
      if (!report.ok()) {
        EXPECT_EQ(report.error().code(), ErrorCode::kLeaseLost) << "seed " << seed_ << ": " << report.error().text();
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
};

TEST(CollectRace, no_schedule_of_writers_and_collectors_loses_a_block) {
  Outcomes outcomes;
  for (uint64_t seed = 1; seed <= 300 && !testing::Test::HasFailure(); seed++) {
    Race race(seed);
    race.run(outcomes);
  }
  // The schedules were worth running: everything that can happen did.
  EXPECT_GT(outcomes.commits, 600);
  EXPECT_GT(outcomes.lost, 0);
  EXPECT_GT(outcomes.collections, 600);
  EXPECT_GT(outcomes.deleted, 100);
  EXPECT_GT(outcomes.resurrected, 5);
  EXPECT_GT(outcomes.repacked, 100);
  RecordProperty("commits", outcomes.commits);
  RecordProperty("lost_leases", outcomes.lost);
  RecordProperty("resurrected", outcomes.resurrected);
}

}  // namespace
}  // namespace holdfast::repo
