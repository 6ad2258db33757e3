#include "source/postgres/live_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "source/postgres/amcheck.h"
#include "source/postgres/dump.h"
#include "source/postgres/row_counts.h"
#include "source/postgres/test_rig.h"
#include "source/postgres/timeline.h"

namespace holdfast::postgres {
namespace {

class LiveVerify : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_SERVER(); }

  LiveVerifyOptions options() const {
    LiveVerifyOptions options;
    options.database = "postgres";
    options.history = [](uint32_t timeline) -> Result<std::vector<TimelineSwitch>> {
      if (timeline == 1) return std::vector<TimelineSwitch>();
      return make_error(ErrorCode::kNotFound, "the history of timeline {} is not stored", timeline);
    };
    return options;
  }
  Result<LiveVerifyReport> verify(TestCluster& cluster, const LiveVerifyOptions& options) {
    return verify_live(rig_.world, cluster.connection(), options);
  }
  Result<std::unique_ptr<ServerSession>> session(TestCluster& cluster) {
    auto session = TRY(ServerSession::connect(cluster.connection()));
    TRY(session->exec("set search_path to public"));
    return session;
  }
  // Until the server says "t" to a question.
  static void wait_for(TestCluster& cluster, const std::string& question) {
    for (int i = 0; i < 600; i++) {
      const auto answer = cluster.sql(question);
      if (answer.ok() && answer.value() == "t") return;
      system_clock().sleep(Duration::milliseconds(50));
    }
    FAIL() << question;
  }
  static std::string text_of(const std::vector<source::VerifyFinding>& findings) {
    std::string text;
    for (const auto& finding : findings) text += finding.object + ": " + finding.problem + "\n";
    return text;
  }

  TestRig rig_;
};

TEST_F(LiveVerify, AnIndexThatIsBeingBuiltIsNoDamage) {
  auto cluster = TestCluster::create();
  ASSERT_OK(cluster);
  ASSERT_OK((*cluster)->sql("create table t as select g from generate_series(1, 100) g; create role weak login"));
  // Who builds an index waits for transactions that are older.
  auto old = session(**cluster);
  ASSERT_OK(old);
  ASSERT_OK((*old)->exec("begin isolation level repeatable read; select count(*) from t"));
  {
    std::jthread builder([&] { EXPECT_TRUE((*cluster)->sql("create index concurrently t_g on t (g)").ok()); });
    wait_for(**cluster,
             "select exists (select from pg_index where indexrelid = to_regclass('t_g') and not indisvalid)");
    for (const char* account : {"postgres", "weak"}) {
      const Connection connection{(*cluster)->connection().conninfo + " user=" + account, {}, {}};
      const auto report = verify_live(rig_.world, connection, options());
      EXPECT_TRUE(report.ok()) << report.error().text();
      if (report.ok()) {
        EXPECT_EQ(text_of(report->report.findings), "") << account;
      }
    }
    EXPECT_TRUE((*old)->exec("commit").ok());
  }
  ASSERT_OK(
      (*cluster)->sql("set allow_system_table_mods = on; update pg_index set indisvalid = false where indexrelid ="
                      " 't_g'::regclass"));
  const auto report = verify(**cluster, options());
  ASSERT_OK(report);
  EXPECT_EQ(text_of(report->report.findings),
            "index public.t_g: is marked invalid: it is not used, and a unique one not enforced\n");
}

TEST_F(LiveVerify, WhatIsDroppedMeanwhileIsNoDamage) {
  auto cluster = TestCluster::create();
  ASSERT_OK(cluster);
  ASSERT_OK(
      (*cluster)->sql("create extension amcheck; create table t as select g from generate_series(1, 100) g;"
                      " create index on t (g)"));
  auto dropping = session(**cluster), checking = session(**cluster);
  ASSERT_OK(dropping);
  ASSERT_OK(checking);
  ASSERT_OK((*dropping)->exec("begin; drop table t"));
  std::vector<source::VerifyFinding> findings;
  std::vector<std::string> notes;
  {
    std::jthread checker([&] {
      Amcheck amcheck(**checking, rig_.progress.stop);
      EXPECT_TRUE(amcheck.prepare().ok());
      const auto checked = amcheck.run(findings, notes);
      EXPECT_TRUE(checked.ok()) << checked.error().text();
    });
    wait_for(**cluster, "select exists (select from pg_stat_activity where wait_event_type = 'Lock')");
    EXPECT_TRUE((*dropping)->exec("commit").ok());
  }
  EXPECT_EQ(text_of(findings), "");
  EXPECT_EQ(notes, std::vector<std::string>());
}

TEST_F(LiveVerify, RowsThatAPolicyHidesAreNotTakenForLostOnes) {
  auto cluster = TestCluster::create();
  ASSERT_OK(cluster);
  ASSERT_OK(
      (*cluster)->sql("create table t as select g from generate_series(1, 100) g; analyze t; create role weak"
                      " login; grant select on t to weak; alter table t enable row level security; create policy"
                      " few on t to weak using (g < 10)"));
  const Connection weak{(*cluster)->connection().conninfo + " user=weak", {}, {}};
  auto admin = session(**cluster);
  ASSERT_OK(admin);
  LiveVerifyOptions wanted = options();
  wanted.recorded = count_rows((*cluster)->connection(), **admin)["postgres"];
  EXPECT_EQ(wanted.recorded["public.t"]["rows"], 100);
  const auto report = verify_live(rig_.world, weak, wanted);
  ASSERT_OK(report);
  EXPECT_EQ(report->changes, std::vector<std::string>());
  EXPECT_EQ(text_of(report->report.findings), "");
  // Nor are they at capture.
  const auto counted = count_rows(weak, **admin)["postgres"]["public.t"];
  EXPECT_EQ(counted["exact"], false);
  EXPECT_EQ(counted["rows"], 100);
}

TEST_F(LiveVerify, TablesBeyondWhatIsRecordedAreNotNew) {
  auto cluster = TestCluster::create();
  ASSERT_OK(cluster);
  ASSERT_OK((*cluster)->sql("create table t (n int)"));
  LiveVerifyOptions wanted = options();
  for (size_t i = 0; i < kMostCountedTables; i++)
    wanted.recorded[fmt::format("public.gone_{}", i)] = {{"rows", 0}, {"exact", true}};
  const auto report = verify(**cluster, wanted);
  ASSERT_OK(report);
  ASSERT_FALSE(report->changes.empty());
  for (const std::string& change : report->changes) EXPECT_TRUE(change.ends_with("is no longer there")) << change;
}

TEST_F(LiveVerify, ATimelineOfTheSameNumberMayBeAnother) {
  auto cluster = TestCluster::create();
  ASSERT_OK(cluster);
  ASSERT_OK((*cluster)->sql("create table t (n int)"));
  const auto snapshot = rig_.capture(**cluster);
  ASSERT_OK(snapshot);
  auto promoted = rig_.restore(*snapshot);
  ASSERT_OK(promoted);
  const auto text = (*promoted)->sql("select pg_read_file('pg_wal/00000002.history')");
  ASSERT_OK(text);
  const auto history = parse_history(as_bytes(*text), 2);
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), 1u);

  LiveVerifyOptions wanted = options();
  wanted.recent = Duration::hours(24);
  wanted.log = LogEnd{2, history->front().left_at, system_clock().now()};
  std::vector<TimelineSwitch> stored = *history;
  wanted.history = [&](uint32_t) -> Result<std::vector<TimelineSwitch>> { return stored; };
  auto report = verify(**promoted, wanted);
  ASSERT_OK(report);
  EXPECT_EQ(text_of(report->report.findings), "");
  stored.front().left_at.value -= 8;
  report = verify(**promoted, wanted);
  ASSERT_OK(report);
  EXPECT_NE(text_of(report->report.findings)
                .find("which is not in the history of the server (timeline 2, which branched "
                      "off elsewhere)"),
            std::string::npos)
      << text_of(report->report.findings);
  // An account that may not ask the server holds what is stored against itself.
  ASSERT_OK((*promoted)->sql("create role plain login"));
  report =
      verify_live(rig_.world, {conninfo_with((*promoted)->connection().conninfo, "user", "plain"), {}, {}}, wanted);
  ASSERT_OK(report);
  EXPECT_THAT(report->notes, testing::Contains(testing::HasSubstr("may not read where the server's timeline 2")));
  // Nobody has stored where it branched off.
  wanted.history = options().history;
  report = verify(**promoted, wanted);
  ASSERT_OK(report);
  EXPECT_EQ(text_of(report->report.findings), "");
  EXPECT_EQ(report->notes,
            std::vector<std::string>({"where timeline 2 branched off is not known: it is taken for the server's own"}));
}

}  // namespace
}  // namespace holdfast::postgres
