#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "servers/wait.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/target.h"
#include "wal/wal_server.h"

// Whatever resolve_target() accepts, PostgreSQL reaches: each kind of target is
// resolved, a copy of the cluster is recovered with the settings it gave, and the
// rows are compared with what the target must hold.

namespace holdfast::wal_test {
namespace {

using namespace postgres;
using servers::wait_until;
using ::testing::HasSubstr;

class RecoveryTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!servers::find_postgres(GetParam())) GTEST_SKIP() << "there is no PostgreSQL " << GetParam() << " here";
    auto made = WalServer::create(GetParam());
    ASSERT_TRUE(made.ok()) << made.error().text();
    server_ = std::move(made).value();
    server_->sql("CREATE TABLE public.t (i int)");
    receiver_ = std::make_unique<LiveReceiver>(*server_, receiver_options());
    ASSERT_TRUE(wait_until([&] { return receiver_->state().connected; })) << receiver_->state().trouble;
  }

  // A copy of the cluster while it runs, and the snapshot that describes it.
  void take_snapshot() {
    auto session = server_->server().connect();
    ASSERT_TRUE(session.ok());
    const bool old = session.value()->major() < 15;
    const std::string start = old ? "pg_start_backup('test', true, false)" : "pg_backup_start('test', true)";
    const auto started = session.value()->value("SELECT " + start);
    ASSERT_TRUE(started.ok()) << started.error().text();
    copy_ = server_->scratch().file("copy");
    const auto copied = run_command_checked(
        servers::as_server_user({"cp", "-a", server_->server().data_directory(), copy_}, Duration::seconds(300)));
    ASSERT_TRUE(copied.ok()) << copied.error().text();
    const auto stopped =
        session.value()->exec(old ? "SELECT lsn, labelfile, clock_timestamp() FROM pg_stop_backup(false, false)"
                                  : "SELECT lsn, labelfile, clock_timestamp() FROM pg_backup_stop(false)");
    ASSERT_TRUE(stopped.ok()) << stopped.error().text();
    ASSERT_TRUE(
        write_file_durably(real_file_system(), copy_ + "/backup_label", as_bytes(stopped.value().at(0, 1)), 0644).ok());
    ASSERT_TRUE(remove_tree(real_file_system(), copy_ + "/pg_wal").ok());
    ASSERT_TRUE(servers::make_server_directory(copy_ + "/pg_wal").ok());
    ignore(real_file_system().remove_file(copy_ + "/postmaster.pid"), "it was in the copy");
    SnapshotSource source;
    source.system_id = server_->identity().system_id;
    source.major = GetParam();
    source.segment_bytes = server_->identity().segment_bytes;
    source.timeline = 1;
    source.start = source.checkpoint = parse_lsn(started.value()).value();
    source.stop = parse_lsn(stopped.value().at(0, 0)).value();
    source.stop_time = now();
    repo::Snapshot snapshot;
    snapshot.component = "db";
    snapshot.kind = "postgres";
    snapshot.source = to_json(source);
    snapshots_ = {snapshot};
  }

  Time now() {
    return Time::from_unix_microseconds(
        std::stoll(server_->sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")));
  }
  // Adds a row; returns the xid that did.
  uint64_t add(int value) {
    return std::stoull(
        server_->sql(fmt::format("INSERT INTO public.t VALUES ({}) RETURNING pg_current_xact_id()", value)));
  }
  void store_all() {
    const Lsn end = server_->flushed();
    ASSERT_TRUE(wait_until([&] { return stored_end(server_->archive(), 1) >= end; })) << receiver_->state().trouble;
  }

  // What recovery would ask restore_command for.
  std::string export_wal() {
    const std::string directory = server_->scratch().make("wal" + std::to_string(exports_++)).value();
    for (const WalPiece& piece : server_->archive().pieces().value()) {
      const std::string name = piece.record.substr(0, 24);
      const auto content = server_->archive().fetch(name);
      EXPECT_TRUE(content.ok() && content.value()) << name;
      EXPECT_TRUE(write_file_durably(real_file_system(), directory + "/" + name, *content.value(), 0644).ok());
    }
    return directory;
  }

  // The rows of a copy that was recovered to the target.
  std::string recover(const source::RestoreTarget& target) {
    const auto resolved = resolve_target(server_->archive(), snapshots_, target);
    if (!resolved.ok()) return resolved.error().text();
    const std::string data = server_->scratch().file("restored" + std::to_string(exports_));
    const auto copied = run_command_checked(servers::as_server_user({"cp", "-a", copy_, data}, Duration::seconds(300)));
    if (!copied.ok()) return copied.error().text();
    std::string settings =
        fmt::format("\nrestore_command = 'cp {}/%f %p'\nrecovery_target_action = promote\n", export_wal());
    for (const auto& [name, value] : resolved.value().settings) settings += fmt::format("{} = '{}'\n", name, value);
    Bytes old = read_file(real_file_system(), data + "/postgresql.auto.conf").value();
    old.append(settings);
    EXPECT_TRUE(write_file_durably(real_file_system(), data + "/postgresql.auto.conf", old, 0644).ok());
    EXPECT_TRUE(write_file_durably(real_file_system(), data + "/recovery.signal", {}, 0644).ok());
    servers::PostgresOptions options;
    options.major = GetParam();
    auto restored = servers::PrivatePostgres::adopt(data, options);
    if (!restored.ok()) return restored.error().text();
    const auto started = restored.value()->start_and_promote();
    if (!started.ok()) return started.error().text();
    const auto rows = restored.value()->value("SELECT coalesce(string_agg(i::text, ' ' ORDER BY i), '') FROM public.t");
    return rows.ok() ? rows.value() : rows.error().text();
  }

  std::unique_ptr<WalServer> server_;
  std::unique_ptr<LiveReceiver> receiver_;
  std::string copy_;
  std::vector<repo::Snapshot> snapshots_;
  int exports_ = 0;
};

source::RestoreTarget at_time(Time time) {
  source::RestoreTarget target;
  target.time = time;
  return target;
}

TEST_P(RecoveryTest, ReachesEveryKindOfTarget) {
  take_snapshot();
  add(1);
  const Time after_one = now();
  const uint64_t second = add(2);
  server_->sql("SELECT pg_create_restore_point('after two')");
  add(3);
  const std::string lsn = server_->sql("SELECT pg_current_wal_insert_lsn()");
  add(4);
  store_all();
  source::RestoreTarget target;
  EXPECT_EQ(recover(at_time(after_one)), "1");
  target.xid = second;
  EXPECT_EQ(recover(target), "1 2");
  target.inclusive = false;
  EXPECT_EQ(recover(target), "1");
  target = {};
  target.name = "after two";
  EXPECT_EQ(recover(target), "1 2");
  target = {};
  target.lsn = lsn;
  target.inclusive = false;
  EXPECT_EQ(recover(target), "1 2 3");
  target = {};
  target.immediate = true;
  EXPECT_EQ(recover(target), "");
  EXPECT_EQ(recover({}), "1 2 3 4") << "the last segment is stored in parts only";
}

// The end of the log is where PostgreSQL says "recovery ended before configured
// recovery target was reached": times and positions there must be reached too.
TEST_P(RecoveryTest, ReachesTheVeryEnd) {
  take_snapshot();
  add(1);
  add(2);
  const Time later = now();
  const std::string end = server_->sql("SELECT pg_current_wal_flush_lsn()");
  ASSERT_TRUE(wait_until([&] { return receiver_->state().proven_until.value_or(Time{}) >= later; }));
  EXPECT_EQ(recover(at_time(later)), "1 2");
  source::RestoreTarget target;
  target.lsn = end;
  EXPECT_EQ(recover(target), "1 2");
  target.inclusive = false;
  EXPECT_EQ(recover(target), "1 2");
  EXPECT_THAT(recover(at_time(later + Duration::hours(1))), HasSubstr("is not covered: the stored WAL ends at"));
  target.lsn = "F/0";
  EXPECT_THAT(recover(target), HasSubstr("F/0 is not stored"));
  target = {};
  target.xid = 4'000'000;
  EXPECT_THAT(recover(target), HasSubstr("transaction 4000000 has not committed in the stored WAL of timeline 1"));
}

// What comes after the instant, and arrives only while recovery runs, changes nothing.
TEST_P(RecoveryTest, DoesNotOvershootWhenMoreArrives) {
  take_snapshot();
  add(1);
  const Time instant = now();
  ASSERT_TRUE(wait_until([&] { return receiver_->state().proven_until.value_or(Time{}) >= instant; }));
  const auto resolved = resolve_target(server_->archive(), snapshots_, at_time(instant));
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  add(2);
  store_all();
  const auto again = resolve_target(server_->archive(), snapshots_, at_time(instant));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().settings[1].first, "recovery_target_time");
  EXPECT_EQ(recover(at_time(instant)), "1");
  // The settings of before, on the log of now.
  source::RestoreTarget target;
  ASSERT_EQ(resolved.value().settings[1].first, "recovery_target_lsn");
  target.lsn = resolved.value().settings[1].second;
  EXPECT_EQ(recover(target), "1");
}

INSTANTIATE_TEST_SUITE_P(Versions, RecoveryTest, ::testing::ValuesIn(servers::postgres_majors()),
                         [](const auto& test) { return fmt::format("PostgreSQL{}", test.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecoveryTest);

}  // namespace
}  // namespace holdfast::wal_test
