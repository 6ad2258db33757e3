// The crash campaign of a cluster's backup. A running cluster with a tablespace is captured into a
// repository, with the WAL that it needs, and the point is committed: undisturbed, to count the
// operations that this does to the repository's disk, and then once for each of many of them and
// every kind of fault, each time on a fresh copy. After that the machine is "restarted", and
//   - check, reading everything, finds no damage (garbage is fine),
//   - every point that is there, and those that must be, restores, and all WAL that it needs is
//     stored; of some, a server is started and holds the rows of then, and
//   - the backup, run again, succeeds.
// HOLDFAST_ALL_POINTS=1 visits all operations instead of a sample.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/log.h"
#include "faults/campaign.h"
#include "faults/sampled_operations.h"
#include "faults/small_cluster.h"
#include "repo/check.h"
#include "servers/private_postgres.h"
#include "servers/scratch.h"
#include "source/postgres/capture.h"
#include "source/postgres/materialise.h"
#include "source/postgres/snapshot_source.h"
#include "store/local_store.h"

namespace holdfast::faults {
namespace {

using servers::PrivatePostgres;

constexpr Sample kSample = {.edge = 10, .by_chance = 4, .folders = 1};
constexpr uint64_t kSeed = 20261129;
constexpr size_t kStarted = 2;  // servers for each variant
constexpr size_t kShownFailures = 8;
constexpr uint64_t kRoomInMemory = 1 << 30;

struct Variant {
  FaultKind kind;
  bool torn;
};
constexpr Variant kVariants[] = {
    {FaultKind::kNoSpace, true},    {FaultKind::kIoError, false},  {FaultKind::kKill, true},
    {FaultKind::kPowerLoss, false}, {FaultKind::kPowerLoss, true},
};

class Backup {
 public:
  // With `incremental` the repository has a point of the cluster already, and the cluster has changed.
  static Result<std::unique_ptr<Backup>> create(bool incremental) {
    auto scratch = TRY(servers::ScratchDirectory::create());
    std::unique_ptr<Backup> made(new Backup(std::move(scratch)));
    TRY(made->make(incremental));
    return made;
  }

  const std::string& disk() const { return copy_; }

  void refresh() {
    CHECK(remove_tree(real_file_system(), copy_).ok());
    std::filesystem::copy(pristine_, copy_, std::filesystem::copy_options::recursive);
  }
  Result<void> run(FileSystem& fs, Duration ahead) {
    committed_.reset();
    committed_ = TRY(backup(fs, copy_, ahead));
    return {};
  }
  // What is wrong with the repository; "" when nothing is. `start`: the newest point's cluster, too.
  std::string judge(bool done, bool start) {
    const auto open = open_at(real_file_system(), copy_, Campaign::kPassphrase);
    if (!open.ok()) return "can't be opened: " + open.error().text();
    Progress progress;
    const auto report = repo::check(*open->repository, {100}, progress);
    if (!report.ok()) return "can't be checked: " + report.error().text();
    for (const auto& damage : report->damage) return "damaged: " + damage.object + ": " + damage.problem;
    const auto points = open->repository->points();
    if (!points.ok()) return "points can't be listed: " + points.error().text();
    if (const std::string wrong = missing(*points, done); !wrong.empty()) return wrong;
    for (const auto& point : *points) {
      const bool newest = &point == &points->back();
      const std::string wrong = trouble_of(*open->repository, point, start && newest);
      if (!wrong.empty()) return "point " + point.id.hex().substr(0, 8) + " " + wrong;
    }
    return "";
  }

 private:
  explicit Backup(servers::ScratchDirectory scratch)
      : scratch_(std::move(scratch)),
        pristine_(scratch_.file("pristine")),
        copy_(scratch_.file("copy")),
        restored_(scratch_.file("restored")) {}

  Result<void> make(bool incremental) {
    const std::string space = TRY(scratch_.make("space"));
    wal_ = TRY(scratch_.make("wal"));
    server_ = TRY(make_small_cluster(scratch_.file("data"), space));
    connection_.conninfo = server_->conninfo();
    const auto store = TRY(store::open_local_store(real_file_system(), pristine_, false));
    TRY(repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text(Campaign::kPassphrase),
                              {8192, 1}));
    rows_ = TRY(server_->value(kRowsOfSmallCluster));
    if (!incremental) return {};
    first_ = TRY(backup(real_file_system(), pristine_, {}));
    rows_of_first_ = rows_;
    TRY(server_->exec("update public.t set m = 'later' where g % 100 = 0"));
    TRY(server_->exec("update public.s set m = 'later' where g % 10 = 0"));
    TRY(server_->exec("create table public.later as select generate_series(1, 5000) g"));
    TRY(server_->exec("checkpoint"));
    rows_ = TRY(server_->value(kRowsOfSmallCluster));
    return {};
  }
  Result<repo::PointId> backup(FileSystem& fs, const std::string& location, Duration ahead) {
    const auto open = TRY(open_at(fs, location, Campaign::kPassphrase, ahead));
    const auto earlier = TRY(open.repository->points());
    Progress progress;
    source::World world{real_file_system(), system_clock(), progress, 2};
    const auto session = TRY(repo::WriteSession::begin(*open.repository, {}));
    postgres::CaptureOptions options;
    options.component = "db";
    options.connection = &connection_;
    options.method = postgres::CaptureMethod::kFiles;
    repo::Point point;
    point.snapshots.push_back(TRY(
        postgres::capture(world, *session, options, earlier.empty() ? nullptr : &earlier.back().snapshots.front())));
    point.time = system_clock().now();
    point.stack = "demo";
    point.host = "host";
    point.version = "test";
    return session->commit(point);
  }

  std::string missing(const std::vector<repo::Point>& points, bool done) const {
    const auto has = [&](const repo::PointId& id) {
      return std::any_of(points.begin(), points.end(), [&](const repo::Point& point) { return point.id == id; });
    };
    if (first_ && !has(*first_)) return "the point from before is gone";
    return done && !has(*committed_) ? "the point that was committed is gone" : "";
  }
  std::string trouble_of(repo::Repository& repository, const repo::Point& point, bool start) {
    const repo::Snapshot& snapshot = point.snapshots.front();
    if (!snapshot.faults.empty()) return "has faults: " + snapshot.faults.front();
    if (const auto complete = prove_wal(repository, snapshot, start); !complete.ok()) return complete.error().text();
    for (const auto& directory : {restored_, restored_ + "-space"}) {
      if (const auto removed = remove_tree(real_file_system(), directory); !removed.ok()) return removed.error().text();
    }
    if (const auto done = restore(repository, snapshot); !done.ok()) return "can't be restored: " + done.error().text();
    return start ? judge_started(point.id == first_ ? rows_of_first_ : rows_) : "";
  }
  // All WAL between the backup's beginning and its end; for a server, in files.
  Result<void> prove_wal(repo::Repository& repository, const repo::Snapshot& snapshot, bool in_files) {
    const auto source = TRY(postgres::snapshot_source(snapshot));
    const auto archive = TRY(postgres::WalArchive::open(repository, {"db", source.system_id, source.segment_bytes}));
    for (const auto& gap : TRY(archive->gaps(source.timeline, source.start, source.stop)))
      return make_error(ErrorCode::kVerifyFailed, "lacks WAL: {}", gap);
    postgres::Lsn at{source.start.value / source.segment_bytes * source.segment_bytes};
    for (; in_files && at < source.stop; at.value += source.segment_bytes) {
      const std::string name = postgres::segment_name(source.timeline, at, source.segment_bytes);
      const auto segment = TRY(archive->fetch(name));
      if (!segment) return make_error(ErrorCode::kVerifyFailed, "lacks WAL: {} is called absent", name);
      TRY(write_file_durably(real_file_system(), join_path(wal_, name), *segment, 0644));
    }
    return {};
  }
  Result<void> restore(repo::Repository& repository, const repo::Snapshot& snapshot) {
    Progress progress;
    source::World world{real_file_system(), system_clock(), progress, 2};
    postgres::MaterialiseOptions options;
    options.to = restored_;
    options.tablespaces = {{scratch_.file("space"), restored_ + "-space"}};
    options.restore_command = "cp " + wal_ + "/%f %p";
    const servers::ServerUser user = servers::server_user();
    options.uid = user.uid;
    options.gid = user.gid;
    postgres::ResolvedTarget target;
    target.settings = {{"recovery_target_timeline", "latest"}, {"recovery_target", "immediate"}};
    target.description = "as soon as consistent";
    TRY(postgres::materialise(world, repository, snapshot, target, options));
    return {};
  }
  std::string judge_started(const std::string& rows) const {
    const auto server = PrivatePostgres::adopt(restored_);
    if (!server.ok()) return server.error().text();
    if (const auto started = (*server)->start_and_promote(); !started.ok()) return started.error().text();
    const auto found = (*server)->value(kRowsOfSmallCluster);
    if (!found.ok()) return found.error().text();
    return *found == rows ? "" : "has the rows " + *found + ", should have " + rows;
  }

  const servers::ScratchDirectory scratch_;
  const std::string pristine_, copy_, restored_;
  std::string wal_, rows_, rows_of_first_;
  std::unique_ptr<PrivatePostgres> server_;
  postgres::Connection connection_;
  std::optional<repo::PointId> first_, committed_;
};

// One faulty run, the restart, and a second run; "" when all is as it should be.
std::string try_plan(Backup& work, const FaultPlan& plan, bool start, std::string& operation) {
  work.refresh();
  const auto run = run_faulty(work.disk(), plan, [&](FileSystem& fs) { return work.run(fs, {}); });
  if (!run.ok()) return run.error().text();
  operation = run->operation;
  const std::string& told = run->told;
  if (const std::string wrong = work.judge(run->ok, start); !wrong.empty()) return told + wrong;
  const auto again = work.run(real_file_system(), Duration::hours(48));
  if (!again.ok()) return told + "running again: " + again.error().text();
  const std::string wrong = work.judge(true, start);
  return wrong.empty() ? "" : told + "after running again: " + wrong;
}

void break_everywhere(bool incremental) {
  if (!servers::find_postgres(15)) GTEST_SKIP() << "no PostgreSQL 15 server programs here: install postgresql-15";
  const auto room = real_file_system().free_bytes(scratch_place());
  if (room.ok() && *room > kRoomInMemory) ::setenv("HOLDFAST_SCRATCH", scratch_place().c_str(), 0);
  set_log_level(LogLevel::kOff);  // many warnings that are expected
  const auto made = Backup::create(incremental);
  ASSERT_TRUE(made.ok()) << made.error().text();
  Backup& work = **made;
  work.refresh();
  auto undisturbed = FaultFileSystem::create(work.disk(), {}).value();
  const auto outcome = work.run(*undisturbed, {});
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  const auto trace = undisturbed->trace();
  undisturbed.reset();
  ASSERT_EQ(work.judge(true, true), "");

  const auto random = seeded_random(kSeed);
  std::vector<std::string> failures;
  uint64_t runs = 0;
  for (const Variant& variant : kVariants) {
    const auto points = sampled_operations(trace, kSample, *random);
    const uint64_t every = points.size() / kStarted;
    for (const uint64_t at : points) {
      const FaultPlan plan{variant.kind, at, variant.torn, kSeed + runs};
      std::string operation;
      const std::string wrong = try_plan(work, plan, runs % every == every / 2, operation);
      runs++;
      if (wrong.empty()) continue;
      failures.push_back(failure_words(plan, operation, wrong));
    }
  }
  std::cout << fmt::format("{} operations, {} runs, seed {}, {} failures\n", trace.size(), runs, kSeed,
                           failures.size());
  for (size_t i = 0; i < failures.size() && i < kShownFailures; i++) ADD_FAILURE() << failures[i];
  EXPECT_EQ(failures.size(), 0u);
}

TEST(ClusterBackupCampaign, First) { break_everywhere(false); }
TEST(ClusterBackupCampaign, Incremental) { break_everywhere(true); }

}  // namespace
}  // namespace holdfast::faults
