#include "source/redis/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "redis/rig.h"
#include "source/redis/command_log.h"

namespace holdfast::redis_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Keys of every type, in several databases, some that expire.
void fill(RedisServer& server) {
  auto session = server.connect();
  const std::vector<std::vector<std::string_view>> commands = {
      {"SET", "text", "value"},
      {"SET", "leaves", "soon", "EX", "100000"},
      {"HSET", "hash", "a", "1", "b", "2"},
      {"RPUSH", "list", "x", "y", "z"},
      {"SADD", "set", "1", "2", "3"},
      {"ZADD", "zset", "1", "one", "2", "two"},
      {"PFADD", "hll", "a", "b", "c"},
      {"XADD", "stream", "1-1", "field", "value"},
      {"XGROUP", "CREATE", "stream", "group", "0"},
      {"FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"},
      {"SELECT", "15"},
      {"SET", "elsewhere", "too"},
  };
  for (const auto& words : commands) ASSERT_TRUE(session->command(words).ok()) << words.front();
  ASSERT_TRUE(session->command({"SELECT", "0"}).ok());
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(session->command({"SET", "large", large}).ok());
  ASSERT_TRUE(session->command({"DEBUG", "POPULATE", "20000", "key", "100"}).ok());
}

class CaptureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_redis()) GTEST_SKIP() << "there is no redis-server here";
  }
  void captures_all_of(std::vector<std::string> arguments) {
    auto server = rig.serve("master", std::move(arguments));
    fill(*server);
    const auto snapshot = rig.capture(server->connection());
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
    const auto source = redis::snapshot_source(*snapshot);
    ASSERT_TRUE(source.ok()) << source.error().text();
    EXPECT_EQ(source->position.replid, server->info("master_replid"));
    EXPECT_EQ(source->redis_version, server->info("redis_version"));
    EXPECT_EQ(source->run_id, server->info("run_id"));
    EXPECT_EQ(source->databases.size(), 2u);
    EXPECT_TRUE(source->rdb_checksum);
    EXPECT_EQ(source->rdb_bytes, snapshot->source_bytes);
    auto restored = rig.restore(*snapshot, false);
    EXPECT_EQ(restored->digest(), server->digest());
    EXPECT_EQ(restored->run({"FCALL", "f", "0"}), "1");
  }

  Rig rig;
};

TEST_F(CaptureTest, AMasterThatSendsAFile) { captures_all_of({"--repl-diskless-sync", "no"}); }
TEST_F(CaptureTest, AMasterThatSendsFromItsChild) { captures_all_of({"--repl-diskless-sync", "yes"}); }

TEST_F(CaptureTest, AnEmptyMaster) {
  auto server = rig.serve("master");
  const auto snapshot = rig.capture(server->connection());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(rig.restore(*snapshot, false)->digest(), server->digest());
}

TEST_F(CaptureTest, AReplica) {
  auto master = rig.serve("master", {"--port", std::to_string(free_port())});
  fill(*master);
  auto replica = rig.serve("replica", {"--replicaof", "127.0.0.1 " + master->info("tcp_port")});
  ASSERT_TRUE(servers::wait_until([&] { return replica->info("master_link_status") == "up"; }, Duration::seconds(60)));
  const auto snapshot = rig.capture(replica->connection());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(rig.restore(*snapshot, false)->digest(), master->digest());
  // Without its master it has nothing to promise.
  master->kill();
  ASSERT_TRUE(
      servers::wait_until([&] { return replica->info("master_link_status") == "down"; }, Duration::seconds(60)));
  const auto refused = rig.capture(replica->connection());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("NOMASTERLINK"));
}

TEST_F(CaptureTest, ByAUserOfTheAcl) {
  auto server = rig.serve("master");
  fill(*server);
  server->run({"ACL", "SETUSER", "holdfast", "on", ">secret", "resetkeys", "resetchannels", "-@all", "+psync",
               "+replconf", "+ping", "+info"});
  redis::Connection connection = server->connection();
  connection.user = "holdfast";
  connection.password = Secret::from_text("secret");
  const auto snapshot = rig.capture(connection);
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(rig.restore(*snapshot, false)->digest(), server->digest());
  EXPECT_TRUE(redis::snapshot_source(*snapshot)->has_users);

  connection.password = Secret::from_text("geheim");
  const auto wrong = rig.capture(connection);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kPermission);
  EXPECT_THAT(wrong.error().text(), Not(HasSubstr("geheim")));

  server->run({"ACL", "SETUSER", "holdfast", "-psync"});
  connection.password = Secret::from_text("secret");
  const auto lacking = rig.capture(connection);
  ASSERT_FALSE(lacking.ok());
  EXPECT_EQ(lacking.error().code(), ErrorCode::kPermission);
  EXPECT_THAT(lacking.error().hint(), HasSubstr("+psync"));
}

TEST_F(CaptureTest, ByThePasswordOfTheDefaultUser) {
  auto server = rig.serve("master", {"--requirepass", "secret"});
  redis::Connection connection = server->connection();
  EXPECT_EQ(rig.capture(connection).error().code(), ErrorCode::kPermission);
  connection.password = Secret::from_text("secret");
  const auto snapshot = rig.capture(connection);
  EXPECT_TRUE(snapshot.ok()) << snapshot.error().text();
}

TEST_F(CaptureTest, OverTls) {
  redis::Connection connection;
  const auto server = rig.serve_tls(connection);
  fill(*server);
  const auto snapshot = rig.capture(connection);
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(rig.restore(*snapshot, false)->digest(), server->digest());

  const std::string trusted = connection.tls_ca;
  connection.tls_ca = parent_path(trusted) + "/other.crt";
  const auto untrusted = rig.capture(connection);
  ASSERT_FALSE(untrusted.ok());
  EXPECT_EQ(untrusted.error().code(), ErrorCode::kPermission);
  EXPECT_THAT(untrusted.error().message(), HasSubstr("is not trusted"));
  connection.tls_ca = trusted;
  connection.host = "localhost";  // the certificate is of the address alone
  EXPECT_EQ(rig.capture(connection).error().code(), ErrorCode::kPermission);
  connection.tls_ca = parent_path(trusted) + "/nowhere.crt";
  EXPECT_EQ(rig.capture(connection).error().code(), ErrorCode::kConfig);
}

TEST_F(CaptureTest, AnRdbThatWasBegunForAnotherReplicaIsAsOldAsItIs) {
  auto server = rig.serve("master", {"--repl-diskless-sync", "no", "--rdb-key-save-delay", "30000"});
  auto session = server->connect();
  for (int i = 0; i < 500; i++) ASSERT_TRUE(session->command({"SET", fmt::format("k:{}", i), "v"}).ok());
  // One that waits for its RDB; the server counts from the first.
  auto other = redis::ReplicationSession::connect(server->connection(), nullptr).value();
  const Time before = system_clock().now();
  ASSERT_TRUE(other->sync(std::nullopt, false, system_clock()).ok());
  const Time begun = system_clock().now();
  server->run({"SET", "later", "1"});
  ASSERT_EQ(server->info("rdb_bgsave_in_progress"), "1");
  const auto snapshot = rig.capture(server->connection());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(rig.restore(*snapshot, false)->run({"EXISTS", "later"}), "0");
  EXPECT_LE(snapshot->instant, begun);
  const auto source = redis::snapshot_source(*snapshot);
  ASSERT_TRUE(source.ok() && source->latest);
  EXPECT_GE(*source->latest, before);
}

// Nobody has told this process to ignore SIGPIPE.
TEST_F(CaptureTest, ATlsConnectionThatTheServerEndedIsAnError) {
  redis::Connection connection;
  const auto server = rig.serve_tls(connection);
  auto session = redis::ServerSession::connect(connection);
  ASSERT_TRUE(session.ok()) << session.error().text();
  server->kill();
  // The first may still find room in the socket; the ones behind it find it closed.
  const Bytes ping = redis::encode_command({"PING"});
  Result<void> written;
  for (int i = 0; i < 10 && written.ok(); i++) written = (*session)->write(ping);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kUnavailable);
}

TEST_F(CaptureTest, TheSameDataAgainCostsLittle) {
  auto server = rig.serve("master");
  auto session = server->connect();
  Bytes noise(64 << 10);
  const auto random = seeded_random(1);
  for (int i = 0; i < 200; i++) {
    random->fill(noise.mutable_view());
    ASSERT_TRUE(session->command({"SET", fmt::format("key:{}", i), as_text(noise)}).ok());
  }
  const auto first = rig.capture(server->connection());
  ASSERT_TRUE(first.ok()) << first.error().text();
  server->run({"SET", "one", "more"});
  const auto second = rig.capture(server->connection());
  ASSERT_TRUE(second.ok()) << second.error().text();
  EXPECT_GT(first->source_bytes, 12u << 20);
  EXPECT_LT(second->stored_bytes, first->source_bytes / 2);
}

TEST_F(CaptureTest, AServerThatIsAwayOrLoading) {
  redis::Connection nowhere;
  nowhere.socket = rig.scratch.file("nowhere.sock");
  const auto away = rig.capture(nowhere);
  ASSERT_FALSE(away.ok());
  EXPECT_EQ(away.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(away.error().retryable());

  auto server = rig.serve("master");
  server->run({"DEBUG", "POPULATE", "5000"});
  server->run({"SAVE"});
  server->run({"CONFIG", "SET", "key-load-delay", "1000"});
  server->run({"CONFIG", "SET", "loading-process-events-interval-bytes", "1024"});
  auto session = server->connect();
  ASSERT_TRUE(session->write(redis::encode_command({"DEBUG", "RELOAD", "NOSAVE"})).ok());
  ASSERT_TRUE(servers::wait_until(
      [&] {
        const auto loading = rig.capture(server->connection());
        return !loading.ok() && loading.error().code() == ErrorCode::kUnavailable &&
               loading.error().message().find("LOADING") != std::string::npos;
      },
      Duration::seconds(60)));
}

}  // namespace
}  // namespace holdfast::redis_test
