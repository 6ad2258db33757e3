// The crash campaign of a cluster's restore. A cluster with a tablespace is
// captured once. Its restore is run undisturbed, to count the operations that it
// does to the target's disk, and then once for each of many of them and every kind
// of fault. After that the machine is "restarted", and
//   - either no server can start there, for want of a pg_control, or the cluster
//     is whole: the restored one, or the one from before, untouched,
//   - what was reported as done is done, and
//   - the restore, run again with `delta`, succeeds, and leaves what an
//     undisturbed one leaves, byte for byte. Some of these are started.
// HOLDFAST_ALL_POINTS=1 visits all operations instead of a sample.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "base/log.h"
#include "faults/campaign.h"
#include "faults/sampled_operations.h"
#include "faults/small_cluster.h"
#include "servers/private_postgres.h"
#include "servers/scratch.h"
#include "source/postgres/capture.h"
#include "source/postgres/control_file.h"
#include "source/postgres/materialise.h"
#include "source/postgres/snapshot_source.h"
#include "store/local_store.h"

namespace holdfast::faults {
namespace {

namespace stdfs = std::filesystem;
using servers::PrivatePostgres;

constexpr Sample kSample = {.edge = 60, .by_chance = 12};
constexpr uint64_t kSeed = 20240517;
constexpr size_t kStarted = 4;  // servers tried, of what a fault left and of what a second run left
constexpr size_t kShownFailures = 8;
constexpr uint64_t kRoomInMemory = 1 << 30;

struct Variant {
  FaultKind kind;
  bool torn;
};
constexpr Variant kVariants[] = {
    {FaultKind::kNoSpace, true},    {FaultKind::kKill, false},     {FaultKind::kKill, true},
    {FaultKind::kPowerLoss, false}, {FaultKind::kPowerLoss, true},
};

bool is_ours(const std::string& name) {
  return name.starts_with(".holdfast-") || name.starts_with("..holdfast-");  // and its temporary
}

// Kinds, modes, owners and bytes, but for the marks of a restore under way.
void image_into(const std::string& directory, const std::string& prefix, Description& image) {
  for (const auto& entry : real_file_system().list(directory).value()) {
    if (is_ours(entry.name)) continue;
    const std::string path = join_path(directory, entry.name), name = join_path(prefix, entry.name);
    const struct stat status = real_file_system().stat(path).value();
    std::string& text = image[name] = fmt::format("{:o} of {} ", status.st_mode, status.st_uid);
    if (S_ISLNK(status.st_mode)) text = "-> " + real_file_system().read_link(path).value();
    if (S_ISREG(status.st_mode)) text.append(as_text(read_file(real_file_system(), path).value()));
    if (S_ISDIR(status.st_mode)) image_into(path, name, image);
  }
}

void copy_tree(const std::string& from, const std::string& to) {
  stdfs::copy(from, to, stdfs::copy_options::recursive | stdfs::copy_options::copy_symlinks);
  const auto give = [](const std::string& old, const std::string& place) {
    const struct stat status = real_file_system().stat(old).value();
    CHECK(::lchown(place.c_str(), status.st_uid, status.st_gid) == 0);
  };
  give(from, to);
  for (const auto& entry : stdfs::recursive_directory_iterator(from)) {
    give(entry.path(), stdfs::path(to) / entry.path().lexically_relative(from));
  }
}

class Restore {
 public:
  // Below `over` lies an older life of the cluster, or nothing.
  static Result<std::unique_ptr<Restore>> create(bool over) {
    auto scratch = TRY(servers::ScratchDirectory::create());
    std::unique_ptr<Restore> made(new Restore(std::move(scratch), over));
    TRY(made->make_cluster());
    return made;
  }

  const std::string& disk() const { return disk_; }
  const std::string& cluster() const { return cluster_; }
  const std::string& rows() const { return rows_; }

  void refresh() {
    CHECK(remove_tree(real_file_system(), disk_).ok());
    if (over_) return copy_tree(saved_, disk_);
    CHECK(servers::make_server_directory(disk_).ok());
  }
  Result<void> run(FileSystem& fs, bool again) {
    Progress progress;
    source::World world{fs, system_clock(), progress, 2};
    postgres::MaterialiseOptions options;
    options.to = cluster_;
    options.delta = over_ || again;
    options.restore_command = "cp " + wal_ + "/%f %p";
    const servers::ServerUser user = servers::server_user();
    options.uid = user.uid;
    options.gid = user.gid;
    postgres::ResolvedTarget target;
    target.settings = {{"recovery_target_timeline", "latest"}, {"recovery_target", "immediate"}};
    target.description = "as soon as consistent";
    TRY(postgres::materialise(world, *open_.repository, snapshot_, target, options));
    return {};
  }
  Description image() const {
    Description image;
    for (const auto& directory : {cluster_, space_}) {
      if (exists(real_file_system(), directory).value()) image_into(directory, base_name(directory), image);
    }
    return image;
  }
  // What the undisturbed restore left, and what was there before any.
  void remember_restored() { restored_ = image(); }
  const Description& restored() const { return restored_; }

  // A server would start on it.
  bool has_control() const {
    const auto content = read_file(real_file_system(), join_path(cluster_, "global/pg_control"));
    return content.ok() && postgres::parse_control_file(*content).ok();
  }
  // What is wrong with what the fault left; "" when nothing is.
  std::string judge(bool done) const {
    if (!has_control()) return done ? "it was reported as done, and has no pg_control" : "";
    const Description found = image();
    const std::string wrong = difference(restored_, found);
    if (wrong.empty()) return "";
    if (over_ && !done && found == before_) return "";
    return "it can be started, and is not whole: " + wrong;
  }
  std::string judge_again() const {
    for (const auto& directory : {cluster_, space_}) {
      for (const auto& entry : real_file_system().list(directory).value()) {
        if (is_ours(entry.name)) return entry.name + " was left";
      }
    }
    return difference(restored_, image());
  }
  bool starts() const {
    const auto server = PrivatePostgres::adopt(cluster_);
    return server.ok() && (*server)->start().ok();
  }
  std::string judge_started() const {
    const auto server = PrivatePostgres::adopt(cluster_);
    if (!server.ok()) return server.error().text();
    if (const auto started = (*server)->start_and_promote(); !started.ok()) return started.error().text();
    const auto found = (*server)->value(kRowsOfSmallCluster);
    if (!found.ok()) return found.error().text();
    return *found == rows_ ? "" : "the rows are " + *found + ", should be " + rows_;
  }

 private:
  Restore(servers::ScratchDirectory scratch, bool over)
      : scratch_(std::move(scratch)),
        over_(over),
        disk_(scratch_.file("disk")),
        cluster_(disk_ + "/cluster"),
        space_(disk_ + "/space"),
        saved_(scratch_.file("saved")),
        wal_(scratch_.file("wal")) {}

  Result<void> make_cluster() {
    TRY(servers::make_server_directory(disk_));
    TRY(servers::make_server_directory(space_));
    TRY(servers::make_server_directory(wal_));
    auto server = TRY(make_small_cluster(cluster_, space_));
    rows_ = TRY(server->value(kRowsOfSmallCluster));
    TRY(capture(*server));
    TRY(export_wal());
    // What --delta meets: other rows, a table more, and one table less.
    TRY(server->exec("update public.t set m = 'later' where g % 100 = 0"));
    TRY(server->exec("create table public.later as select generate_series(1, 5000) g"));
    TRY(server->exec("drop table public.s"));
    TRY(server->stop());
    server.reset();
    if (!over_) return {};
    before_ = image();
    copy_tree(disk_, saved_);
    return {};
  }
  Result<void> capture(const PrivatePostgres& server) {
    const std::string location = TRY(scratch_.make("repository"));
    const auto store = TRY(store::open_local_store(real_file_system(), location, true));
    TRY(repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text(Campaign::kPassphrase),
                              {8192, 1}));
    open_ = TRY(open_at(real_file_system(), location, Campaign::kPassphrase));
    Progress progress;
    source::World world{real_file_system(), system_clock(), progress, 2};
    const auto session = TRY(repo::WriteSession::begin(*open_.repository, {}));
    postgres::Connection connection;
    connection.conninfo = server.conninfo();
    postgres::CaptureOptions options;
    options.component = "db";
    options.connection = &connection;
    options.method = postgres::CaptureMethod::kFiles;
    repo::Point point;
    point.snapshots.push_back(TRY(postgres::capture(world, *session, options, nullptr)));
    TRY(session->commit(point));
    snapshot_ = point.snapshots.front();
    return {};
  }
  Result<void> export_wal() {
    const auto source = TRY(postgres::snapshot_source(snapshot_));
    const auto archive =
        TRY(postgres::WalArchive::open(*open_.repository, {"db", source.system_id, source.segment_bytes}));
    for (const postgres::WalRange& range : TRY(archive->ranges())) {
      postgres::Lsn at{range.from.value / source.segment_bytes * source.segment_bytes};
      for (; at < range.to; at.value += source.segment_bytes) {
        const std::string name = postgres::segment_name(range.timeline, at, source.segment_bytes);
        const auto segment = TRY(archive->fetch(name));
        if (segment) TRY(write_file_durably(real_file_system(), join_path(wal_, name), *segment, 0644));
      }
    }
    return {};
  }

  const servers::ScratchDirectory scratch_;
  const bool over_;
  const std::string disk_, cluster_, space_, saved_, wal_;
  OpenRepository open_;
  repo::Snapshot snapshot_;
  std::string rows_;
  Description before_, restored_;
};

// One faulty run, the restart, and a second run; "" when all is as it should be.
std::string try_plan(Restore& restore, const FaultPlan& plan, bool start, std::string& operation) {
  restore.refresh();
  const auto run = run_faulty(restore.disk(), plan, [&](FileSystem& fs) { return restore.run(fs, false); });
  if (!run.ok()) return run.error().text();
  operation = run->operation;
  const std::string& told = run->told;
  if (const std::string wrong = restore.judge(run->ok); !wrong.empty()) return told + wrong;
  if (start && !restore.has_control() && restore.starts()) return told + "a server started on it";
  const auto again = restore.run(real_file_system(), true);
  if (!again.ok()) return told + "running again: " + again.error().text();
  if (const std::string wrong = restore.judge_again(); !wrong.empty()) return told + "after running again: " + wrong;
  const std::string wrong = start ? restore.judge_started() : "";
  return wrong.empty() ? "" : told + "started after running again: " + wrong;
}

void break_everywhere(bool over) {
  if (!servers::find_postgres(15)) GTEST_SKIP() << "no PostgreSQL 15 server programs here: install postgresql-15";
  const auto room = real_file_system().free_bytes(scratch_place());
  if (room.ok() && *room > kRoomInMemory) ::setenv("HOLDFAST_SCRATCH", scratch_place().c_str(), 0);
  set_log_level(LogLevel::kOff);  // many warnings that are expected
  const auto made = Restore::create(over);
  ASSERT_TRUE(made.ok()) << made.error().text();
  Restore& restore = **made;
  restore.refresh();
  auto undisturbed = FaultFileSystem::create(restore.disk(), {}).value();
  const auto outcome = restore.run(*undisturbed, false);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  const auto trace = undisturbed->trace();
  undisturbed.reset();
  restore.remember_restored();
  ASSERT_TRUE(restore.has_control());
  ASSERT_EQ(restore.judge_started(), "");

  const auto random = seeded_random(kSeed);
  std::vector<std::string> failures;
  uint64_t runs = 0, started = 0;
  for (const Variant& variant : kVariants) {
    const auto points = sampled_operations(trace, kSample, *random);
    const uint64_t every = points.size() / kStarted;
    for (const uint64_t at : points) {
      const FaultPlan plan{variant.kind, at, variant.torn, kSeed + runs};
      // Servers start where it matters most, too: right around the end.
      const bool start = runs % every == every / 2 || at + 4 == trace.size();
      std::string operation;
      const std::string wrong = try_plan(restore, plan, start, operation);
      runs++;
      started += start;
      if (wrong.empty()) continue;
      failures.push_back(failure_words(plan, operation, wrong));
    }
  }
  std::cout << fmt::format("{} operations, {} runs, {} of them started, seed {}, {} failures\n", trace.size(), runs,
                           started, kSeed, failures.size());
  for (size_t i = 0; i < failures.size() && i < kShownFailures; i++) ADD_FAILURE() << failures[i];
  EXPECT_EQ(failures.size(), 0u);
}

TEST(MaterialiseCampaign, IntoNothing) { break_everywhere(false); }
TEST(MaterialiseCampaign, OverAnOlderLife) { break_everywhere(true); }

}  // namespace
}  // namespace holdfast::faults
