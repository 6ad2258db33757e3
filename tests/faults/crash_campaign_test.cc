// The crash campaign. Each workload is run once undisturbed, to count the
// operations that it does to its disk, and then once for every one of them and
// every kind of fault, each time on a fresh copy. After that the machine is
// "restarted": the same directory is opened on the real file system, and
//   - check, reading everything, finds no damage (garbage is fine),
//   - every point that was there before restores to the same bytes,
//   - what the workload reported as done is done, and
//   - the workload, run again, succeeds.

#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <optional>

#include "base/log.h"
#include "faults/campaign.h"
#include "recovery/prune.h"
#include "recovery/workspace.h"
#include "repo/check.h"
#include "repo/collect.h"
#include "repo/hold.h"
#include "repo/keyring.h"
#include "repo/log_store.h"
#include "repo/visibility.h"
#include "source/files/restore.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/wal_archive.h"
#include "store/local_store.h"

namespace holdfast::faults {
namespace {

constexpr const char* kSecond = "battery staple";
constexpr size_t kShownFailures = 8;
// The uploader and the workers do not always do the same number of operations.
constexpr uint64_t kBeyondTheEnd = 2;

class Workload {
 public:
  virtual ~Workload() = default;
  // Makes campaign.copy() and target(), which are fresh, ready for the work.
  virtual void prepare() {}
  // Does the work on a disk that may fail. `ahead`: how far the store's clock is put forward.
  virtual Result<void> run(FileSystem& fs, Duration ahead) = 0;
  // What is wrong after the restart, in words; "" when nothing is. `done`: run() reported success.
  virtual std::string judge(bool done) = 0;
  // What is done last, on a disk that works; judged once more after it.
  virtual Result<void> afterwards() { return {}; }
  // The directory that is on the failing disk.
  virtual const std::string& disk() const { return campaign.copy(); }

  Campaign campaign;
};

struct Variant {
  FaultKind kind;
  bool torn;
};

constexpr Variant kVariants[] = {
    {FaultKind::kNoSpace, true},    {FaultKind::kIoError, false},  {FaultKind::kKill, true},
    {FaultKind::kPowerLoss, false}, {FaultKind::kPowerLoss, true}, {FaultKind::kPowerLoss, true},
};

// One faulty run, the restart, and a second run; "" when all is as it should be.
std::string try_plan(Workload& work, const FaultPlan& plan, std::string& operation) {
  work.campaign.refresh();
  work.prepare();
  const auto run = run_faulty(work.disk(), plan, [&](FileSystem& fs) { return work.run(fs, {}); });
  if (!run.ok()) return run.error().text();
  operation = run->operation;
  const std::string& told = run->told;
  if (const std::string wrong = work.judge(run->ok); !wrong.empty()) return told + wrong;
  const auto again = work.run(real_file_system(), Duration::hours(48));
  if (!again.ok()) return told + "running again: " + again.error().text();
  if (const std::string wrong = work.judge(true); !wrong.empty()) return told + "after running again: " + wrong;
  if (const auto last = work.afterwards(); !last.ok()) return told + "afterwards: " + last.error().text();
  const std::string wrong = work.judge(true);
  return wrong.empty() ? "" : told + "in the end: " + wrong;
}

void crash_everywhere(Workload& work) {
  set_log_level(LogLevel::kOff);  // thousands of warnings that are expected
  work.campaign.refresh();
  work.prepare();
  auto undisturbed = FaultFileSystem::create(work.disk(), {}).value();
  const auto outcome = work.run(*undisturbed, {});
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  const uint64_t operations = undisturbed->operations();
  undisturbed.reset();
  ASSERT_EQ(work.judge(true), "");

  std::vector<std::string> failures;
  uint64_t runs = 0;
  for (uint64_t at = 1; at <= operations + kBeyondTheEnd; at++) {
    for (size_t i = 0; i < std::size(kVariants); i++) {
      const Variant& variant = kVariants[i];
      const FaultPlan plan{variant.kind, at, variant.torn, at * std::size(kVariants) + i};
      std::string operation;
      const std::string wrong = try_plan(work, plan, operation);
      runs++;
      if (wrong.empty()) continue;
      failures.push_back(failure_words(plan, operation, wrong));
    }
  }
  std::cout << operations << " operations, " << runs << " runs, " << failures.size() << " failures\n";
  for (size_t i = 0; i < failures.size() && i < kShownFailures; i++) ADD_FAILURE() << failures[i];
  EXPECT_EQ(failures.size(), 0u);
}

// What is wrong with the repository in campaign.copy().
std::string repository_trouble(Campaign& campaign, const std::string& passphrase,
                               const std::vector<Expected>& must_exist) {
  const auto open = open_at(real_file_system(), campaign.copy(), passphrase);
  if (!open.ok()) return "can't be opened: " + open.error().text();
  repo::Repository& repository = *open->repository;
  Progress progress;
  const auto report = repo::check(repository, {100}, progress);
  if (!report.ok()) return "can't be checked: " + report.error().text();
  for (const auto& damage : report->damage) return "damaged: " + damage.object + ": " + damage.problem;

  const auto points = repository.points();
  if (!points.ok()) return "points can't be listed: " + points.error().text();
  for (const auto& expected : must_exist) {
    const bool there = std::any_of(points->begin(), points->end(), [&](const auto& p) { return p.id == expected.id; });
    if (!there) return "point " + expected.id.hex().substr(0, 8) + " is gone";
  }
  for (const auto& point : *points) {
    // A point that is not known was committed by the run, whatever it reported.
    Expected expected{point.id, campaign.source_content()};
    for (const auto& known : campaign.points()) {
      if (known.id == point.id) expected = known;
    }
    const std::string wrong = campaign.restored_difference(repository, expected);
    if (!wrong.empty()) return "point " + point.id.hex().substr(0, 8) + " " + wrong;
  }
  return "";
}

bool opens(Campaign& campaign, const std::string& passphrase) {
  return open_at(real_file_system(), campaign.copy(), passphrase).ok();
}

class Initialise final : public Workload {
 public:
  Result<void> run(FileSystem& fs, Duration) override {
    if (open_at(fs, directory_, Campaign::kPassphrase).ok()) return {};
    const auto store = TRY(store::open_local_store(fs, directory_, false));
    TRY(repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text(Campaign::kPassphrase),
                              {8192, 1}));
    return {};
  }
  std::string judge(bool done) override {
    if (!done) return "";
    const auto open = open_at(real_file_system(), directory_, Campaign::kPassphrase);
    return open.ok() ? "" : open.error().text();
  }
  const std::string& disk() const override { return campaign.target(); }

 private:
  const std::string directory_ = join_path(campaign.target(), "new/repository");
};

repo::CollectOptions without_grace() {
  repo::CollectOptions options;
  options.grace = {};
  return options;
}

Result<void> collect_at_once(repo::Repository& repository) {
  Progress progress;
  // The first marks, the second deletes what the first has marked.
  for (int round = 0; round < 2; round++) TRY(repo::collect(repository, without_grace(), {}, progress));
  return {};
}

class Backup : public Workload {
 public:
  Backup() {
    for (const int state : {1, 2}) {
      campaign.change_source(state);
      campaign.protect();
    }
    campaign.change_source(3);
  }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    committed_.reset();
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    committed_ = TRY(campaign.backup(*open.repository));
    return {};
  }
  std::string judge(bool done) override {
    auto must_exist = std::vector<Expected>(campaign.points());
    if (done) must_exist.push_back({*committed_, campaign.source_content()});
    return repository_trouble(campaign, Campaign::kPassphrase, must_exist);
  }
  // Whatever the dead run left must not make a collection take too much.
  Result<void> afterwards() override {
    const auto open = TRY(open_at(real_file_system(), campaign.copy(), Campaign::kPassphrase, Duration::hours(96)));
    return collect_at_once(*open.repository);
  }

 private:
  std::optional<repo::PointId> committed_;
};

// Removes the newest point and marks its packs: they wait for their deletion.
void remove_and_mark(Campaign& campaign, const repo::PointId& point) {
  const auto open = open_at(real_file_system(), campaign.pristine(), Campaign::kPassphrase);
  Progress progress;
  CHECK(open->repository->remove_point(point).ok());
  const auto marked = repo::collect(*open->repository, without_grace(), {}, progress);
  CHECK(marked.ok() && marked->packs_tombstoned > 0);
}

// Takes a point of content whose packs are marked.
class BackupOverMarks final : public Backup {
 public:
  BackupOverMarks() {
    campaign.change_source(2);
    remove_and_mark(campaign, campaign.points().back().id);
    campaign.forget_newest();
  }
};

// Collects when packs are marked that a point has come to need meanwhile: its
// writer had begun before the mark.
class Resurrect final : public Workload {
 public:
  Resurrect() {
    for (const int state : {1, 2}) {
      campaign.change_source(state);
      campaign.protect();
    }
    const repo::PointId removed = campaign.points().back().id;
    campaign.forget_newest();
    campaign.protect([&](repo::Point&) { remove_and_mark(campaign, removed); });
  }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    return collect_at_once(*open.repository);
  }
  std::string judge(bool) override { return repository_trouble(campaign, Campaign::kPassphrase, campaign.points()); }
};

// ---- a log beside the points

constexpr std::array kRecords = {"000000010000000000000001", "000000010000000000000002", "00000002.history",
                                 "000000020000000000000002"};

repo::LogRecord record(const std::string& name) {
  return {name, Bytes::copy_of(as_bytes("header of " + name)), Bytes::copy_of(as_bytes(std::string(9000, 'w') + name))};
}

void store_log(Campaign& campaign) {
  const auto open = open_at(real_file_system(), campaign.pristine(), Campaign::kPassphrase);
  const auto log = repo::open_log_store(*open->repository);
  for (const char* name : kRecords) CHECK(log->put("db", record(name)).ok());
}

// What is wrong with the records, which nobody has removed.
std::string log_trouble(Campaign& campaign) {
  const auto open = open_at(real_file_system(), campaign.copy(), Campaign::kPassphrase);
  const auto log = repo::open_log_store(*open->repository);
  for (const char* name : kRecords) {
    const auto got = log->get("db", name);
    if (!got.ok()) return got.error().text();
    const repo::LogRecord stored = record(name);
    if (!equal(got->body, stored.body) || !equal(got->header, stored.header))
      return fmt::format("record {} is not as it was", name);
  }
  return "";
}

// The machine's clock, put forward like the store's.
class ShiftedClock final : public Clock {
 public:
  explicit ShiftedClock(Duration ahead) : ahead_(ahead) {}
  Time now() override { return system_clock().now() + ahead_; }
  Duration monotonic() override { return system_clock().monotonic(); }
  void sleep(Duration duration) override { system_clock().sleep(duration); }

 private:
  const Duration ahead_;
};

// Retention, the log and collection, as the command has them. Of four points of files and a cluster
// the first goes; of the second, the newest without faults, only its own WAL stays; the third is
// held; the fourth is the newest. Each has a segment for itself, and behind that is another.
class Prune final : public Workload {
 public:
  Prune() {
    lay_out_wal();
    for (int i = 0; i < 4; i++) {
      campaign.change_source(i + 1);
      campaign.protect([&](repo::Point& point) {
        if (i >= 2) point.snapshots[0].faults = {"secret: permission denied"};
        point.snapshots.push_back(of_cluster(point, bases_[static_cast<size_t>(i)]));
      });
    }
    const auto open = open_at(real_file_system(), campaign.pristine(), Campaign::kPassphrase);
    CHECK(repo::place_hold(*open->repository, campaign.points()[2].id, "audit", system_clock().now()).ok());
    const auto archive = wal_of(*open->repository);
    for (size_t i = 0; i < kSegments; i++) CHECK(archive->push(wal_.segment_name(i), wal_.segment(i)).ok());

    stack_.stack = "demo";
    stack_.repository = campaign.copy();
    const std::string passphrase = join_path(parent_path(campaign.copy()), "pass");
    CHECK(write_file_durably(real_file_system(), passphrase, as_bytes(Campaign::kPassphrase)).ok());
    stack_.passphrase = "file:" + passphrase;
    stack_.threads = 1;
    options_.policy.keep_last = 1;
    options_.grace = options_.visibility_margin = {};
  }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    Progress progress;
    ShiftedClock clock(ahead);
    auto store = std::make_unique<ShiftedStore>(TRY(store::open_local_store(fs, campaign.copy(), true)), ahead);
    const auto workspace =
        TRY(recovery::Workspace::open(stack_, {fs, clock, system_random(), progress}, std::move(store)));
    // The first marks, the second deletes what the first has marked.
    for (int round = 0; round < 2; round++) TRY(recovery::prune(*workspace, options_));
    return {};
  }
  std::string judge(bool done) override {
    const auto& points = campaign.points();
    std::string wrong = repository_trouble(campaign, Campaign::kPassphrase, {points[1], points[2], points[3]});
    if (!wrong.empty()) return wrong;
    const auto open = open_at(real_file_system(), campaign.copy(), Campaign::kPassphrase);
    if (repo::all_holds(*open->repository)->size() != 1) return "the hold is gone";
    const auto archive = wal_of(*open->repository);
    const auto missing = [&](Lsn from, Lsn to) { return !archive->gaps(1, from, to)->empty(); };
    if (missing(bases_[1].from, bases_[1].to)) return "WAL of the point without faults is gone";
    if (missing(bases_[2].from, end_)) return "WAL from the held point on is gone";
    if (!done) return "";
    if (!missing(bases_[0].from, bases_[0].to)) return "WAL of the removed point is there";
    if (!missing(bases_[1].to, bases_[2].from)) return "WAL that leads on from the point without faults is there";
    return open->repository->find_point(points[0].id.hex()).ok() ? "the removed point is back" : "";
  }

 private:
  using Lsn = postgres::Lsn;
  using TestWal = postgres::TestWal;
  static constexpr size_t kSegments = 8;

  void lay_out_wal() {
    for (size_t i = 0; i < kSegments; i++) {
      const Lsn start = wal_.position();
      wal_.commit(700 + static_cast<uint32_t>(i), system_clock().now());
      if (i % 2 == 0) bases_.push_back({start, wal_.position()});
      end_ = wal_.position();
      wal_.switch_segment();
    }
  }
  static repo::Snapshot of_cluster(const repo::Point& point, const postgres::WalSpan& base) {
    postgres::SnapshotSource source;
    source.system_id = TestWal::kSystemId;
    source.major = 15;
    source.segment_bytes = TestWal::kSegmentBytes;
    source.timeline = 1;
    source.start = source.checkpoint = base.from;
    source.stop = base.to;
    source.stop_time = point.time;
    repo::Snapshot snapshot;
    snapshot.component = "db";
    snapshot.kind = "postgres";
    snapshot.root = point.snapshots[0].root;
    snapshot.instant = point.time;
    snapshot.source = postgres::to_json(source);
    return snapshot;
  }
  static std::unique_ptr<postgres::WalArchive> wal_of(repo::Repository& repository) {
    return postgres::WalArchive::open(repository, {"db", TestWal::kSystemId, TestWal::kSegmentBytes}).value();
  }

  TestWal wal_;
  std::vector<postgres::WalSpan> bases_;  // of the points' snapshots
  Lsn end_;
  recovery::StackConfig stack_;
  recovery::PruneOptions options_;
};

class Rotate final : public Workload {
 public:
  Rotate() {
    for (const int state : {1, 2}) {
      campaign.change_source(state);
      campaign.protect();
    }
    store_log(campaign);
  }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    Progress progress;
    TRY(repo::rotate_epoch(*open.repository, true, progress));
    return collect_at_once(*open.repository);
  }
  std::string judge(bool) override {
    const std::string wrong = repository_trouble(campaign, Campaign::kPassphrase, campaign.points());
    return wrong.empty() ? log_trouble(campaign) : wrong;
  }
};

// Adds a key, changes the one that opened the repository, or removes the other.
class KeyWork : public Workload {
 public:
  KeyWork() {
    campaign.change_source(1);
    campaign.protect();
  }

 protected:
  void give_second_key() {
    const auto open = open_at(real_file_system(), campaign.pristine(), Campaign::kPassphrase);
    CHECK(repo::add_key(*open->repository, Secret::from_text(kSecond), "second").ok());
  }
};

class AddKey final : public KeyWork {
 public:
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    const auto added = repo::add_key(*open.repository, Secret::from_text(kSecond), "second");
    if (added.ok() || added.error().code() == ErrorCode::kAlreadyExists) return {};
    return added.error().clone();
  }
  std::string judge(bool done) override {
    const std::string wrong = repository_trouble(campaign, Campaign::kPassphrase, campaign.points());
    if (!wrong.empty() || !done) return wrong;
    return opens(campaign, kSecond) ? "" : "the added passphrase does not open it";
  }
};

class ChangeKey final : public KeyWork {
 public:
  Result<void> run(FileSystem& fs, Duration ahead) override {
    auto open = open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead);
    if (!open.ok() && open.error().code() == ErrorCode::kWrongPassphrase) {  // the change was done already
      TRY(open_at(fs, campaign.copy(), kSecond, ahead));
      return {};
    }
    const auto opened = TRY(std::move(open));
    TRY(repo::change_key(*opened.repository, Secret::from_text(kSecond)));
    return {};
  }
  std::string judge(bool done) override {
    const bool old = opens(campaign, Campaign::kPassphrase);
    if (done && old) return "the old passphrase still opens it";
    return repository_trouble(campaign, old ? Campaign::kPassphrase : kSecond, campaign.points());
  }
};

class RemoveKey final : public KeyWork {
 public:
  RemoveKey() { give_second_key(); }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    const auto slots = TRY(repo::list_keys(*open.repository));
    for (const auto& slot : slots) {
      if (!slot.current) TRY(repo::remove_key(*open.repository, slot.id));
    }
    return {};
  }
  std::string judge(bool done) override {
    if (done && opens(campaign, kSecond)) return "the removed passphrase still opens it";
    return repository_trouble(campaign, Campaign::kPassphrase, campaign.points());
  }
};

class Log final : public Workload {
 public:
  Log() {
    campaign.change_source(1);
    campaign.protect();
  }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    const auto log = repo::open_log_store(*open.repository);
    for (const char* name : kRecords) TRY(log->put("db", record(name)));
    return {};
  }
  std::string judge(bool done) override {
    const std::string wrong = repository_trouble(campaign, Campaign::kPassphrase, campaign.points());
    if (!wrong.empty()) return wrong;
    const auto open = open_at(real_file_system(), campaign.copy(), Campaign::kPassphrase);
    const auto log = repo::open_log_store(*open->repository);
    bool ended = false;
    for (const char* name : kRecords) {
      const auto got = log->get("db", name);
      if (!got.ok() && got.error().code() != ErrorCode::kNotFound) return got.error().text();
      if (!got.ok() && done) return fmt::format("record {} was stored and is gone", name);
      // A later record without an earlier one would be a gap that nobody was told of.
      if (got.ok() && ended) return fmt::format("record {} is there, an earlier one is not", name);
      if (got.ok() && !equal(got->body, record(name).body)) return fmt::format("record {} is not as it was", name);
      ended = ended || !got.ok();
    }
    return "";
  }
};

// The index is gone, and is made again from the packs.
class RebuildIndex final : public Workload {
 public:
  RebuildIndex() {
    for (const int state : {1, 2}) {
      campaign.change_source(state);
      campaign.protect();
    }
  }
  void prepare() override { CHECK(remove_tree(real_file_system(), join_path(campaign.copy(), "index")).ok()); }
  Result<void> run(FileSystem& fs, Duration ahead) override {
    const auto open = TRY(open_at(fs, campaign.copy(), Campaign::kPassphrase, ahead));
    Progress progress;
    TRY(repo::rebuild_index(*open.repository, progress));
    return {};
  }
  // Before it is done, the index is as damaged as it was: only the second run can be judged.
  std::string judge(bool done) override {
    return done ? repository_trouble(campaign, Campaign::kPassphrase, campaign.points()) : "";
  }
};

// The disk that fails is the one that is restored to.
class Restore : public Workload {
 public:
  Restore() {
    campaign.add_large_file();
    campaign.change_source(1);
    campaign.protect();
  }
  Result<void> run(FileSystem& fs, Duration) override {
    // The second run finds what the first one left.
    return restore_newest(fs, {.to = campaign.target(), .delta = &fs == &real_file_system()});
  }
  std::string judge(bool done) override {
    const Description& wanted = campaign.points().back().content;
    const Description found = describe(join_path(campaign.target(), campaign.source()));
    if (done) return difference(wanted, found);
    for (const auto& [name, what] : found) {
      if (base_name(name).starts_with(".holdfast-")) continue;  // a temporary
      if (!is_whole(name, what)) return name + " is there, but is not whole";
    }
    return "";
  }
  const std::string& disk() const override { return campaign.target(); }

 protected:
  Result<void> restore_newest(FileSystem& fs, const files::RestoreOptions& options) {
    const auto open = TRY(open_at(real_file_system(), campaign.copy(), Campaign::kPassphrase));
    const auto point = TRY(open.repository->find_point("latest"));
    Progress progress;
    source::World world{fs, system_clock(), progress, 2};
    const auto report = TRY(files::restore(world, *open.repository, point.snapshots.front(), options));
    for (const auto& fault : report.faults) return make_error(ErrorCode::kIncomplete, "{}", fault);
    return {};
  }

 private:
  // Whether one of the points has this content under this name.
  bool is_whole(const std::string& name, const std::string& what) const {
    return std::any_of(campaign.points().begin(), campaign.points().end(), [&](const Expected& point) {
      const auto known = point.content.find(name);
      return known != point.content.end() && without_metadata(known->second) == without_metadata(what);
    });
  }
  // Directories get their metadata last, and links come one by one.
  static std::string without_metadata(const std::string& what) {
    const size_t links = what.find(" links ");
    if (links != std::string::npos) return what.substr(what.find(' ', links + 7));
    const size_t target = what.find(" -> ");
    return target == std::string::npos ? "directory" : what.substr(target);
  }
};

// The target holds an older state, which the restore turns into the newest.
class RestoreOver final : public Restore {
 public:
  RestoreOver() {
    campaign.change_source(2);
    CHECK(real_file_system().remove_file(join_path(campaign.source(), "deep/small-4")).ok());
    campaign.remember_source();
    campaign.protect();
  }
  void prepare() override {
    const std::string wrong = campaign.restore_into_target(campaign.points().front());
    CHECK_MSG(wrong.empty(), wrong.c_str());
  }
  Result<void> run(FileSystem& fs, Duration) override {
    return restore_newest(fs, {.to = campaign.target(), .delta = true, .remove_extra = true});
  }
};

TEST(CrashCampaign, Initialise) {
  Initialise work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Backup) {
  Backup work;
  crash_everywhere(work);
}
TEST(CrashCampaign, BackupOverMarks) {
  BackupOverMarks work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Resurrect) {
  Resurrect work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Prune) {
  Prune work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Rotate) {
  Rotate work;
  crash_everywhere(work);
}
TEST(CrashCampaign, AddKey) {
  AddKey work;
  crash_everywhere(work);
}
TEST(CrashCampaign, ChangeKey) {
  ChangeKey work;
  crash_everywhere(work);
}
TEST(CrashCampaign, RemoveKey) {
  RemoveKey work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Log) {
  Log work;
  crash_everywhere(work);
}
TEST(CrashCampaign, RebuildIndex) {
  RebuildIndex work;
  crash_everywhere(work);
}
TEST(CrashCampaign, RestoreOver) {
  RestoreOver work;
  crash_everywhere(work);
}
TEST(CrashCampaign, Restore) {
  Restore work;
  crash_everywhere(work);
}

}  // namespace
}  // namespace holdfast::faults
