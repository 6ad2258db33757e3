#include "source/redis/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/units.h"
#include "redis/rig.h"
#include "source/redis/frame_codec.h"
#include "source/redis/target.h"

namespace holdfast::redis_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class RedisReceiverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_redis()) GTEST_SKIP() << "there is no redis-server here";
  }
  // Writes of every kind, some in transactions, some in other databases.
  static void write_some(const RedisServer& server, int round, int count = 200) {
    auto session = server.connect();
    for (int i = 0; i < count; i++) {
      const std::string key = fmt::format("k:{}", i % 37), value = fmt::format("v:{}:{}", round, i);
      for (const auto& words : std::vector<std::vector<std::string_view>>{{"SET", key, value},
                                                                          {"RPUSH", "list", value},
                                                                          {"MULTI"},
                                                                          {"INCR", "counter"},
                                                                          {"HSET", "hash", key, value},
                                                                          {"EXEC"},
                                                                          {"SELECT", i % 2 == 0 ? "3" : "0"},
                                                                          {"PEXPIRE", key, "100000000"}})
        ASSERT_TRUE(session->command(words).ok());
    }
  }
  static void write_bytes(const RedisServer& server, size_t size_bytes) {
    auto session = server.connect();
    const std::string value(64 << 10, 'x');
    for (size_t written = 0; written < size_bytes; written += value.size())
      ASSERT_TRUE(session->command({"SET", fmt::format("big:{}", written % 8), value}).ok());
  }
  void expect_restored(const RedisServer& server, const repo::Snapshot& snapshot) {
    EXPECT_EQ(rig.restore(snapshot, true)->digest(), server.digest());
  }

  Rig rig;
};

bool is_linked(const RedisServer& replica) {
  return servers::wait_until([&] { return replica.info("master_link_status") == "up"; }, Duration::seconds(60));
}

bool catches_up(const RedisServer& replica, const RedisServer& master) {
  return servers::wait_until([&] { return replica.info("master_repl_offset") == master.info("master_repl_offset"); },
                             Duration::seconds(60));
}

TEST_F(RedisReceiverTest, FollowsASnapshot) {
  auto server = rig.serve("master");
  write_some(*server, 0);
  ASSERT_TRUE(rig.capture(server->connection()).ok());
  write_some(*server, 1);  // before anybody receives: the backlog has it
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  EXPECT_THAT(rig.log()->absences(), SizeIs(1));  // between the snapshot and the receiver
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, BeginsWithASnapshotWhereThereIsNone) {
  for (const char* diskless : {"no", "yes"}) {
    Rig own;
    auto server = own.serve("master", {"--repl-diskless-sync", diskless});
    write_some(*server, 0);
    own.start_receiver(server->connection());
    ASSERT_TRUE(own.wait_until_connected());
    write_some(*server, 1);
    ASSERT_TRUE(own.wait_until_stored(*server));
    ASSERT_TRUE(own.stop_receiver());
    ASSERT_THAT(own.snapshots, SizeIs(1));
    EXPECT_THAT(own.log()->gaps(), IsEmpty());
    EXPECT_EQ(own.restore(own.snapshots[0], true)->digest(), server->digest());
    EXPECT_NE(own.restore(own.snapshots[0], false)->digest(), server->digest());
  }
}

TEST_F(RedisReceiverTest, AcknowledgesOnlyWhatIsStored) {
  auto server = rig.serve("master");
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  auto session = server->connect();
  ASSERT_TRUE(session->command({"SET", "a", "1"}).ok());
  EXPECT_EQ(session->command({"WAIT", "1", "20000"})->integer, 1);
  rig.logs.refuses = true;
  ASSERT_TRUE(session->command({"SET", "a", "2"}).ok());
  EXPECT_EQ(session->command({"WAIT", "1", "1500"})->integer, 0);
  rig.logs.refuses = false;
  EXPECT_EQ(session->command({"WAIT", "1", "20000"})->integer, 1);
  ASSERT_TRUE(rig.stop_receiver());
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, ACutConnectionLosesNothing) {
  auto server = rig.serve("master", {"--repl-backlog-size", "64mb"});
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  for (int round = 1; round <= 5; round++) {
    write_some(*server, round);
    server->run({"CLIENT", "KILL", "TYPE", "replica"});
    write_some(*server, 100 + round);
  }
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_GE(rig.state().reconnects, 1u);
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  EXPECT_THAT(rig.log()->ranges().value(), SizeIs(1));
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, AReceiverThatComesLaterGoesOnWhereTheLogEnds) {
  auto server = rig.serve("master", {"--repl-backlog-size", "64mb"});
  for (int round = 1; round <= 3; round++) {
    rig.start_receiver(server->connection());
    ASSERT_TRUE(rig.wait_until_connected());
    write_some(*server, round);
    ASSERT_TRUE(rig.wait_until_stored(*server));
    ASSERT_TRUE(rig.stop_receiver());
    write_some(*server, 100 + round);
  }
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  const auto absences = rig.log()->absences();
  ASSERT_THAT(absences, SizeIs(3));
  for (const auto& absence : absences) {
    EXPECT_LT(absence.from, absence.to);
    EXPECT_LT(absence.from_instant, absence.to_instant);
  }
  expect_restored(*server, rig.snapshots[0]);
}

// What the server does while its RDB is on its way comes behind it.
TEST_F(RedisReceiverTest, WhatWasDoneDuringASnapshotIsSaidToComeLate) {
  auto server = rig.serve("master");
  write_some(*server, 0);
  Time before, after;
  rig.while_taking = [&] {
    before = system_clock().now();
    write_some(*server, 1);
    after = system_clock().now();
  };
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  const auto log = rig.log();
  const auto start = redis::snapshot_source(rig.snapshots[0])->position;
  ASSERT_THAT(log->absences(), SizeIs(1));
  const redis::LogAbsence& late = log->absences()[0];
  EXPECT_EQ(late.from, start.offset);
  EXPECT_EQ(late.from_instant, redis::cut_to_microseconds(rig.snapshots[0].instant));
  EXPECT_LE(late.from_instant, before);
  EXPECT_GE(late.to_instant, redis::cut_to_microseconds(after));
  // All of it is there at its end, and a restore to an instant within says what it is not.
  EXPECT_GE(log->position_at(start, late.to_instant)->position.offset, late.to);
  source::RestoreTarget target;
  target.time = after;
  const auto resolved = redis::resolve_target(*log, rig.snapshots, target);
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  ASSERT_THAT(resolved->notes, SizeIs(1));
  EXPECT_THAT(resolved->notes[0], HasSubstr("commands came late from"));
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, WhatComesLateWhileStoringIsSlowIsSaid) {
  auto server = rig.serve("master", {"--client-output-buffer-limit", "replica 0 0 0"});
  rig.late = Duration::seconds(1);
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  rig.logs.refuses = true;
  write_bytes(*server, 60 << 20);  // more than waits, and than the sockets hold
  const Time held = system_clock().now();
  const auto waits = [&] { return system_clock().now() - held > Duration::seconds(2); };
  ASSERT_TRUE(servers::wait_until(waits, Duration::seconds(60)));
  const std::string done = server->info("master_repl_offset");
  const Time then = system_clock().now();
  rig.logs.refuses = false;
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_EQ(rig.state().reconnects, 0u);
  const auto log = rig.log();
  // The state at `then` lacks what the server had done: an absence says so.
  const auto start = redis::snapshot_source(rig.snapshots[0])->position;
  ASSERT_LT(log->position_at(start, then)->position.offset, std::stoull(done));
  const auto tells = [&](const redis::LogAbsence& absence) {
    return absence.from_instant < then && then < absence.to_instant;
  };
  EXPECT_TRUE(std::ranges::any_of(log->absences(), tells));
  expect_restored(*server, rig.snapshots[0]);
}

// The second connection that asks how far the server is, say, finds another password.
TEST_F(RedisReceiverTest, WhereTheServerCanNotBeAskedItIsFollowedAllTheSame) {
  auto server = rig.serve("master");
  write_some(*server, 0);
  auto session = server->connect();
  rig.while_taking = [&] {
    write_some(*server, 1);
    ASSERT_TRUE(session->command({"CONFIG", "SET", "requirepass", "secret"}).ok());
  };
  redis::ReceiverOptions options;
  options.ask_again = Duration::milliseconds(50);
  rig.start_receiver(server->connection(), options);
  ASSERT_TRUE(rig.wait_until_connected());
  ASSERT_TRUE(session->command({"SET", "meanwhile", "1"}).ok());
  EXPECT_EQ(session->command({"WAIT", "1", "20000"})->integer, 1);
  EXPECT_THAT(rig.log()->absences(), IsEmpty());
  ASSERT_TRUE(session->command({"CONFIG", "SET", "requirepass", ""}).ok());
  ASSERT_TRUE(servers::wait_until([&] { return !rig.log()->absences().empty(); }, Duration::seconds(60)));
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_EQ(rig.state().reconnects, 0u);
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  // All that came before the answer has come late.
  const redis::LogAbsence late = rig.log()->absences()[0];
  EXPECT_EQ(late.from, redis::snapshot_source(rig.snapshots[0])->position.offset);
  EXPECT_EQ(late.from_instant, redis::cut_to_microseconds(rig.snapshots[0].instant));
  EXPECT_GT(late.to, late.from);
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, OneThatComesBackGoesOnWhereAnotherHasFollowed) {
  auto server = rig.serve("master", {"--repl-backlog-size", "64mb"});
  ASSERT_TRUE(rig.capture(server->connection()).ok());
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  redis::Connection service;
  service.socket = rig.scratch.file("service.sock");
  ASSERT_EQ(symlink(server->socket().c_str(), service.socket.c_str()), 0);
  auto logs = repo::open_log_store(*rig.repository);
  auto log = redis::CommandLog::open(*logs, "cache").value();
  const redis::SnapshotPlace place = redis::snapshot_place(rig.snapshots[0]).value();
  std::atomic<bool> stop{false}, connected{false};
  std::atomic<uint64_t> received_bytes{0};
  Result<void> outcome;
  redis::ReceiverOptions options;
  options.longest_pause = Duration::milliseconds(250);
  std::thread second([&] {
    outcome = redis::receive_commands(
        service, *log, system_clock(), options, place,
        [](redis::ReplicationSession&, const redis::SyncAnswer&) { return Result<void>(); }, stop,
        [&](const redis::ReceiverState& state) {
          connected = state.connected;
          received_bytes = state.received_bytes;
        });
  });
  EXPECT_TRUE(servers::wait_until([&] { return connected.load(); }, Duration::seconds(60)));
  // It alone can't come back.
  EXPECT_EQ(unlink(service.socket.c_str()), 0);
  server->run({"CLIENT", "KILL", "TYPE", "replica"});
  EXPECT_TRUE(servers::wait_until([&] { return !connected; }, Duration::seconds(60)));
  write_bytes(*server, 4 << 20);
  EXPECT_TRUE(rig.wait_until_stored(*server));
  EXPECT_EQ(symlink(server->socket().c_str(), service.socket.c_str()), 0);
  EXPECT_TRUE(servers::wait_until([&] { return connected.load(); }, Duration::seconds(60)));
  write_some(*server, 1);
  EXPECT_TRUE(servers::wait_until([&] { return received_bytes > 0; }, Duration::seconds(60)));
  EXPECT_TRUE(rig.wait_until_stored(*server));
  stop = true;
  second.join();
  EXPECT_TRUE(outcome.ok()) << outcome.error().text();
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_LT(received_bytes, 1u << 20);
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, TwoReceiversOfAnIdleServerGoOn) {
  auto server = rig.serve("master", {"--repl-ping-replica-period", "1"});
  ASSERT_TRUE(rig.capture(server->connection()).ok());
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  auto logs = repo::open_log_store(*rig.repository);
  auto log = redis::CommandLog::open(*logs, "cache").value();
  const redis::SnapshotPlace place{redis::snapshot_source(rig.snapshots[0])->position, rig.snapshots[0].instant};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> records{0};
  Result<void> outcome;
  redis::ReceiverOptions options;
  options.sink.flush_interval = Duration::milliseconds(50);
  std::thread second([&] {
    outcome = redis::receive_commands(
        server->connection(), *log, system_clock(), options, place,
        [](redis::ReplicationSession&, const redis::SyncAnswer&) { return Result<void>(); }, stop,
        [&](const redis::ReceiverState& state) { records = state.records; });
  });
  // Both cut what comes alike: a PING each.
  EXPECT_TRUE(servers::wait_until([&] { return records >= 3 && rig.state().records >= 3; }, Duration::seconds(60)));
  server->run({"CONFIG", "SET", "repl-ping-replica-period", "3600"});  // the end stands still
  write_some(*server, 1);
  EXPECT_TRUE(rig.wait_until_stored(*server));
  stop = true;
  second.join();
  EXPECT_TRUE(outcome.ok()) << outcome.error().text();
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, AMasterThatWasKilledLeavesAGapThatIsStated) {
  auto server = rig.serve("master");
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  const auto before = rig.log()->newest().value();
  server->kill();
  server->start_again();
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());

  ASSERT_THAT(rig.snapshots, SizeIs(2));
  auto log = rig.log();
  ASSERT_THAT(log->gaps(), SizeIs(1));
  const redis::LogGap& gap = log->gaps()[0];
  EXPECT_EQ(gap.from, (redis::Position{before->replid, before->to}));
  EXPECT_EQ(gap.from_instant, before->last);
  EXPECT_EQ(gap.to, redis::snapshot_source(rig.snapshots[1])->position);
  EXPECT_THAT(gap.reason, HasSubstr("another history"));
  expect_restored(*server, rig.snapshots[1]);
  // No way leads over it.
  const auto over = log->read(redis::snapshot_source(rig.snapshots[0])->position,
                              {.time = rig.snapshots[1].instant, .offset = std::nullopt},
                              [](const redis::Frame&) { return Result<void>(); });
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_THAT(over.error().message(), HasSubstr("has a gap from"));
}

TEST_F(RedisReceiverTest, AMasterThatWasRestartedWithItsDataGoesOn) {
  auto server = rig.serve("master");
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  server->stop(true);
  server->start_again();
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  // Redis 7 keeps its history in the RDB; where it does not, the gap is stated.
  EXPECT_EQ(rig.snapshots.size(), 1 + rig.log()->gaps().size());
  EXPECT_EQ(rig.log()->links().size() + rig.log()->gaps().size(), 1u);
  expect_restored(*server, rig.snapshots.back());
}

TEST_F(RedisReceiverTest, AFailoverToAReplicaIsTheSameHistory) {
  auto master = rig.serve("master", {"--port", std::to_string(free_port())});
  auto replica = rig.serve("replica", {"--replicaof", "127.0.0.1 " + master->info("tcp_port")});
  ASSERT_TRUE(is_linked(*replica));
  // The service's address moves from one to the other.
  redis::Connection service;
  service.socket = rig.scratch.file("service.sock");
  ASSERT_EQ(symlink(master->socket().c_str(), service.socket.c_str()), 0);
  rig.start_receiver(service);
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*master, 1);
  ASSERT_TRUE(rig.wait_until_stored(*master));
  ASSERT_TRUE(catches_up(*replica, *master));

  ASSERT_EQ(unlink(service.socket.c_str()), 0);
  ASSERT_EQ(symlink(replica->socket().c_str(), service.socket.c_str()), 0);
  replica->run({"REPLICAOF", "NO", "ONE"});
  master->kill();
  write_some(*replica, 2);
  ASSERT_TRUE(rig.wait_until_stored(*replica));
  ASSERT_TRUE(rig.stop_receiver());
  auto log = rig.log();
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  EXPECT_THAT(log->gaps(), IsEmpty());
  ASSERT_THAT(log->links(), SizeIs(1));
  EXPECT_EQ(log->links()[0].to, replica->info("master_replid"));
  expect_restored(*replica, rig.snapshots[0]);
}

// What the old master had done and the new one never heard of is in the log until the gap.
TEST_F(RedisReceiverTest, AFailoverToAReplicaThatLagsIsAGapThatSaysHowMuchItLacks) {
  auto master = rig.serve("master", {"--port", std::to_string(free_port()), "--repl-ping-replica-period", "3600"});
  auto replica = rig.serve(
      "replica", {"--replicaof", "127.0.0.1 " + master->info("tcp_port"), "--repl-ping-replica-period", "3600"});
  ASSERT_TRUE(is_linked(*replica));
  redis::Connection service;
  service.socket = rig.scratch.file("service.sock");
  ASSERT_EQ(symlink(master->socket().c_str(), service.socket.c_str()), 0);
  rig.start_receiver(service);
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*master, 1);
  ASSERT_TRUE(catches_up(*replica, *master));
  replica->run({"REPLICAOF", "127.0.0.1", std::to_string(free_port())});  // where nobody is: it hears nothing more
  const std::string heard = replica->info("master_repl_offset");
  write_some(*master, 2);
  const std::string digest = master->digest();
  ASSERT_TRUE(rig.wait_until_stored(*master));
  const auto before = rig.log()->newest().value();

  ASSERT_EQ(unlink(service.socket.c_str()), 0);
  ASSERT_EQ(symlink(replica->socket().c_str(), service.socket.c_str()), 0);
  replica->run({"REPLICAOF", "NO", "ONE"});
  master->kill();
  ASSERT_TRUE(servers::wait_until([&] { return rig.state().gaps == 1; }, Duration::seconds(60)));
  write_some(*replica, 3);
  ASSERT_TRUE(rig.wait_until_stored(*replica));
  ASSERT_TRUE(rig.stop_receiver());
  ASSERT_THAT(rig.snapshots, SizeIs(2));
  auto log = rig.log();
  EXPECT_THAT(log->links(), IsEmpty());
  ASSERT_THAT(log->gaps(), SizeIs(1));
  const redis::LogGap& gap = log->gaps()[0];
  EXPECT_EQ(gap.from, (redis::Position{before->replid, before->to}));
  EXPECT_EQ(gap.from_instant, before->last);
  EXPECT_EQ(gap.to, redis::snapshot_source(rig.snapshots[1])->position);
  EXPECT_EQ(gap.to_instant, redis::cut_to_microseconds(rig.snapshots[1].instant));
  EXPECT_EQ(
      gap.reason,
      fmt::format("the server goes on from an earlier place, as a replica that lagged when it took over, or a "
                  "master that started from an older file: from offset {}, without the last {} that were received",
                  heard, format_bytes(before->to - std::stoull(heard))));
  expect_restored(*replica, rig.snapshots[1]);
  EXPECT_EQ(rig.restore(rig.snapshots[0], true)->digest(), digest);
}

TEST_F(RedisReceiverTest, AFailoverToAServerWithoutTheBacklogSaysSo) {
  auto master = rig.serve("master", {"--port", std::to_string(free_port())});
  auto replica =
      rig.serve("replica", {"--replicaof", "127.0.0.1 " + master->info("tcp_port"), "--repl-backlog-size", "16kb"});
  ASSERT_TRUE(is_linked(*replica));
  rig.start_receiver(master->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*master, 1);
  ASSERT_TRUE(rig.wait_until_stored(*master));
  ASSERT_TRUE(rig.stop_receiver());
  write_bytes(*master, 1 << 20);
  ASSERT_TRUE(catches_up(*replica, *master));
  replica->run({"REPLICAOF", "NO", "ONE"});
  master->kill();
  rig.start_receiver(replica->connection());
  ASSERT_TRUE(servers::wait_until([&] { return rig.state().gaps == 1; }, Duration::seconds(60)));
  ASSERT_TRUE(rig.wait_until_stored(*replica));
  ASSERT_TRUE(rig.stop_receiver());
  ASSERT_THAT(rig.log()->gaps(), SizeIs(1));
  EXPECT_EQ(
      rig.log()->gaps()[0].reason,
      "the server goes on from that history, after a failover or a restart, and its backlog did not reach back so "
      "far (repl-backlog-size)");
  expect_restored(*replica, rig.snapshots[1]);
}

// A receiver that ends before a byte comes knows the next time since when it knows nothing.
TEST_F(RedisReceiverTest, AFailoverBeforeTheFirstReceiverKeepsTheInstant) {
  auto master = rig.serve("master", {"--port", std::to_string(free_port()), "--repl-ping-replica-period", "3600"});
  auto replica = rig.serve(
      "replica", {"--replicaof", "127.0.0.1 " + master->info("tcp_port"), "--repl-ping-replica-period", "3600"});
  ASSERT_TRUE(is_linked(*replica));
  write_some(*master, 1, 5);
  ASSERT_TRUE(rig.capture(master->connection()).ok());
  ASSERT_TRUE(catches_up(*replica, *master));
  replica->run({"REPLICAOF", "NO", "ONE"});
  master->kill();
  rig.start_receiver(replica->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  ASSERT_TRUE(rig.stop_receiver());
  ASSERT_THAT(rig.snapshots, SizeIs(1));
  ASSERT_THAT(rig.log()->links(), SizeIs(1));
  const auto newest = rig.log()->newest().value();
  EXPECT_EQ(newest->replid, replica->info("master_replid"));
  EXPECT_EQ(newest->last, redis::cut_to_microseconds(rig.snapshots[0].instant));
}

TEST_F(RedisReceiverTest, AnOverrunBacklogIsAGap) {
  auto server = rig.serve("master", {"--repl-backlog-size", "16kb"});
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  const auto before = rig.log()->newest().value();
  write_bytes(*server, 4 << 20);

  rig.start_receiver(server->connection());
  ASSERT_TRUE(servers::wait_until([&] { return rig.state().gaps == 1; }, Duration::seconds(60)));
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  ASSERT_THAT(rig.snapshots, SizeIs(2));
  ASSERT_THAT(rig.log()->gaps(), SizeIs(1));
  const redis::LogGap gap = rig.log()->gaps()[0];
  EXPECT_EQ(gap.from, (redis::Position{before->replid, before->to}));
  EXPECT_EQ(gap.to.replid, before->replid);
  EXPECT_GT(gap.to.offset, before->to + (4u << 20));
  EXPECT_EQ(gap.to_instant, redis::cut_to_microseconds(rig.snapshots[1].instant));
  EXPECT_THAT(gap.reason, HasSubstr("backlog"));
  expect_restored(*server, rig.snapshots[1]);
}

TEST_F(RedisReceiverTest, AnOverrunOutputBufferIsNeverBridged) {
  auto server =
      rig.serve("master", {"--client-output-buffer-limit", "replica 2mb 2mb 1", "--repl-backlog-size", "16kb"});
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  // What comes can't be stored: after some records nothing is read any more.
  rig.logs.refuses = true;
  ASSERT_TRUE(servers::wait_until(
      [&] {
        write_bytes(*server, 8 << 20);
        return server->info("connected_slaves") == "0";
      },
      Duration::seconds(60)));
  rig.logs.refuses = false;
  ASSERT_TRUE(servers::wait_until([&] { return rig.state().gaps == 1; }, Duration::seconds(120)));
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  ASSERT_THAT(rig.log()->gaps(), SizeIs(1));
  ASSERT_THAT(rig.snapshots, SizeIs(2));
  // What was received in front of the gap is stored, up to its very beginning.
  const auto end = rig.log()->reach(redis::snapshot_source(rig.snapshots[0])->position);
  ASSERT_TRUE(end.ok()) << end.error().text();
  EXPECT_EQ(end->position, rig.log()->gaps()[0].from);
  expect_restored(*server, rig.snapshots[1]);
}

TEST_F(RedisReceiverTest, ASnapshotThatIsTakenMeanwhileIsOnTheSameLine) {
  auto server = rig.serve("master");
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  const auto snapshot = rig.capture(server->connection());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  expect_restored(*server, *snapshot);
  expect_restored(*server, rig.snapshots[0]);
  // To the snapshot's own place, from the one before it.
  const auto place = redis::snapshot_source(*snapshot)->position;
  EXPECT_EQ(rig.restore(rig.snapshots[0], true, {.time = std::nullopt, .offset = place.offset})->digest(),
            rig.restore(*snapshot, false)->digest());
}

TEST_F(RedisReceiverTest, NothingCountsAsReceivedInTheFutureForASnapshotsSake) {
  auto server = rig.serve("master");
  ASSERT_TRUE(rig.capture(server->connection()).ok());
  const Time wrong = system_clock().now() + Duration::hours(24);
  rig.snapshots[0].instant = wrong;  // by a clock that was ahead
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_LT(rig.log()->newest().value()->last, wrong - Duration::hours(1));
}

// Instants never go back along a log: what comes counts as received when the clock was ahead.
TEST_F(RedisReceiverTest, WhatComesAfterTheClockWasSetBackIsSaidToCountAsLate) {
  auto server = rig.serve("master", {"--repl-ping-replica-period", "3600"});
  ASSERT_TRUE(rig.capture(server->connection()).ok());
  rig.clock.ahead_s = 3600;
  rig.start_receiver(server->connection());
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  const Time wrong = rig.log()->newest().value()->last;
  rig.clock.ahead_s = 0;
  const auto tells = [&] {
    const auto log = rig.log();
    const auto of_it = [&](const redis::LogAbsence& absence) {
      return absence.from_instant < wrong - Duration::seconds(1800) && absence.to_instant == wrong &&
             absence.from_instant > rig.snapshots[0].instant;
    };
    return std::ranges::any_of(log->absences(), of_it);
  };
  ASSERT_TRUE(servers::wait_until(tells, Duration::seconds(60))) << "before the receiver ends";
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  source::RestoreTarget target;
  target.time = wrong - Duration::seconds(1800);
  const auto resolved = redis::resolve_target(*rig.log(), rig.snapshots, target);
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  EXPECT_THAT(resolved->notes, Not(IsEmpty()));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_EQ(rig.log()->absences().back().to, rig.log()->newest().value()->to);
  EXPECT_EQ(rig.log()->newest().value()->last, wrong);
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, GoesOnWithAClockThatWasSetBack) {
  enum class After { kReconnecting, kStarting, kRefusal };
  for (const After after : {After::kReconnecting, After::kStarting, After::kRefusal}) {
    Rig own;
    auto server = own.serve("master", {"--repl-ping-replica-period", "3600"});
    ASSERT_TRUE(own.capture(server->connection()).ok());
    own.clock.ahead_s = 3600;
    own.start_receiver(server->connection());
    ASSERT_TRUE(own.wait_until_connected());
    write_some(*server, 1);
    ASSERT_TRUE(own.wait_until_stored(*server));
    const auto before = own.log()->newest().value().value();
    own.logs.refuses = after == After::kRefusal;
    own.clock.ahead_s = 0;
    const auto is_it = [&](const redis::LogAbsence& absence) { return absence.from == before.to; };
    const auto said = [&] { return own.logs.refused > 0 || std::ranges::any_of(own.log()->absences(), is_it); };
    ASSERT_TRUE(servers::wait_until(said, Duration::seconds(60)));
    own.logs.refuses = false;
    const auto again = [&] { return own.state().reconnects > 0; };
    if (after == After::kReconnecting) server->run({"CLIENT", "KILL", "TYPE", "replica"});
    ASSERT_TRUE(after != After::kReconnecting || servers::wait_until(again, Duration::seconds(60)));
    ASSERT_TRUE(after != After::kStarting || own.stop_receiver());
    if (after == After::kStarting) own.start_receiver(server->connection());
    write_some(*server, 2);
    ASSERT_TRUE(own.wait_until_stored(*server));
    ASSERT_TRUE(own.stop_receiver());
    EXPECT_EQ(own.state().reconnects > 0, after == After::kReconnecting);
    EXPECT_EQ(own.log()->absences().back().to, own.log()->newest().value()->to);
    EXPECT_EQ(own.restore(own.snapshots[0], true)->digest(), server->digest());
  }
}

TEST_F(RedisReceiverTest, ManySmallRecordsBecomeOne) {
  auto server = rig.serve("master");
  redis::ReceiverOptions options;
  options.sink.join_records = 5;
  rig.start_receiver(server->connection(), options);
  ASSERT_TRUE(rig.wait_until_connected());
  auto session = server->connect();
  for (int i = 0; i < 30; i++) {
    ASSERT_TRUE(session->command({"SET", "a", std::to_string(i)}).ok());
    ASSERT_EQ(session->command({"WAIT", "1", "20000"})->integer, 1);
  }
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_GE(rig.state().records, 20u);
  EXPECT_LE(rig.log()->newest().value()->records, 12u);
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, FollowsOverTlsAsAUserOfTheAcl) {
  redis::Connection connection;
  auto server = rig.serve_tls(connection);
  server->run({"ACL", "SETUSER", "holdfast", "on", ">secret", "resetkeys", "resetchannels", "-@all", "+psync",
               "+replconf", "+ping", "+info"});
  connection.user = "holdfast";
  connection.password = Secret::from_text("secret");
  write_some(*server, 0);
  rig.start_receiver(connection);
  ASSERT_TRUE(rig.wait_until_connected());
  write_some(*server, 1);
  auto session = server->connect();
  ASSERT_TRUE(session->command({"SET", "a", "1"}).ok());
  EXPECT_EQ(session->command({"WAIT", "1", "20000"})->integer, 1);
  // Over a new connection, and again as that user.
  server->run({"CLIENT", "KILL", "TYPE", "replica"});
  write_some(*server, 2);
  ASSERT_TRUE(rig.wait_until_stored(*server));
  EXPECT_THAT(server->run({"CLIENT", "LIST", "TYPE", "replica"}), HasSubstr("user=holdfast"));
  ASSERT_TRUE(rig.stop_receiver());
  EXPECT_THAT(rig.snapshots, SizeIs(1));
  EXPECT_THAT(rig.log()->gaps(), IsEmpty());
  expect_restored(*server, rig.snapshots[0]);
}

TEST_F(RedisReceiverTest, ARefusedLoginEndsIt) {
  auto server = rig.serve("master", {"--requirepass", "secret"});
  auto log = rig.log();
  std::atomic<bool> stop{false};
  const auto outcome = redis::receive_commands(
      server->connection(), *log, system_clock(), {}, std::nullopt,
      [](redis::ReplicationSession&, const redis::SyncAnswer&) { return Result<void>(); }, stop,
      [](const redis::ReceiverState&) {});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kPermission);
}

}  // namespace
}  // namespace holdfast::redis_test
