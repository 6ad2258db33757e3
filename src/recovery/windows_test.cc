// Covers: snapshots of lines that were left (a PostgreSQL timeline, a history of Redis) and
// what retention, windows and restores make of them; a component that was of another kind,
// one that a newer point lacks; what is stored
// and newer than what can be reached.
#include "recovery/windows.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "recovery/cluster.h"
#include "recovery/drill_window.h"
#include "recovery/log_state.h"
#include "recovery/points.h"
#include "recovery/prune.h"
#include "recovery/redis_component.h"
#include "recovery/restore.h"
#include "recovery/stats.h"
#include "recovery/test_windows.h"
#include "repo/host.h"
#include "repo/missing.h"
#include "repo/write_session.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/test_wal.h"
#include "source/redis/command_log.h"
#include "source/redis/connection.h"
#include "source/redis/frame_codec.h"

namespace holdfast::recovery {
namespace {

using postgres::Lsn;
using postgres::TestWal;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Windows : public TestWindows {};

using Reasons = std::vector<std::string>;
using Notes = std::vector<std::string>;

TEST_F(Windows, ATimelineThatWasLeftPushesOutNothingThatLeadsOn) {
  const auto [first, left] = promoted_cluster();
  EXPECT_EQ(astray_snapshots(workspace(), stack_points(workspace()).value()).value(), (SnapshotNames{{left, "db"}}));
  EXPECT_EQ(reasons(run({}, true), first), Reasons{"newest that leads on"});
  EXPECT_EQ(reasons(run(Duration::seconds(60 * 30), true), first),
            (Reasons{"newest that leads on", "window 30 min 0 s"}));
  const PruneReport report = run();
  EXPECT_EQ(reasons(report, left), (Reasons{"newest", "last 1"}));
  // Of the time between the last commit on the one timeline and the first on the other nothing is known.
  const auto& windows = of(report, "db").windows;
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].from.ns / 1000, ago(180).ns / 1000);
  EXPECT_EQ(windows[0].until.ns / 1000, ago(50).ns / 1000);
  EXPECT_EQ(windows[1].from.ns / 1000, ago(40).ns / 1000);
  EXPECT_EQ(windows[1].until.ns / 1000, ago(5).ns / 1000);
  EXPECT_EQ(windows[0].begins, std::vector{first});
  EXPECT_TRUE(windows[1].begins.empty());
  for (const auto& [minutes, reachable] : std::map<int, bool>{{55, true}, {45, false}, {35, true}})
    EXPECT_EQ(plan("db", ago(minutes)).ok(), reachable) << minutes;
  const auto newest = plan("db");
  ASSERT_TRUE(newest.ok()) << newest.error().text();
  EXPECT_EQ(newest->components[0].point, first);
}

TEST_F(Windows, AHistoryThatWasLeftPushesOutNothingThatLeadsOn) {
  const repo::PointId first = commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 1);
  const repo::PointId left = commit(of_history(kLeft, 500, ago(60)));
  receive(kLeft, 500, 59, 55);
  leave(500, 150);
  EXPECT_EQ(astray_snapshots(workspace(), stack_points(workspace()).value()).value(), (SnapshotNames{{left, "cache"}}));
  EXPECT_EQ(reasons(run(Duration::seconds(60 * 30), true), first),
            (Reasons{"newest that leads on", "window 30 min 0 s"}));
  const PruneReport report = run();
  EXPECT_EQ(reasons(report, first), Reasons{"newest that leads on"});
  ASSERT_EQ(of(report, "cache").windows.size(), 1u);
  EXPECT_EQ(of(report, "cache").windows[0].until.ns / 1000, ago(1).ns / 1000);
  for (const auto& time : {std::optional<Time>(), std::optional<Time>(ago(30))}) {
    const auto planned = plan("cache", time);
    ASSERT_TRUE(planned.ok()) << planned.error().text();
    EXPECT_EQ(planned->components[0].point, first);
  }
  EXPECT_EQ(redis_log_states(workspace()).value().at(0).windows.size(), 1u);
  commit(of_history(kLeft, 500, ago(58)));
  add_cache();
  open_again();
  EXPECT_THAT(notes("cache"), ElementsAre(HasSubstr("is of another history, which ends at " + format_local(ago(55)))));
}

// What is received may be a server that was left: the newest snapshot is what is protected.
TEST_F(Windows, AHistoryThatNothingProvesLeftEndsTheOneBefore) {
  add_cache();
  open_again();
  const repo::PointId first = commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 1);
  const repo::PointId next = commit(of_history(kNext, 500, ago(60)));
  EXPECT_TRUE(astray_snapshots(workspace(), stack_points(workspace()).value())->empty());
  const auto window = windows_of(workspace(), stack_points(workspace()).value())->at(1).windows.at(0);
  EXPECT_EQ(window.until.ns / 1000, ago(60).ns / 1000);
  EXPECT_EQ(window.begins, (std::vector{first, next}));
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until, ago(60));
  EXPECT_THAT(notes("cache"), ElementsAre(HasSubstr("commands were received until " + format_local(ago(1)) +
                                                    ", which are of another history than its snapshot of ")));
  EXPECT_EQ(notes("cache"), plan("cache")->components[0].notes);
  EXPECT_EQ(plan("cache")->components[0].point, next);
  EXPECT_EQ(plan("cache", ago(30)).error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_EQ(reasons(run({}, true), next), (Reasons{"newest", "last 1"}));

  commit(of_history(kLiving, 100 + 160 * redis::encode_command({"SET", "key", "value"}).size(), ago(19)));
  EXPECT_EQ(astray_snapshots(workspace(), stack_points(workspace()).value()).value(), (SnapshotNames{{next, "cache"}}));
  EXPECT_EQ(plan("cache", ago(30))->components[0].point, first);
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until->ns / 1000, ago(1).ns / 1000);
}

TEST_F(Windows, ObjectivesSayWhatIsStoredBehindAGap) {
  add("db").kind = "postgres";
  open_again();
  auto [archive, wal, start, stop] = with_a_commit();
  commit(of_cluster(1, start, stop, ago(180)));
  EXPECT_EQ(notes("db"), Notes{});
  wal.filler(2 * TestWal::kSegmentBytes);
  wal.commit(720, ago(20));
  const Lsn later{3 * TestWal::kSegmentBytes};
  const auto pushed = archive->push_part(1, later, wal.bytes().subspan(later.value - start.value));
  ASSERT_TRUE(pushed.ok()) << pushed.error().text();
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until->ns / 1000, ago(179).ns / 1000);
  EXPECT_THAT(notes("db"), ElementsAre(AllOf(HasSubstr("WAL is stored behind " + format_local(ago(179))),
                                             HasSubstr("WAL from 0/1000D0 on is missing"))));
}

TEST_F(Windows, ObjectivesSayThatTheNewestPointIsOfATimelineThatWasLeft) {
  promoted_cluster();
  add("db").kind = "postgres";
  open_again();
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until->ns / 1000, ago(5).ns / 1000);
  EXPECT_EQ(notes("db"), Notes{fmt::format("its newest snapshot, of {}, is of timeline 1, which the server left; "
                                           "--point restores it",
                                           format_local(ago(60)))});
}

TEST_F(Windows, WhereAComponentGoesOnAlongAnotherHistoryAWindowIsKept) {
  const repo::PointId first = commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 60);
  const repo::PointId next = commit(of_history(kNext, 500, ago(90)));
  receive(kNext, 500, 89, 1);
  const uint64_t command_bytes = redis::encode_command({"SET", "key", "value"}).size();
  const repo::PointId between = commit(of_history(kNext, 500 + 44 * command_bytes, ago(45)));
  const repo::PointId newest = commit(of_history(kNext, 500 + 59 * command_bytes, ago(30)));
  const PruneReport report = run(Duration::seconds(60 * 120));
  EXPECT_EQ(reasons(report, first), Reasons{"window 2 h 0 min"});
  EXPECT_EQ(reasons(report, next), Reasons{"window 2 h 0 min"});
  EXPECT_EQ(reasons(report, between), Reasons{"goes"});
  EXPECT_EQ(reasons(report, newest), (Reasons{"newest", "last 1"}));
  ASSERT_EQ(of(report, "cache").windows.size(), 1u);
  EXPECT_EQ(of(report, "cache").windows[0].begins, (std::vector{first, next}));
}

TEST_F(Windows, AComponentThatIsOfAnotherKindNowKeepsOnlyItsName) {
  const auto [first, left] = promoted_cluster();
  const repo::PointId files = commit(snapshot("db", "files", ago(10)));
  stack_.components[0].name = "db";
  open_again();
  const auto states = log_states(workspace(), false);
  ASSERT_TRUE(states.ok()) << states.error().text();
  EXPECT_EQ(states->size(), 1u);
  EXPECT_EQ(windows_of(workspace(), stack_points(workspace()).value())->at(1).kind, "files");
  EXPECT_EQ(objective_states(workspace(), false)->at(0).protected_until, ago(10));

  const auto now = plan("db");
  ASSERT_TRUE(now.ok()) << now.error().text();
  EXPECT_EQ(now->components[0].point, files);
  const auto then = plan("db", ago(30));
  ASSERT_FALSE(then.ok());
  EXPECT_EQ(then.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_EQ(then.error().message(),
            fmt::format("component db was of kind postgres at {}, and is of kind files now", format_local(ago(30))));
  EXPECT_EQ(then.error().hint(), fmt::format("what it was then: --component db --point {}", left.hex().substr(0, 8)));
  run();
  EXPECT_TRUE(plan("db").ok());
}

TEST_F(Windows, AClusterUnderTheNameOfFilesIsPruned) {
  commit(snapshot("db", "files", ago(200)));
  repo::Snapshot of_redis = of_history(kLiving, 100, ago(190));
  of_redis.component = "db";
  commit(of_redis);
  promoted_cluster();
  EXPECT_TRUE(log_states(workspace(), false).ok());
  const PruneReport report = run();
  EXPECT_EQ(of(report, "db").kind, "postgres");
  EXPECT_EQ(of(report, "db").windows.size(), 2u);
}

TEST_F(Windows, APlanNamesTheNewerPointThatLacksAComponentOfAnyKind) {
  promoted_cluster();
  commit(of_history(kLiving, 100, ago(60)));
  const repo::PointId without_db = commit(snapshot("b", "files", ago(20)), "db");
  const repo::PointId without_cache = commit(snapshot("b", "files", ago(10)), "cache");
  for (const auto& [component, point] : {std::pair("db", without_db), std::pair("cache", without_cache)}) {
    const auto planned = plan(component);
    ASSERT_TRUE(planned.ok()) << planned.error().text();
    ASSERT_FALSE(planned->components[0].notes.empty()) << component;
    EXPECT_EQ(planned->components[0].notes.back(),
              fmt::format("point {} of {} is degraded: {} could not be captured for it (it was away)",
                          point.hex().substr(0, 8), format_local(component == std::string("db") ? ago(20) : ago(10)),
                          component));
  }
}

// A log that is nearly all gap: whatever a drill draws from it can be restored.
TEST_F(Windows, ARandomDrillDrawsWhatCanBeReached) {
  commit(of_history(kLiving, 100, ago(1000)));
  receive(kLiving, 100, 999, 995);
  commit(of_history(kNext, 500, ago(5)));
  receive(kNext, 500, 4, 1);
  const auto window = drill_window(workspace(), {"cache"});
  ASSERT_TRUE(window.ok()) << window.error().text();
  ASSERT_EQ(window->stretches.size(), 2u);
  int early = 0;
  for (int i = 0; i < 50; i++) {
    const Time drawn = random_instant(workspace().machine().random, *window);
    const auto planned = plan("cache", drawn);
    ASSERT_TRUE(planned.ok()) << planned.error().text();
    if (drawn < ago(500)) early++;
  }
  EXPECT_GT(early, 0);
  EXPECT_LT(early, 50);
  // The files are younger than all of it.
  EXPECT_EQ(drill_window(workspace(), {"cache", "a"}).error().code(), ErrorCode::kUnreachableTarget);
}

// What the log of one component can't tell of its points keeps these, and nothing else.
TEST_F(Windows, ADamagedLogOfRedisKeepsItsPointsAndIsLeftAsItIs) {
  const repo::PointId files = stack_points(workspace()).value().back().id;
  const repo::PointId first = commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 100);
  const repo::PointId second = commit(of_history(kNext, 500, ago(60)));
  write("a/file", "another content");
  ASSERT_TRUE(back_up().ok());
  const std::string stream = root_ + "/repository/log/cache." + kLiving;
  for (const DirectoryEntry& record : fs_.list(stream).value()) {
    const std::string path = stream + "/" + record.name;
    ASSERT_TRUE(fs_.remove_file(path).ok());
    ASSERT_TRUE(write_file_durably(fs_, path, as_bytes("no record")).ok());
  }
  const size_t records = fs_.list(stream)->size();
  open_again();
  for (const Duration window : {Duration{}, Duration::seconds(60 * 30)}) {
    const PruneReport report = run(window);
    EXPECT_EQ(reasons(report, files), window.ns == 0 ? Reasons{"goes"} : Reasons{"unknown"});
    EXPECT_EQ(reasons(report, first), Reasons{"held: the log of cache can't be read"});
    EXPECT_EQ(reasons(report, second)[1], "held: the log of cache can't be read");
    ASSERT_FALSE(report.notes.empty());
    EXPECT_TRUE(report.notes[0].starts_with("the log of cache can't be read, so all its points stay: "))
        << report.notes[0];
    EXPECT_NE(report.notes[0].find("log/cache." + kLiving + "/"), std::string::npos) << report.notes[0];
    ASSERT_EQ(report.logs.size(), 1u);
    EXPECT_EQ(report.logs[0].records.size(), 0u);
  }
  EXPECT_EQ(fs_.list(stream)->size(), records);
}

// A window is to be kept, and a record of the log that says what leads where is damaged: nothing
// goes that would stay if it were whole.
TEST_F(Windows, ADamagedRecordOfAClusterCostsNoPointAndNoLog) {
  auto archive = open_archive(workspace(), "db", TestWal::kSystemId, TestWal::kSegmentBytes).value();
  TestWal wal;
  wal.filler(100);
  wal.switch_segment();
  ASSERT_TRUE(archive->push(wal.segment_name(0), wal.segment(0).view()).ok());
  std::vector<repo::PointId> points;
  for (const int minutes : {180, 120, 60}) {
    const Lsn start = wal.position();
    const size_t before = wal.bytes().size();
    wal.filler(100);
    const Lsn stop = wal.position();
    wal.commit(700, ago(minutes - 1));
    points.push_back(commit(of_cluster(1, start, stop, ago(minutes))));
    ASSERT_TRUE(archive->push_part(1, start, wal.bytes().subspan(before)).ok());
  }
  const Duration window = Duration::seconds(60 * 90);
  const std::vector<Reasons> whole = {{"goes"}, {"window 1 h 30 min"}, {"newest", "last 1"}};
  const PruneReport planned = run(window, true);
  for (size_t i = 0; i < points.size(); i++) EXPECT_EQ(reasons(planned, points[i]), whole[i]);
  ASSERT_EQ(planned.logs.at(0).records, std::vector{wal.segment_name(0)});

  const std::string stream = root_ + "/repository/log/db." + std::to_string(TestWal::kSystemId);
  const auto records = fs_.list(stream).value();
  ASSERT_EQ(records.size(), 4u);
  for (const DirectoryEntry& record : records) {
    const std::string path = stream + "/" + record.name;
    const Bytes content = read_file(fs_, path, 1 << 20).value();
    for (const size_t at : {size_t{0}, size_t{70}, content.size() - 20}) {
      SCOPED_TRACE(fmt::format("byte {} of {}", at, record.name));
      Bytes damaged = Bytes::copy_of(content.view());
      damaged[at] ^= 1;
      ASSERT_TRUE(fs_.remove_file(path).ok());
      ASSERT_TRUE(write_file_durably(fs_, path, damaged.view()).ok());
      open_again();
      const PruneReport report = run(window, true);
      for (size_t i = 1; i < points.size(); i++) EXPECT_NE(reasons(report, points[i]), Reasons{"goes"});
      ASSERT_EQ(report.logs.size(), 1u);
      for (const std::string& gone : report.logs[0].records) EXPECT_EQ(gone, wal.segment_name(0));
      // What can't be read at all tells nothing of the oldest point either.
      EXPECT_TRUE(at > 0 || reasons(report, points[0]) == Reasons{"held: the log of db can't be read"} ||
                  record.name == wal.segment_name(0));
    }
    ASSERT_TRUE(fs_.remove_file(path).ok());
    ASSERT_TRUE(write_file_durably(fs_, path, content.view()).ok());
  }
  // Whole again, nothing of it is remembered.
  open_again();
  const PruneReport report = run(window);
  for (size_t i = 0; i < points.size(); i++) EXPECT_EQ(reasons(report, points[i]), whole[i]);
}

// Restored where it was, but not on the machine where it was: the original may live on there.
TEST_F(Windows, APlanOfAPointOfAnotherMachineArchivesNothing) {
  const Log log = with_a_commit();
  RestoreRequest request;
  request.components = {"db"};
  request.to = root_ + "/data";
  int minutes = 184;
  const auto archiving_is_off = [&](const std::string& host, bool keep) {
    host_ = host;
    repo::Snapshot made = of_cluster(1, log.start, log.stop, ago(--minutes));
    made.source["data_directory"] = request.to;
    commit(std::move(made));
    request.keep_archiving = keep;
    const auto plan = plan_restore(workspace(), request);
    EXPECT_TRUE(plan.ok()) << plan.error().text();
    return plan.ok() && plan->components.at(0).archiving_off;
  };
  EXPECT_FALSE(archiving_is_off(repo::host_name(), false));
  EXPECT_TRUE(archiving_is_off("elsewhere", false));
  EXPECT_FALSE(archiving_is_off("elsewhere", true)) << "it was asked to take the original's place";
}

TEST_F(Windows, ThatCanNotBeToldHideNothingThatWasRemoved) {
  const Log log = with_a_commit();
  const repo::PointId first = commit(of_cluster(1, log.start, log.stop, ago(180)));
  commit(of_cluster(1, log.start, log.stop, ago(170)));
  write("a/file", "another content");
  ASSERT_TRUE(back_up().ok());
  // The WAL can't be read any more; names and histories can.
  const std::string stream = root_ + "/repository/log/db." + std::to_string(TestWal::kSystemId);
  for (const DirectoryEntry& record : fs_.list(stream).value()) {
    if (record.name.ends_with(".history")) continue;
    const std::string path = stream + "/" + record.name;
    ASSERT_TRUE(fs_.remove_file(path).ok());
    ASSERT_TRUE(write_file_durably(fs_, path, as_bytes("no record")).ok());
  }
  open_again();
  const PruneReport report = run();
  EXPECT_EQ(reasons(report, first), Reasons{"goes"});
  EXPECT_TRUE(report.windows.empty());
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_TRUE(report.notes[0].starts_with("what can be restored to is not known: ")) << report.notes[0];
  EXPECT_GT(report.collection.packs_total, 0u);
}

// A point of a server at which a receiver works: the last command came a while before.
TEST_F(Windows, ALogThatEndsWhereASnapshotStandsLeavesNoGapBeforeIt) {
  add("cache").kind = "redis";
  open_again();
  const uint64_t end = 100 + 120 * redis::encode_command({"SET", "key", "value"}).size();
  const repo::PointId first = commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 60);
  const repo::PointId second = commit(of_history(kLiving, end, ago(20)));
  const auto states = redis_log_states(workspace());
  ASSERT_TRUE(states.ok()) << states.error().text();
  EXPECT_TRUE(states->at(0).gaps.empty());
  ASSERT_EQ(states->at(0).windows.size(), 1u);
  EXPECT_EQ(states->at(0).windows[0].until, ago(20));
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until, ago(20));
  const auto between = plan("cache", ago(40));
  ASSERT_TRUE(between.ok()) << between.error().text();
  EXPECT_EQ(between->components.at(0).point, first);
  EXPECT_EQ(between->components.at(0).redis_target->to, end);
  RestoreRequest from_first;
  from_first.to = root_ + "/out";
  from_first.point = first.hex();
  from_first.target.time = ago(40);
  EXPECT_TRUE(plan_restore(workspace(), from_first).ok());
  EXPECT_EQ(plan("cache", ago(19)).error().code(), ErrorCode::kUnreachableTarget);
  const auto drilled = drill_window(workspace(), {"cache"});
  ASSERT_TRUE(drilled.ok()) << drilled.error().text();
  EXPECT_EQ(drilled->stretches.size(), 1u);
  // A window that is kept keeps what proves its end.
  commit(of_history(kNext, 500, ago(10)));
  EXPECT_EQ(reasons(run(Duration::seconds(60 * 30), true), second), Reasons{"window 30 min 0 s"});
}

TEST_F(Windows, ALogThatEndsElsewhereLeavesItsGap) {
  const uint64_t end = 100 + 120 * redis::encode_command({"SET", "key", "value"}).size();
  commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 60);
  // Of another history, and behind commands that nobody received.
  const std::vector<std::pair<std::string, uint64_t>> elsewhere = {{kNext, end}, {kLiving, end + 1}};
  for (size_t i = 0; i < elsewhere.size(); i++) {
    commit(of_history(elsewhere[i].first, elsewhere[i].second, ago(20 - static_cast<int>(i))));
    EXPECT_EQ(redis_log_states(workspace()).value().at(0).gaps.size(), i + 1);
    EXPECT_EQ(plan("cache", ago(40)).error().code(), ErrorCode::kUnreachableTarget);
  }
}

TEST_F(Windows, ASnapshotOfRedisFromAClockThatWasAheadGoesNoFurtherThanWhatCameAfterIt) {
  commit(of_history(kLiving, 100, now_ + Duration::hours(24 * 400)));
  const repo::PointId right = commit(of_history(kLiving, 200, now_ + Duration::seconds(60)));
  const auto planned = plan("cache");
  ASSERT_TRUE(planned.ok()) << planned.error().text();
  EXPECT_EQ(planned->components.at(0).point, right);
}

// Now, and when the date has passed.
TEST_F(Windows, ASnapshotOfRedisFromAClockThatWasAheadReachesIntoNoWindow) {
  add("cache").kind = "redis";
  open_again();
  commit(of_history(kLiving, 100, ago(-30)));
  const repo::PointId right = commit(of_history(kLiving, 200, ago(5)));
  for (const Duration passed : {Duration{}, Duration::hours(1)}) {
    SCOPED_TRACE(format_duration(passed));
    clock_.ahead = passed;
    open_again();
    const auto windows = redis_log_states(workspace()).value().at(0).windows;
    ASSERT_EQ(windows.size(), 1u);
    EXPECT_EQ(windows[0].until, ago(5));
    EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until, ago(5));
    const auto drilled = drill_window(workspace(), {"cache"});
    ASSERT_TRUE(drilled.ok()) << drilled.error().text();
    EXPECT_EQ(drilled->stretches.back().until, ago(5));
    EXPECT_EQ(plan("cache")->components.at(0).point, right);
  }
}

// A clock that was behind makes what it dates seem older than it is.
TEST_F(Windows, TheNewestSnapshotOfARedisHistoryIsTheOneThatStandsFurthest) {
  add("cache").kind = "redis";
  open_again();
  commit(of_history(kLiving, 100, ago(5)));
  const repo::PointId late = commit(of_history(kLiving, 200, ago(60)));
  EXPECT_EQ(plan("cache")->components.at(0).point, late);
  EXPECT_EQ(objective_states(workspace(), false)->at(1).protected_until, ago(60));
}

// It is what was stored last, and all there is; what was done until its date it can't tell.
TEST_F(Windows, ASnapshotOfRedisFromAClockThatWasAheadProvesNothingOfTheLog) {
  const uint64_t end = 100 + 120 * redis::encode_command({"SET", "key", "value"}).size();
  commit(of_history(kLiving, 100, ago(180)));
  receive(kLiving, 100, 179, 60);
  const repo::PointId wrong = commit(of_history(kLiving, end, ago(-30)));
  for (const Duration passed : {Duration{}, Duration::hours(1)}) {
    SCOPED_TRACE(format_duration(passed));
    clock_.ahead = passed;
    open_again();
    EXPECT_EQ(redis_log_states(workspace()).value().at(0).gaps.size(), 1u);
    EXPECT_EQ(plan("cache", ago(30)).error().code(), ErrorCode::kUnreachableTarget);
    EXPECT_EQ(plan("cache")->components.at(0).point, wrong);
  }
}

// Records carry the store's time, points the time of who took them.
TEST_F(Windows, WalThatIsStillReceivedStaysBesideAPointOfAClockThatWasAhead) {
  commit(of_cluster(1, {0x1000000}, {0x1000100}, now_ + Duration::hours(24 * 400)));
  const auto logs = repo::open_log_store(workspace().repository());
  ASSERT_TRUE(logs->put("db.77", {"000000010000000000000001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  run();
  EXPECT_TRUE(logs->get("db.77", "000000010000000000000001").ok());
}

}  // namespace
}  // namespace holdfast::recovery
