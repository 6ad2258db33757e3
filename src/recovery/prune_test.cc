// Covers: holds, the window that is kept, degraded points, a dry run that says what the
// run then does, clocks that were or are wrong; the logs are in tests/cli/points.py, on a real server.
#include "recovery/prune.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "recovery/points.h"
#include "recovery/restore.h"
#include "recovery/stats.h"
#include "recovery/test_stack.h"
#include "repo/checked_json.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/log_store.h"

namespace holdfast::recovery {
namespace {

class Prune : public TestStack {
 protected:
  // One file changes each time, so that every point has bytes of its own.
  repo::PointId take() {
    write("a/file", "version " + std::to_string(taken_++));
    auto report = back_up();
    EXPECT_TRUE(report.ok()) << report.error().text();
    return report->point.id;
  }
  PruneReport run(PruneOptions options) {
    auto report = prune(workspace(), options);
    EXPECT_TRUE(report.ok()) << report.error().text();
    return std::move(report).value();
  }
  std::vector<repo::PointId> left() {
    std::vector<repo::PointId> ids;
    for (const repo::Point& point : stack_points(workspace()).value()) ids.push_back(point.id);
    return ids;
  }
  static PruneOptions keep_last(uint32_t count) {
    PruneOptions options;
    options.policy.keep_last = count;
    options.grace = {};
    options.visibility_margin = {};
    return options;
  }

  int taken_ = 0;
};

TEST_F(Prune, AHeldPointStaysUntilItIsReleased) {
  add("a");
  const repo::PointId first = take(), second = take(), third = take();
  ASSERT_TRUE(repo::place_hold(workspace().repository(), first, "audit", system_clock().now()).ok());
  const PruneReport report = run(keep_last(1));
  EXPECT_EQ(left(), (std::vector{first, third}));
  EXPECT_EQ(report.decisions.back().reasons, std::vector<std::string>{"held: audit"});
  EXPECT_EQ(repo::release_holds(workspace().repository(), first).value(), 1u);
  run(keep_last(1));
  EXPECT_EQ(left(), std::vector{third});
  EXPECT_TRUE(repo::all_holds(workspace().repository()).value().empty());
  EXPECT_EQ(repo::place_hold(workspace().repository(), second, "", system_clock().now()).error().code(),
            ErrorCode::kNotFound);
}

TEST_F(Prune, NobodyHoldsAPointWhilePointsAreRemoved) {
  add("a");
  const repo::PointId point = take();
  repo::Environment& environment = workspace().repository().environment();
  auto lease = repo::Lease::take(environment,
                                 {.kind = repo::LeaseKind::kCollector, .purpose = std::string(repo::kRetentionPurpose)})
                   .value();
  EXPECT_EQ(repo::place_hold(workspace().repository(), point, "", system_clock().now()).error().code(),
            ErrorCode::kLocked);
  EXPECT_TRUE(repo::all_holds(workspace().repository()).value().empty());
  EXPECT_EQ(prune(workspace(), keep_last(1)).error().code(), ErrorCode::kLocked);
  ASSERT_TRUE(lease->release().ok());
  EXPECT_TRUE(repo::place_hold(workspace().repository(), point, "", system_clock().now()).ok());
}

// Whose backup has not committed needs logs from nobody knows where on; a restore may be of a
// point that has just been removed.
TEST_F(Prune, CaseLogsStayWhileABackupOrARestoreRuns) {
  add("a");
  take();
  repo::Environment& environment = workspace().repository().environment();
  const auto logs = repo::open_log_store(workspace().repository());
  ASSERT_TRUE(logs->put("a.7", {"000000010000000000000001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  const auto note_beside = [&](repo::LeaseKind kind, const std::string& purpose) {
    auto lease = repo::Lease::take(environment, {.kind = kind, .purpose = purpose}).value();
    const PruneReport report = run(keep_last(1));
    EXPECT_TRUE(lease->release().ok());
    return report.logs.size() == 1 ? report.logs.front().note : "";
  };
  EXPECT_EQ(note_beside(repo::LeaseKind::kWriter, "backup"), "a backup is running: left as it is until the next time");
  EXPECT_THAT(note_beside(repo::LeaseKind::kReader, "restore"), ::testing::StartsWith("\"restore\" reads on "));
  for (const char* purpose : {"mount", "check"})
    EXPECT_EQ(note_beside(repo::LeaseKind::kReader, purpose), "no kept point belongs to it: left as it is") << purpose;
  EXPECT_TRUE(logs->get("a.7", "000000010000000000000001").ok());
}

// Its point may be in no listing yet; its lease says which it is.
TEST_F(Prune, LogsWaitForABackupElsewhereOnlyWhereNobodyKnowsWhatItCommitted) {
  add("a");
  const repo::PointId point = take();
  const auto logs = repo::open_log_store(workspace().repository());
  ASSERT_TRUE(logs->put("a.7", {"000000010000000000000001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  store::ObjectStore& store = workspace().repository().environment().store;
  const auto note_beside = [&](const std::string& committed) {
    const Time now = store.server_time().value();
    nlohmann::json lease = {{"kind", "writer"},    {"host", "elsewhere"},    {"user", "root"},       {"pid", 1},
                            {"purpose", "backup"}, {"since_ns", now.ns - 1}, {"expires_ns", now.ns}, {"process", ""}};
    if (!committed.empty()) lease["point"] = committed;
    const std::string name = "leases/00000000000000aa.00000000";
    EXPECT_TRUE(store.create(name, repo::encode_checked_json(lease)).ok());
    const PruneReport report = run(keep_last(1));
    ignore(store.remove(name), "collection may have");
    return report.logs.size() == 1 ? report.logs.front().note : "";
  };
  EXPECT_EQ(note_beside(""), "a backup has just ended on elsewhere: left as it is until the next time");
  const repo::ObjectDigest removed{};
  for (const repo::PointId& id : {point, removed})
    EXPECT_EQ(note_beside(id.hex()), "no kept point belongs to it: left as it is");
}

TEST_F(Prune, ADryRunSaysWhatTheRunThenDoes) {
  add("a");
  for (int i = 0; i < 4; i++) take();
  const auto logs = repo::open_log_store(workspace().repository());
  ASSERT_TRUE(logs->put("a.7", {"000000010000000000000001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  PruneOptions options = keep_last(2);
  options.dry_run = true;
  const PruneReport planned = run(options);
  EXPECT_EQ(left().size(), 4u);
  options.dry_run = false;
  const PruneReport done = run(options);
  ASSERT_EQ(planned.decisions.size(), done.decisions.size());
  for (size_t i = 0; i < done.decisions.size(); i++) {
    EXPECT_EQ(planned.decisions[i].id, done.decisions[i].id);
    EXPECT_EQ(planned.decisions[i].keep, done.decisions[i].keep);
  }
  EXPECT_EQ(planned.collection.packs_tombstoned, done.collection.packs_tombstoned);
  EXPECT_EQ(planned.collection.bytes_tombstoned, done.collection.bytes_tombstoned);
  EXPECT_EQ(planned.collection.bytes_live, done.collection.bytes_live);
  EXPECT_GT(done.collection.packs_tombstoned, 0u);
  ASSERT_EQ(planned.logs.size(), 1u);
  ASSERT_EQ(done.logs.size(), 1u);
  EXPECT_EQ(planned.logs[0].records, done.logs[0].records);
  EXPECT_EQ(planned.logs[0].note, done.logs[0].note);
  ASSERT_EQ(planned.windows.size(), 1u);
  const auto points = stack_points(workspace()).value();
  EXPECT_EQ(planned.windows[0].windows[0].from, points.front().snapshots[0].instant);
  EXPECT_EQ(planned.windows[0].windows[0].until, points.back().snapshots[0].instant);
  EXPECT_EQ(done.windows[0].windows[0].from, planned.windows[0].windows[0].from);
  EXPECT_FALSE(done.windows[0].every_instant);
}

TEST_F(Prune, TheWindowThatIsAskedForStays) {
  add("a");
  const repo::PointId oldest = take();
  take();
  const repo::PointId newest = take();
  PruneOptions options = keep_last(1);
  options.policy.keep_window = Duration::hours(1);
  // None is as old as that: without the oldest the window would be shorter.
  const PruneReport report = run(options);
  EXPECT_EQ(left(), (std::vector{oldest, newest}));
  EXPECT_EQ(report.decisions.back().reasons, std::vector<std::string>{"window 1 h 0 min"});
}

TEST_F(Prune, AWindowAloneIsNoPolicy) {
  add("a");
  take();
  PruneOptions options;
  options.policy.keep_window = Duration::hours(1);
  EXPECT_EQ(prune(workspace(), options).error().code(), ErrorCode::kRefused);
}

TEST_F(Prune, ADegradedPointPushesOutNoWholeOne) {
  add("a");
  add("b");
  stack_.when_a_component_fails = WhenAComponentFails::kCommitDegraded;
  const repo::PointId whole = take();
  stack_.components[1].files.paths = {root_ + "/nowhere"};
  open_again();
  const repo::PointId degraded = take();
  run(keep_last(1));
  EXPECT_EQ(left(), (std::vector{whole, degraded}));
}

constexpr Duration kFarAhead = Duration::hours(24 * 400);

TEST_F(Prune, PointsOfAClockThatWasAheadPushOutNoRightOne) {
  add("a");
  std::vector<repo::PointId> ahead, right;
  clock_.ahead = kFarAhead;
  for (int i = 0; i < 3; i++) ahead.push_back(take());
  clock_.ahead = {};
  for (int i = 0; i < 3; i++) {
    right.push_back(take());
    const PruneReport report = run(keep_last(2));
    ASSERT_EQ(report.notes.size(), 1u);
    EXPECT_THAT(report.notes[0], ::testing::HasSubstr("3 points are dated in the future"));
  }
  EXPECT_THAT(left(), ::testing::UnorderedElementsAre(ahead[0], ahead[1], ahead[2], right[1], right[2]));
}

TEST_F(Prune, WhatWasStoredLastIsRestoredWhereAClockWasAhead) {
  add("a");
  clock_.ahead = kFarAhead;
  const repo::PointId first = take(), second = take();
  EXPECT_EQ(left(), (std::vector{first, second}));
  clock_.ahead = {};
  EXPECT_EQ(left(), (std::vector{first, second}));
  const repo::PointId right = take();
  EXPECT_EQ(left().back(), right);
  RestoreRequest request;
  request.to = root_ + "/out";
  for (const bool by_name : {false, true}) {
    if (by_name) request.point = "latest";
    const auto plan = plan_restore(workspace(), request);
    ASSERT_TRUE(plan.ok()) << plan.error().text();
    EXPECT_EQ(plan->components.at(0).point, right);
    ASSERT_EQ(plan->notes.size(), 1u);
    EXPECT_THAT(plan->notes[0], ::testing::HasSubstr("2 points are dated in the future"));
  }
}

TEST_F(Prune, ABackupWarnsOfAClockThatIsOrWasAhead) {
  add("a");
  clock_.ahead = kFarAhead;
  const BackupReport wrong = back_up().value();
  ASSERT_EQ(wrong.warnings.size(), 1u);
  EXPECT_THAT(wrong.warnings[0], ::testing::HasSubstr("ahead of the clock of the repository's disk"));
  clock_.ahead = Duration{} - Duration::hours(1);
  const BackupReport late = back_up().value();
  ASSERT_EQ(late.warnings.size(), 2u);
  EXPECT_THAT(late.warnings[0], ::testing::HasSubstr("1 h 0 min behind the clock of the repository's disk"));
  clock_.ahead = {};
  const BackupReport right = back_up().value();
  ASSERT_EQ(right.warnings.size(), 1u);
  EXPECT_THAT(right.warnings[0], ::testing::HasSubstr(wrong.point.id.hex().substr(0, 8) + " is dated in the future"));
}

TEST_F(Prune, ByAWrongClockNothingIsRemoved) {
  add("a");
  for (int i = 0; i < 3; i++) take();
  PruneOptions options;
  options.policy.keep_within = Duration::hours(24 * 30);
  for (const Duration wrong : {Duration::hours(24 * 40), Duration{} - Duration::hours(1)}) {
    clock_.ahead = wrong;
    for (const bool dry_run : {false, true}) {
      options.dry_run = dry_run;
      const auto report = prune(workspace(), options);
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.error().code(), ErrorCode::kRefused);
      EXPECT_THAT(report.error().message(), ::testing::StartsWith("this machine's clock is "));
    }
  }
  EXPECT_EQ(left().size(), 3u);
}

TEST_F(Prune, AnInstantInTheFutureIsNoProtection) {
  stack_.components.clear();
  add("a").rpo = Duration::hours(1);
  clock_.ahead = kFarAhead;
  take();
  clock_.ahead = {};
  const auto states = objective_states(workspace(), false).value();
  EXPECT_LT(*states.at(0).exposure, Duration{} - Duration::hours(24 * 399));
  EXPECT_EQ(states.at(0).rpo_met, false);
}

}  // namespace
}  // namespace holdfast::recovery
