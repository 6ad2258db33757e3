#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "redis/redis_server.h"
#include "repo/log_store.h"
#include "repo/scratch_repository.h"
#include "repo/tree.h"
#include "servers/scratch.h"
#include "servers/wait.h"
#include "source/redis/capture.h"
#include "source/redis/receiver.h"

namespace holdfast::redis_test {

// A log store that refuses to store while it is told to.
class StubbornLogs : public repo::LogStore {
 public:
  explicit StubbornLogs(std::unique_ptr<repo::LogStore> inner) : inner_(std::move(inner)) {}
  Result<Outcome> put(const std::string& stream, const repo::LogRecordView& record) override {
    if (refuses) refused++;
    if (refuses) return make_error(ErrorCode::kNoSpace, "the test's disk is full");
    return inner_->put(stream, record);
  }
  Result<repo::LogRecord> get(const std::string& stream, const std::string& name) override {
    return inner_->get(stream, name);
  }
  Result<Bytes> get_header(const std::string& stream, const std::string& name) override {
    return inner_->get_header(stream, name);
  }
  Result<std::vector<Info>> list(const std::string& stream, const std::string& from) override {
    return inner_->list(stream, from);
  }
  Result<std::vector<std::string>> streams() override { return inner_->streams(); }
  Result<void> remove(const std::string& stream, const std::string& name) override {
    return inner_->remove(stream, name);
  }
  std::atomic<bool> refuses{false};
  std::atomic<int> refused{0};

 private:
  std::unique_ptr<repo::LogStore> inner_;
};

// The machine's clock, set wrong by `ahead_s` seconds.
class WrongClock final : public Clock {
 public:
  Time now() override { return system_clock().now() + Duration::seconds(ahead_s); }
  Duration monotonic() override { return system_clock().monotonic(); }
  void sleep(Duration duration) override { system_clock().sleep(duration); }
  std::atomic<int64_t> ahead_s{0};
};

// An authority, and certificates that it signed, in the directory; `other.crt` is of another.
inline void make_certificates(const std::string& directory) {
  const std::string script =
      "set -e; cd '" + directory +
      "'; "
      "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority; "
      "for who in server client; do "
      "openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who; "
      "printf 'subjectAltName=IP:127.0.0.1\\n' >extra; "
      "openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $who.crt -extfile extra; "
      "done; "
      "openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -days 2 -subj /CN=other";
  CommandOptions options;
  options.argv = {"/bin/sh", "-c", script};
  options.deadline = Duration::seconds(60);
  const auto made = run_command_checked(options);
  ASSERT_TRUE(made.ok()) << made.error().text();
}

// A repository in memory, a receiver on a thread, and ways to make what is stored a
// running server again.
class Rig {
 public:
  Rig()
      : scratch(std::move(servers::ScratchDirectory::create()).value()),
        repository(memory_.init()),
        logs(repo::open_log_store(*repository)),
        world{real_file_system(), system_clock(), progress} {}
  ~Rig() { stop_receiver(); }

  std::unique_ptr<RedisServer> serve(const std::string& name, std::vector<std::string> arguments = {}) {
    return RedisServer::start(scratch.file(name), std::move(arguments));
  }

  // A server that wants TLS, and how it is reached; `other.crt` lies beside what it trusts.
  std::unique_ptr<RedisServer> serve_tls(redis::Connection& connection) {
    const std::string tls = scratch.make("tls").value();
    make_certificates(tls);
    connection.port = free_port();
    connection.tls = true;
    connection.tls_ca = tls + "/ca.crt";
    connection.tls_cert = tls + "/client.crt";
    connection.tls_key = tls + "/client.key";
    return serve("master", {"--tls-port", std::to_string(connection.port), "--tls-cert-file", tls + "/server.crt",
                            "--tls-key-file", tls + "/server.key", "--tls-ca-cert-file", connection.tls_ca});
  }

  Result<repo::Snapshot> capture(const redis::Connection& connection) {
    auto session = TRY(repo::WriteSession::begin(*repository, {}));
    return commit(*session, TRY(redis::capture(world, *session, connection)));
  }

  // Receives from `connection` until stop_receiver(), from the newest snapshot or the log's end.
  void start_receiver(const redis::Connection& connection, redis::ReceiverOptions options = {}) {
    stop_ = false;
    options.sink.flush_interval = Duration::milliseconds(50);
    options.late = late;
    receiver_ = std::thread([this, connection = connection.clone(), options] {
      auto log = redis::CommandLog::open(logs, "cache").value();
      std::optional<redis::SnapshotPlace> newest;
      if (!snapshots.empty())
        newest = {redis::snapshot_source(snapshots.back()).value().position, snapshots.back().instant};
      const redis::TakeSnapshot take = [this](redis::ReplicationSession& session, const redis::SyncAnswer& answer) {
        return take_snapshot(session, answer);
      };
      outcome_ = redis::receive_commands(connection, *log, clock, options, newest, take, stop_,
                                         [this](const redis::ReceiverState& state) {
                                           std::lock_guard lock(mutex_);
                                           state_ = state;
                                         });
    });
  }
  // Stores what is in memory; true when the receiver ended well.
  bool stop_receiver() {
    if (!receiver_.joinable()) return true;
    stop_ = true;
    receiver_.join();
    EXPECT_TRUE(outcome_.ok()) << (outcome_.ok() ? "" : outcome_.error().text());
    return outcome_.ok();
  }
  redis::ReceiverState state() {
    std::lock_guard lock(mutex_);
    return state_;
  }
  bool wait_until_connected() {
    return servers::wait_until([&] { return state().connected; }, Duration::seconds(60));
  }
  // All that the server has executed is stored.
  bool wait_until_stored(const RedisServer& server) {
    return servers::wait_until(
        [&] {
          const redis::ReceiverState now = state();
          return now.connected && now.replid == server.info("master_replid") &&
                 std::to_string(now.stored) == server.info("master_repl_offset");
        },
        Duration::seconds(60));
  }

  std::unique_ptr<redis::CommandLog> log() { return redis::CommandLog::open(logs, "cache").value(); }

  // A server with a snapshot's data, and what the log has behind it.
  std::unique_ptr<RedisServer> restore(const repo::Snapshot& snapshot, bool replay, const redis::LogUntil& until = {}) {
    const std::string name = fmt::format("restored{}", restored_++);
    EXPECT_TRUE(make_directories(real_file_system(), scratch.file(name)).ok());
    write_rdb(snapshot, scratch.file(name) + "/dump.rdb");
    auto server = serve(name);
    if (replay) replay_into(*server, snapshot, until);
    return server;
  }

  servers::ScratchDirectory scratch;

 private:
  repo::ScratchRepository memory_;

 public:
  std::unique_ptr<repo::Repository> repository;
  StubbornLogs logs;
  WrongClock clock;                       // the receiver's; right until a test sets it wrong
  Duration late = Duration::seconds(60);  // a busy machine's own delays are none
  std::function<void()> while_taking;     // called when a server has forked for a snapshot
  std::vector<repo::Snapshot> snapshots;  // of this rig's component, oldest first
  Progress progress;
  source::World world;

 private:
  Result<repo::Snapshot> commit(repo::WriteSession& session, repo::Snapshot snapshot) {
    snapshot.component = "cache";
    repo::Point point = repo::ScratchRepository::point();
    point.snapshots.push_back(snapshot);
    TRY(session.commit(point));
    snapshots.push_back(snapshot);
    return snapshot;
  }
  Result<void> take_snapshot(redis::ReplicationSession& replication, const redis::SyncAnswer& answer) {
    if (while_taking) while_taking();
    auto session = TRY(repo::WriteSession::begin(*repository, {}));
    TRY(commit(*session, TRY(redis::capture_rdb(world, *session, replication, answer))));
    return {};
  }
  void write_rdb(const repo::Snapshot& snapshot, const std::string& path) {
    auto reader = repo::TreeReader::open(*repository, snapshot.root).value();
    const auto entry = reader->next().value();
    ASSERT_TRUE(entry && entry->path == redis::kRdbName);
    Bytes rdb;
    ASSERT_TRUE(
        repo::for_each_extent(*repository, entry->content, [&](uint64_t, const repo::Extent& extent) -> Result<void> {
          rdb.append(TRY(repository->read_block(*extent.block))->view());
          return {};
        }).ok());
    ASSERT_EQ(rdb.size(), entry->size_bytes);
    ASSERT_TRUE(write_file_durably(real_file_system(), path, rdb, 0644).ok());
  }
  void replay_into(RedisServer& server, const repo::Snapshot& snapshot, const redis::LogUntil& until) {
    auto session = server.connect();
    auto end = log()->read(redis::snapshot_source(snapshot).value().position, until,
                           [&](const redis::Frame& frame) { return session->write(frame.bytes); });
    ASSERT_TRUE(end.ok()) << end.error().text();
    // Replies are as many as commands, less those that a replica only answers: wait for ours.
    ASSERT_TRUE(session->write(redis::encode_command({"ECHO", "the end"})).ok());
    while (true) {
      auto reply = session->receive();
      ASSERT_TRUE(reply.ok()) << reply.error().text();
      ASSERT_FALSE(reply->is_error()) << reply->text;
      if (reply->text == "the end") break;
    }
  }

  std::thread receiver_;
  std::atomic<bool> stop_{false};
  Result<void> outcome_;
  std::mutex mutex_;
  redis::ReceiverState state_;
  int restored_ = 0;
};

}  // namespace holdfast::redis_test
