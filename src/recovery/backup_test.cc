// Covers: one point of several components: order, commands around them, a component
// that fails in both modes, a stop while something is held still, whose bytes are whose.
#include "recovery/backup.h"

#include <thread>

#include "recovery/capture_commands.h"
#include "recovery/points.h"
#include "recovery/test_stack.h"
#include "repo/missing.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::recovery {
namespace {

class Backup : public TestStack {
 protected:
  size_t points() { return stack_points(workspace()).value().size(); }
};

TEST_F(Backup, OnePointOfAllInTheOrderOfTheStackWhateverTheOrderOfWork) {
  for (const char* name : {"a", "b", "c"}) {
    ComponentConfig& component = add(name);
    component.commands.before = {shell(fmt::format("echo {} >> order", name))};
  }
  stack_.components[0].after = {"c"};
  stack_.components[2].after = {"b"};
  const auto report = back_up();
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(content("order"), "b\nc\na\n");
  ASSERT_EQ(report->point.snapshots.size(), 3u);
  EXPECT_EQ(report->point.snapshots[0].component, "a");
  EXPECT_EQ(report->point.snapshots[2].component, "c");
  EXPECT_TRUE(faults_of(*report).ok());
  // "b" came first, "a" last.
  EXPECT_EQ(spread_of(report->point), report->point.snapshots[0].instant - report->point.snapshots[1].instant);
  EXPECT_EQ(points(), 1u);
}

TEST_F(Backup, TwoAreCapturedAtOnce) {
  // Each waits until the other was begun.
  add("a").commands.before = {shell("touch a-begun; while [ ! -e b-begun ]; do sleep 0.01; done")};
  add("b").commands.before = {shell("touch b-begun; while [ ! -e a-begun ]; do sleep 0.01; done")};
  const auto report = back_up();
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(report->point.snapshots.size(), 2u);
}

TEST_F(Backup, NewBytesAreSharedOutAmongTheComponents) {
  add("a");
  add("b");
  std::string noise(300'000, 'x');
  uint64_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  write("a/large", noise);
  const auto first = back_up().value();
  uint64_t sum = 0;
  for (const repo::Snapshot& snapshot : first.point.snapshots) sum += snapshot.stored_bytes;
  EXPECT_GT(first.point.snapshots[0].stored_bytes, 290'000u);
  EXPECT_LT(first.point.snapshots[1].stored_bytes, 10'000u);
  EXPECT_LT(sum, first.stats.stored_bytes);  // the point itself is nobody's
  EXPECT_LT(first.stats.stored_bytes - sum, 4'000u);
}

TEST_F(Backup, WhenAComponentFailsNothingIsCommitted) {
  add("a");
  add("b").files.paths = {root_ + "/nowhere"};
  const auto report = back_up();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(report.error().text().find("component b"), std::string::npos) << report.error().text();
  EXPECT_EQ(points(), 0u);
}

TEST_F(Backup, AnEmptyPathIsToldBeforeAnyComponentIsCaptured) {
  add("a").commands.after = {shell("touch a-captured")};
  add("b").after = {"a"};
  ASSERT_TRUE(back_up().ok());
  ASSERT_TRUE(fs_.remove_file(root_ + "/a-captured").ok());
  ASSERT_TRUE(fs_.remove_file(root_ + "/b/file").ok());
  const auto report = back_up();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(report.error().text().find("component b: '" + root_ + "/b' holds no file"), 0u) << report.error().text();
  EXPECT_FALSE(present("a-captured"));
  // Unless something may have to be mounted first.
  stack_.components[1].commands.before = {shell("touch b/file")};
  open_again();
  EXPECT_TRUE(back_up().ok());
  EXPECT_TRUE(present("a-captured"));
}

TEST_F(Backup, ADegradedPointSaysWhatItLacks) {
  add("a");
  add("b").files.paths = {root_ + "/nowhere"};
  stack_.when_a_component_fails = WhenAComponentFails::kCommitDegraded;
  BackupOptions options;
  options.tags = {"nightly"};
  const auto report = back_up(options);
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(faults_of(*report).error().code(), ErrorCode::kIncomplete);
  const auto read = stack_points(workspace()).value();
  ASSERT_EQ(read.size(), 1u);
  const auto missing = repo::missing_components(read[0]);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].component, "b");
  EXPECT_NE(missing[0].problem.find("nowhere"), std::string::npos);
  EXPECT_EQ(repo::own_tags(read[0]), std::vector<std::string>{"nightly"});
  EXPECT_NE(find_snapshot(read[0], "a"), nullptr);
}

TEST_F(Backup, APointOfNothingIsNeverCommitted) {
  add("a").files.paths = {root_ + "/nowhere"};
  stack_.when_a_component_fails = WhenAComponentFails::kCommitDegraded;
  EXPECT_EQ(back_up().error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(points(), 0u);
}

TEST_F(Backup, TheMarkOfADegradedPointIsNoTagForPeople) {
  add("a");
  BackupOptions options;
  options.tags = {"missing:b: for fun"};
  EXPECT_EQ(back_up(options).error().code(), ErrorCode::kUsage);
}

TEST_F(Backup, WhatABeforeCommandBeganEndsHoweverTheCaptureEnds) {
  ComponentConfig& component = add("a");
  component.commands.before = {shell("touch still")};
  component.commands.after = {shell("rm still && echo \"$HOLDFAST_COMPONENT $HOLDFAST_CAPTURED\" >> ended")};
  stack_.commands.before = {shell("touch all-still")};
  stack_.commands.after = {shell("rm all-still && echo \"all$HOLDFAST_COMPONENT $HOLDFAST_CAPTURED\" >> ended")};
  ASSERT_TRUE(back_up().ok());
  EXPECT_EQ(content("ended"), "a yes\nall yes\n");
  stack_.components[0].files.paths = {root_ + "/nowhere"};
  open_again();
  EXPECT_FALSE(back_up().ok());
  EXPECT_EQ(content("ended"), "a yes\nall yes\na no\nall no\n");
  EXPECT_FALSE(present("still") || present("all-still"));
}

TEST_F(Backup, AFailingBeforeCommandFailsItsComponentAndItsEffectIsEnded) {
  ComponentConfig& component = add("a");
  component.commands.before = {shell("touch still; echo the lock is taken >&2; exit 3"), shell("touch never")};
  component.commands.after = {shell("rm still; exit 5"), shell("touch second")};
  const auto report = back_up();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kSubprocess);
  EXPECT_EQ(report.error().text(), "component a: before_backup: sh ended with status 3: the lock is taken");
  EXPECT_FALSE(present("still") || present("never"));
  EXPECT_TRUE(present("second")) << "one that fails keeps no other from running";
}

TEST_F(Backup, AFailingBeforeCommandOfAllIsTheEndOfIt) {
  add("a").commands.after = {shell("touch component-ran")};
  stack_.commands.before = {shell("exit 1")};
  stack_.commands.after = {shell("touch after-ran")};
  stack_.when_a_component_fails = WhenAComponentFails::kCommitDegraded;
  EXPECT_EQ(back_up().error().code(), ErrorCode::kSubprocess);
  EXPECT_TRUE(present("after-ran"));
  EXPECT_FALSE(present("component-ran"));
  EXPECT_EQ(points(), 0u);
}

TEST_F(Backup, AFailingAfterCommandIsToldAndThePointStays) {
  ComponentConfig& component = add("a");
  component.commands.after = {shell("exit 5")};
  const auto report = back_up();
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(report->problems, std::vector<std::string>{"component a: after_backup: sh ended with status 5"});
  EXPECT_EQ(faults_of(*report).error().code(), ErrorCode::kIncomplete);
  EXPECT_EQ(points(), 1u);
}

TEST_F(Backup, ACommandThatDoesNotEndIsEnded) {
  ComponentConfig& component = add("a");
  component.commands.before = {{{"sleep", "1000"}, Duration::milliseconds(50)}};
  EXPECT_EQ(back_up().error().code(), ErrorCode::kTimeout);
}

TEST_F(Backup, AStopEndsABeforeCommandAndWhatWasBegun) {
  add("a").commands.before = {shell("touch still; exec sleep 1000")};
  stack_.components[0].commands.after = {shell("rm still")};
  add("b");
  stack_.when_a_component_fails = WhenAComponentFails::kCommitDegraded;
  std::jthread person([&](const std::stop_token& stop) {
    while (!present("still") && !stop.stop_requested()) std::this_thread::yield();
    progress_.stop = true;
  });
  const auto report = back_up();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kInterrupted);
  EXPECT_FALSE(present("still"));
  progress_.stop = false;
  EXPECT_EQ(points(), 0u);
}

TEST_F(Backup, WhatCommandsPrintIsToldWithoutSecrets) {
  add("a").commands.before = {shell("echo the key is correct horse, remember it >&2; exit 1")};
  const auto report = back_up();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().text(),
            "component a: before_backup: sh ended with status 1: the key is [secret], remember it");
}

TEST(WithoutSecrets, TheLongerOneGoesFirst) {
  std::vector<Secret> secrets;
  for (const char* text : {"correct horse", "the correct horse battery", "no"})
    secrets.push_back(Secret::from_text(text));
  EXPECT_EQ(without_secrets("no: the correct horse battery, correct horse", secrets), "no: [secret], [secret]");
}

// The gravest gives the code; the others are not kept back.
TEST(FaultsOf, APointSaysAllThatIsWrongWithIt) {
  BackupReport report;
  report.point.id = repo::PointId::from_hex(std::string(64, 'a')).value();
  repo::Snapshot db, data;
  db.component = db.kind = "postgres";
  db.faults = {"bad page", "another"};
  data.component = data.kind = "files";
  data.faults = {"it was read while it changed"};
  report.point.snapshots = {data};
  EXPECT_EQ(faults_of(report).error().message(), "point aaaaaaaa was taken, with 1 fault");
  report.point.snapshots = {db, data};
  repo::note_missing(report.point, "cache", "it was away");
  const auto faults = faults_of(report);
  EXPECT_EQ(faults.error().code(), ErrorCode::kSourceDamaged);
  EXPECT_EQ(faults.error().message(),
            "point aaaaaaaa was taken, but 2 pages of the database can't be trusted; without cache: it was away; with "
            "1 fault");
  db.source = {{"bad_page_count", 2200}};
  report.point.snapshots = {db};
  EXPECT_EQ(faults_of(report).error().message(),
            "point aaaaaaaa was taken, but 2200 pages of the database can't be trusted; without cache: it was away");
}

TEST(LeftOutOf, SettingsThatACaptureDidNotReachAreNamed) {
  repo::Snapshot snapshot;
  snapshot.component = "db";
  snapshot.kind = "postgres";
  postgres::SnapshotSource source;
  source.major = 15;
  snapshot.source = postgres::to_json(source);
  repo::Point point;
  point.snapshots = {snapshot};
  EXPECT_TRUE(left_out_of(point).empty());
  source.settings_left_out = {"/etc/postgresql/15/main/pg_hba.conf", "/etc/postgresql/15/main/postgresql.conf"};
  point.snapshots[0].source = postgres::to_json(source);
  EXPECT_EQ(left_out_of(point),
            std::vector<std::string>({"db: settings outside of the data directory are not in the point "
                                      "(/etc/postgresql/15/main/pg_hba.conf, /etc/postgresql/15/main/postgresql.conf): "
                                      "keep them in a files component"}));
}

TEST_F(Backup, ACommandGetsAVariableWithASecretOnlyWhenItsWordsNameIt) {
  ::setenv("HOLDFAST_TEST_STACK_PASS", "correct horse", 1);
  stack_.passphrase = "env:HOLDFAST_TEST_STACK_PASS";
  add("a");
  stack_.commands.before = {shell("env | grep -c ^HOLDFAST_TEST_STACK > seen; true")};
  stack_.commands.after = {shell("echo \"$HOLDFAST_TEST_STACK_PASS\" >> seen")};
  const auto report = back_up();
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(content("seen"), "0\ncorrect horse\n");
  ::unsetenv("HOLDFAST_TEST_STACK_PASS");
}

}  // namespace
}  // namespace holdfast::recovery
