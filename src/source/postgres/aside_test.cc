#include "source/postgres/aside.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "source/postgres/superuser.h"
#include "source/postgres/test_rig.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {
namespace {

std::map<std::string, std::string> aside(int major) {
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : settings_aside(major, "/d", "/r")) settings[name] = value;
  return settings;
}

TEST(SettingsAside, AreThoseThatTheMajorKnows) {
  const auto oldest = aside(13), newest = aside(16);
  for (const char* command : {"archive_cleanup_command", "recovery_end_command"}) {
    EXPECT_EQ(oldest.at(command), "") << command;
    EXPECT_EQ(newest.at(command), "") << command;
  }
  EXPECT_EQ(newest.at("max_logical_replication_workers"), "0");
  EXPECT_EQ(newest.at("dynamic_shared_memory_type"), "mmap") << "a server that is killed leaves nothing behind";
  EXPECT_FALSE(oldest.contains("min_dynamic_shared_memory"));
  EXPECT_EQ(aside(14).at("min_dynamic_shared_memory"), "0");
  EXPECT_EQ(oldest.at("stats_temp_directory"), "pg_stat_tmp");
  EXPECT_EQ(oldest.at("promote_trigger_file"), "");
  EXPECT_TRUE(aside(15).contains("promote_trigger_file"));
  EXPECT_FALSE(aside(15).contains("stats_temp_directory"));
  EXPECT_FALSE(newest.contains("promote_trigger_file"));
}

// A server that ended is not waited for.
TEST(RecoveryAside, AServerThatEndedIsToldAtOnce) {
  Progress progress;
  const source::World world{real_file_system(), system_clock(), progress};
  Connection nowhere;
  nowhere.conninfo = "host=/nonexistent user=postgres dbname=postgres";
  const RecoveringServer server{nowhere, [] { return false; }, [] { return std::string("FATAL: it ended"); }};
  const Duration until = world.clock.monotonic() + Duration::hours(1);
  progress.bytes_total = progress.bytes_done = 100;
  const auto waited = wait_for_end_of_recovery(world, server, ResolvedTarget(), until, "the recovery aside");
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.error().code(), ErrorCode::kServer);
  EXPECT_EQ(progress.bytes_total, 0u) << "recovery is no share of what was restored";
  EXPECT_EQ(waited.error().message(), "the server ended before recovery did; its log ends with: FATAL: it ended");
}

// The environment of a machine whose people work on another server.
class Environment {
 public:
  explicit Environment(std::map<std::string, std::string> values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : values_) ::unsetenv(name.c_str());
  }

 private:
  const std::map<std::string, std::string> values_;
};

// Waiting does not change what the server says of the account.
TEST(RecoveryAside, ARoleThatIsNotThereEndsIt) {
  EXPECT_TRUE(is_final(make_error(ErrorCode::kPermission,
                                  "can't connect to the PostgreSQL server: connection to server on socket "
                                  "\"/s/.s.PGSQL.5432\" failed: FATAL:  role \"postgres\" does not exist")));
  EXPECT_TRUE(is_final(make_error(ErrorCode::kNotFound,
                                  "can't connect to the PostgreSQL server: connection to server on socket "
                                  "\"/s/.s.PGSQL.5432\" failed: FATAL:  database \"postgres\" does not exist")));
  EXPECT_FALSE(is_final(make_error(ErrorCode::kUnavailable, "FATAL:  the database system is starting up")));
}

TEST(RecoveryAside, WhereItDoesNotFitScratchIsTheWayOn) {
  const Error full =
      with_scratch_hint(make_error(ErrorCode::kNoSpace, "full").with_hint("restore elsewhere with --to"));
  EXPECT_EQ(full.hint(), "make room there, or name a directory with more of it: --scratch DIR");
  EXPECT_EQ(with_scratch_hint(make_error(ErrorCode::kIo, "x").with_hint("h")).hint(), "h");
}

class Aside : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SERVER();
    auto made = TestCluster::create();
    ASSERT_OK(made);
    cluster_ = std::move(made).value();
    ASSERT_OK(cluster_->sql("create table t as select g from generate_series(1, 100) g"));
    options_.scratch_directory = cluster_->scratch() + "/boot";
    ASSERT_OK(real_file_system().make_directory(options_.scratch_directory, 0755));
  }
  // As one is that replays all that is stored.
  void capture() {
    auto captured = rig_.capture(*cluster_);
    ASSERT_OK(captured);
    snapshot_ = std::move(captured).value();
    options_.restore_command = rig_.export_wal(*cluster_, snapshot_).value();
    const SnapshotSource source = snapshot_source(snapshot_).value();
    target_.settings = {{"recovery_target_timeline", "latest"}};
    target_.timeline = source.timeline;
    target_.replay_from = source.start;
    target_.replay_to = source.stop;
    target_.last_record = Lsn{source.stop.value - 1};
  }

  TestRig rig_;
  std::unique_ptr<TestCluster> cluster_;
  BootOptions options_;
  repo::Snapshot snapshot_;
  ResolvedTarget target_;
};

TEST_F(Aside, NeitherTheEnvironmentNorTheOriginalsSettingsReachAnythingElse) {
  FileSystem& fs = real_file_system();
  const std::string service = cluster_->scratch() + "/services", more = cluster_->scratch() + "/more.conf";
  ASSERT_OK(write_file_durably(fs, service, as_bytes("[live]\nhostaddr=127.0.0.1\nport=1\noptions=-crole=nobody\n")));
  ASSERT_OK(write_file_durably(fs, more,
                               as_bytes(fmt::format("recovery_end_command = 'touch {0}/ended'\n"
                                                    "archive_cleanup_command = 'touch {0}/cleaned'\n",
                                                    cluster_->scratch())),
                               0644));
  ASSERT_OK(cluster_->append_configuration("include = '" + more + "'\n"));
  capture();
  options_.assertions = {{"aside", "postgres", "insert into t values (666) returning true"}};
  {
    const Environment environment({{"PGHOSTADDR", "127.0.0.1"},
                                   {"PGSERVICE", "live"},
                                   {"PGSERVICEFILE", service},
                                   {"PGOPTIONS", "-crole=nobody"},
                                   {"PGREQUIREPEER", "nobody"},
                                   {"PGTARGETSESSIONATTRS", "standby"},
                                   {"PGCHANNELBINDING", "require"}});
    const auto report = verify_by_booting(rig_.world, rig_.repository(), snapshot_, target_, options_);
    ASSERT_OK(report);
    EXPECT_EQ(report.value().findings.size(), 0u);
    EXPECT_EQ(report.value().details["amcheck"], true);
  }
  EXPECT_EQ(cluster_->sql("select count(*) from t").value(), "100");
  EXPECT_FALSE(exists(fs, cluster_->scratch() + "/ended").value());
  EXPECT_FALSE(exists(fs, cluster_->scratch() + "/cleaned").value());
}

// No machine that runs this has that much memory, nor set huge pages aside for it.
TEST_F(Aside, TheOriginalsMemoryAndDelayAreNotAskedFor) {
  ASSERT_OK(cluster_->append_configuration(
      "shared_buffers = '4TB'\nhuge_pages = on\nmin_dynamic_shared_memory = '4TB'\nwal_buffers = '1GB'\n"
      "recovery_min_apply_delay = '12h'\nmax_connections = 123\n"));
  capture();
  options_.assertions = {{"memory", "postgres", "select current_setting('shared_buffers') = '128MB'"},
                         {"delay", "postgres", "select current_setting('recovery_min_apply_delay') = '0'"},
                         {"connections", "postgres", "select current_setting('max_connections') = '123'"}};
  const auto report = verify_by_booting(rig_.world, rig_.repository(), snapshot_, target_, options_);
  ASSERT_OK(report);
  EXPECT_EQ(report.value().findings.size(), 0u);
}

// Which is named as somebody liked, and may have lost the right to log in.
TEST(AsideOfAnyName, TheServerIsAskedAsASuperuserThatItHas) {
  SKIP_WITHOUT_SERVER();
  TestCluster::Options named;
  named.initdb = {"-U", "the app"};
  auto cluster = TestCluster::create(named);
  ASSERT_OK(cluster);
  EXPECT_EQ((*cluster)->sql("select current_user").value(), "the app");
  ASSERT_OK(
      (*cluster)->sql("create role other login; create role boss superuser login;"
                      "create role idle superuser; alter role \"the app\" nologin"));
  ASSERT_OK((*cluster)->stop());
  EXPECT_EQ(login_superuser(real_file_system(), (*cluster)->data()).value(), "boss");
  ASSERT_OK((*cluster)->start());
  ASSERT_OK((*cluster)->sql("vacuum full pg_authid"));
  ASSERT_OK((*cluster)->sql("create role last superuser login; alter role boss nologin"));
  ASSERT_OK((*cluster)->stop());
  EXPECT_EQ(login_superuser(real_file_system(), (*cluster)->data()).value(), "last");
  ASSERT_OK((*cluster)->start());
  Connection refused;
  refused.conninfo = (*cluster)->connection().conninfo + " user=idle";
  const auto session = ServerSession::connect(refused);
  ASSERT_FALSE(session.ok());
  EXPECT_TRUE(is_final(session.error())) << session.error().text();
}

TEST_F(Aside, AnotherServerThanTheOneMeantIsNotSpokenTo) {
  Connection connection;
  connection.conninfo = cluster_->connection().conninfo;
  connection.data_directory = "/srv/other";
  const auto session = ServerSession::connect(connection);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(session.error().message(),
            fmt::format("the server that answered works on {}, not on /srv/other", cluster_->data()));
}

TEST_F(Aside, ARecoveryThatEndsEarlyIsNoRecovery) {
  capture();
  ResolvedTarget longer = target_;
  longer.replay_to = Lsn{target_.replay_to.value + (64 << 20)};
  FileSystem& fs = real_file_system();
  const auto staged = stage_wal(fs, rig_.repository(), snapshot_, longer, cluster_->scratch() + "/staged");
  ASSERT_FALSE(staged.ok());
  EXPECT_EQ(staged.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_NE(staged.error().message().find("which is not stored"), std::string::npos) << staged.error().message();

  longer = target_;
  longer.last_record = Lsn{target_.replay_to.value + (64 << 20)};
  const auto report = verify_by_booting(rig_.world, rig_.repository(), snapshot_, longer, options_);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_NE(report.error().text().find("recovery ended at "), std::string::npos) << report.error().text();
  EXPECT_TRUE(is_empty_directory(fs, options_.scratch_directory).value());
}

}  // namespace
}  // namespace holdfast::postgres
