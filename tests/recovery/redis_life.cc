#include "recovery/redis_life.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "redis/redis_server.h"
#include "servers/wait.h"
#include "source/redis/load.h"
#include "source/redis/test_content.h"

namespace holdfast::servers {
namespace {

using redis::RestoreRig;

constexpr size_t kStepsBetweenConfirmations = 10;
constexpr int64_t kMicrosecond = 1000;

// What has expired is gone once it was looked for, and in no digest before.
Result<std::string> digest_of(redis::PrivateServer& server) {
  auto session = TRY(server.connect());
  for (int db = 0; db < 16; db++) {
    TRY(session->command({"SELECT", std::to_string(db)}));
    TRY(session->command({"SCAN", "0", "COUNT", "1000000"}));
  }
  return RestoreRig::digest(server);
}

std::vector<std::string_view> views_of(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

// Sends steps and takes all replies; one that is an error is one on every server.
Result<void> send(redis::Pipeline& pipeline, const RedisStep& step) {
  for (const auto& command : step.commands)
    TRY(pipeline.send(views_of(command), [](redis::Reply&) -> Result<void> { return {}; }));
  return {};
}

}  // namespace

size_t RedisLedger::confirmed_by(Time time) const {
  size_t count = 0;
  for (const Confirmed& one : confirmed)
    if (one.time <= time) count = one.steps;
  return count;
}

// Instants of the log are cut to microseconds: what was sent in the same one may be in it.
size_t RedisLedger::sent_by(Time time) const {
  size_t count = 0;
  for (const RedisStep& step : steps)
    if (step.sent.ns / kMicrosecond <= time.ns / kMicrosecond) count++;
  return count;
}

Result<std::unique_ptr<RedisLife>> RedisLife::begin(uint64_t seed) {
  std::unique_ptr<RedisLife> life(new RedisLife(seed));
  TRY(life->serve_as_master("server-0", {}));
  life->reference_ = TRY(life->rig_.serve("reference"));
  life->running_ = TRY(life->rig_.serve("running"));
  auto session = TRY(life->master_->connect());
  TRY(redis::fill_with_everything(*session));
  auto same = TRY(life->reference_->connect());
  TRY(redis::fill_with_everything(*same));
  TRY(life->take_snapshot());
  life->receiver_ = std::jthread([&self = *life] { self.follow(); });
  return life;
}

RedisLife::~RedisLife() { stop_ = true; }

// The receiver's and the writer's address of whoever is the master.
redis::Connection RedisLife::service() const {
  redis::Connection connection;
  connection.socket = rig_.path("service.sock");
  return connection;
}

// What a master says by itself (PING) may reach the receiver and no replica: it says nothing.
Result<void> RedisLife::serve_as_master(const std::string& name, std::vector<std::string> arguments) {
  const uint16_t port = redis_test::free_port();
  arguments.insert(arguments.end(),
                   {"--port", std::to_string(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0",
                    "--repl-ping-replica-period", "3600", "--repl-backlog-size", "64mb"});
  auto server = TRY(rig_.serve(name, false, std::move(arguments)));
  const bool is_replica = master_ != nullptr;
  if (is_replica) {
    auto replica = TRY(server->connect());
    auto master = TRY(master_->connect());
    const auto info = [](redis::ServerSession& session, std::string_view field) -> Result<std::string> {
      return redis::info_value(TRY(session.command({"INFO", "replication"})).text, field);
    };
    const auto has_followed = [&]() -> Result<bool> {
      if (TRY(info(*replica, "master_link_status")) != "up") return false;
      return TRY(info(*replica, "slave_repl_offset")) == TRY(info(*master, "master_repl_offset"));
    };
    const auto follows = [&] {
      const auto followed = has_followed();
      return followed.ok() && *followed;
    };
    if (!wait_until(follows, Duration::seconds(60)))
      return make_error(ErrorCode::kTimeout, "a replica does not follow");
    TRY(replica->command({"REPLICAOF", "NO", "ONE"}));
  }
  master_ = std::move(server);
  master_name_ = name;
  master_port_ = port;
  const std::string link = service().socket;
  if (::unlink(link.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, link);
  if (::symlink(rig_.address(name).socket.c_str(), link.c_str()) != 0) return Error::from_errno(errno, link);
  return {};
}

// With its data, and so with its history.
Result<void> RedisLife::restart_master() {
  auto session = TRY(master_->connect());
  ignore(session->ask({"SHUTDOWN", "SAVE"}), "the connection ends instead of an answer");
  session.reset();
  master_.reset();
  return serve_as_master(master_name_, {});
}

// The receiver has to come to the replica; nobody wrote meanwhile.
Result<void> RedisLife::fail_over() {
  return serve_as_master(fmt::format("server-{}", ++servers_),
                         {"--replicaof", fmt::format("127.0.0.1 {}", master_port_)});
}

Result<repo::Snapshot> RedisLife::commit(repo::WriteSession& session, repo::Snapshot snapshot) {
  snapshot.component = "cache";
  repo::Point point;
  point.snapshots.push_back(snapshot);
  TRY(session.commit(point));
  return snapshot;
}

Result<void> RedisLife::take_snapshot() {
  auto session = TRY(repo::WriteSession::begin(rig_.repository(), {}));
  repo::Snapshot snapshot = TRY(redis::capture(rig_.world, *session, service()));
  snapshots_.push_back(TRY(commit(*session, std::move(snapshot))));
  return {};
}

// The receiver, on its own thread. That it needs another full copy is a failure: the
// server's backlog is larger than all that is written while it is away.
void RedisLife::follow() {
  auto logs = repo::open_log_store(rig_.repository());
  auto log = redis::CommandLog::open(*logs, "cache");
  Result<void> outcome;
  if (log.ok()) {
    const redis::SnapshotPlace newest{redis::snapshot_source(snapshots_.front()).value().position,
                                      snapshots_.front().instant};
    outcome = redis::receive_commands(
        service(), *log.value(), system_clock(), {}, newest,
        [](redis::ReplicationSession&, const redis::SyncAnswer&) -> Result<void> {
          return make_error(ErrorCode::kMismatch, "the receiver lost its place");
        },
        stop_, [](const redis::ReceiverState&) {});
  } else {
    outcome = std::move(log).error();
  }
  std::lock_guard lock(mutex_);
  if (!outcome.ok()) trouble_ = std::move(outcome).error();
}

std::vector<std::string> RedisLife::next_command() {
  const auto below = [this](uint64_t bound) { return random_() % bound; };
  const auto name = [&](const char* kind) { return fmt::format("{}:{}", kind, below(12)); };
  const std::string number = std::to_string(++written_);
  const std::string text(1 + below(200), static_cast<char>('a' + below(26)));
  const std::vector<std::vector<std::string>> commands = {
      {"SET", name("string"), text},
      {"SET", name("string"), number, "PXAT", redis::kFarAway},
      {"APPEND", name("string"), text},
      {"INCRBY", name("counter"), number},
      {"SETRANGE", name("string"), std::to_string(below(300)), text},
      {"SETBIT", name("bits"), std::to_string(below(5000)), "1"},
      {"RPUSH", name("list"), text, number},
      {"LPOP", name("list")},
      {"LTRIM", name("list"), "0", "40"},
      {"SADD", name("set"), number, text},
      {"SREM", name("set"), std::to_string(below(written_))},
      {"SADD", name("numbers"), number},
      {"ZADD", name("zset"), number, text},
      {"ZINCRBY", name("zset"), "2", text},
      {"ZREMRANGEBYRANK", name("zset"), "0", "1"},
      {"HSET", name("hash"), text, number},
      {"HINCRBY", name("hash"), "count", "3"},
      {"HDEL", name("hash"), "count"},
      {"XADD", name("stream"), number + "-1", "field", text},
      {"XTRIM", name("stream"), "MAXLEN", "30"},
      {"XGROUP", "CREATE", name("stream"), "group-" + number, "0", "MKSTREAM"},
      {"PFADD", name("visitors"), number, text},
      {"GEOADD", name("places"), std::to_string(below(90)), std::to_string(below(80)), number},
      {"DEL", name("list"), name("zset")},
      {"PEXPIREAT", name("hash"), redis::kFarAway},
      {"COPY", name("set"), name("set"), "REPLACE"},
      {"EVAL", "redis.call('INCR', KEYS[1]); redis.call('RPUSH', KEYS[2], ARGV[1])", "2", name("counter"), name("list"),
       text},
  };
  return commands[below(commands.size())];
}

// Each transaction says in the same breath which step it was.
RedisStep RedisLife::next_step() {
  RedisStep step;
  const std::string db = std::to_string(random_() % 16);
  if (random_() % 2 == 0) {
    step.commands = {{"SELECT", db}, next_command()};
    return step;
  }
  step.commands = {{"SELECT", "0"}, {"MULTI"}, {"SET", "step", std::to_string(ledger_.steps.size())}, {"SELECT", db}};
  for (uint64_t i = 0; i < 1 + random_() % 5; i++) step.commands.push_back(next_command());
  step.commands.push_back({"EXEC"});
  return step;
}

// A key that expires within milliseconds is written, or appended to. Whether it had expired by
// then the answer says: what the master made of it goes into the ledger.
Result<RedisStep> RedisLife::write_passing(redis::ServerSession& session) {
  constexpr uint64_t kLongestLifeMs = 8;
  const std::string key = fmt::format("passing:{}", random_() % 6), text(1 + random_() % 50, 'p');
  RedisStep step;
  step.sent = system_clock().now();
  Passing& passing = passing_[key];
  TRY(session.command({"SELECT", "0"}));
  if (passing.value.empty() || random_() % 2 == 0) {
    const int64_t expires = step.sent.ns / 1'000'000 + 1 + static_cast<int64_t>(random_() % kLongestLifeMs);
    all_passed_ = std::max(all_passed_, Time{(expires + 1) * 1'000'000});
    passing = {text, std::to_string(expires)};
    TRY(session.command({"SET", key, passing.value, "PXAT", passing.expires}));
  } else {
    const auto length = static_cast<size_t>(TRY(session.command({"APPEND", key, text})).integer);
    passing = length == text.size() ? Passing{text, ""} : Passing{passing.value + text, passing.expires};
    if (length != passing.value.size())
      return make_error(ErrorCode::kVerifyFailed, "{} is {} bytes long instead of {}", key, length,
                        passing.value.size());
  }
  step.commands = {{"SELECT", "0"}, {"SET", key, passing.value}};
  if (!passing.expires.empty()) step.commands.back().insert(step.commands.back().end(), {"PXAT", passing.expires});
  return step;
}

Result<void> RedisLife::write(size_t steps) {
  auto session = TRY(master_->connect());
  redis::Pipeline pipeline(*session);
  for (size_t i = 1; i <= steps; i++) {
    if (random_() % 8 == 0) {
      ledger_.steps.push_back(TRY(write_passing(*session)));
    } else {
      RedisStep step = next_step();
      step.sent = system_clock().now();
      TRY(send(pipeline, step));
      TRY(pipeline.drain());
      ledger_.steps.push_back(std::move(step));
    }
    if (i % kStepsBetweenConfirmations != 0) continue;
    while (TRY(session->command({"WAIT", "1", "10000"})).integer < 1) {
      std::lock_guard lock(mutex_);
      if (trouble_) return trouble_->clone();
    }
    ledger_.confirmed.push_back({system_clock().now(), ledger_.steps.size()});
  }
  return {};
}

Result<void> RedisLife::live(const Episode& episode) {
  if (episode.restart) TRY(restart_master());
  if (episode.failover) TRY(fail_over());
  Result<void> wrote;
  {
    std::jthread writer([&] { wrote = write(episode.steps); });
    if (episode.cut_connection) {
      auto session = TRY(master_->connect());
      TRY(session->command({"CLIENT", "KILL", "TYPE", "replica"}));
    }
    if (episode.snapshot) TRY(take_snapshot());
  }
  return wrote;
}

Result<Time> RedisLife::random_instant() {
  auto logs = repo::open_log_store(rig_.repository());
  auto log = TRY(redis::CommandLog::open(*logs, "cache"));
  const redis::RecoveryWindow window = TRY(redis::recovery_window(*log, snapshots_));
  // Near something that was sent: between episodes nothing happens for long.
  const Time sent = ledger_.steps[random_() % ledger_.steps.size()].sent;
  const Time instant = sent + Duration::microseconds(static_cast<int64_t>(random_() % 3000));
  return std::clamp(instant, *window.from, *window.until);
}

Result<std::string> RedisLife::restored_digest(Time instant, Way way, std::string& account) {
  auto logs = repo::open_log_store(rig_.repository());
  auto log = TRY(redis::CommandLog::open(*logs, "cache"));
  source::RestoreTarget wanted;
  wanted.time = instant;
  const redis::ResolvedTarget target = TRY(redis::resolve_target(*log, snapshots_, wanted));
  const repo::Snapshot& snapshot = snapshots_[target.snapshot_index];
  account = fmt::format("snapshot {} of {}, {} bytes of commands", target.snapshot_index + 1, snapshots_.size(),
                        target.replay_bytes());
  if (way == Way::kRunningServer) {
    auto session = TRY(running_->connect());
    TRY(session->command({"FLUSHALL"}));
    TRY(session->command({"FUNCTION", "FLUSH"}));
    redis::LoadOptions options;
    options.server = rig_.address("running");
    const auto loaded = TRY(redis::load_snapshot(rig_.world, rig_.repository(), *log, snapshot, target,
                                                 {rig_.path("scratch"), ""}, options));
    if (!loaded.faults.empty()) return make_error(ErrorCode::kIncomplete, "{}", loaded.faults.front());
    return digest_of(*running_);
  }
  const std::string name = fmt::format("restored-{}", ++restored_);
  redis::MaterialiseOptions options;
  options.to = rig_.path(name);
  options.folding = way == Way::kDump ? redis::Folding::kIfAble : redis::Folding::kNever;
  const auto restored = TRY(redis::materialise(rig_.world, rig_.repository(), *log, snapshot, target, options));
  if (!restored.faults.empty()) return make_error(ErrorCode::kIncomplete, "{}", restored.faults.front());
  std::string digest;
  {
    auto server = TRY(rig_.serve(name, way == Way::kAppendOnly));
    digest = TRY(digest_of(*server));
  }
  TRY(remove_tree(rig_.world.fs, rig_.path(name)));
  return digest;
}

// Executes the ledger on a server of its own, and looks after each step.
Result<std::string> RedisLife::find_prefix(const std::string& digest, size_t from, size_t to) {
  auto session = TRY(reference_->connect());
  TRY(session->command({"FLUSHALL"}));
  TRY(session->command({"FUNCTION", "FLUSH"}));
  TRY(redis::fill_with_everything(*session));
  redis::Pipeline pipeline(*session);
  for (size_t step = 0; step < from; step++) TRY(send(pipeline, ledger_.steps[step]));
  for (size_t step = from;; step++) {
    TRY(pipeline.drain());
    if (TRY(digest_of(*reference_)) == digest)
      return fmt::format("{} steps, of {} confirmed and {} sent", step, from, to);
    if (step == to) break;
    TRY(send(pipeline, ledger_.steps[step]));
  }
  return make_error(ErrorCode::kVerifyFailed, "what was restored is none of the ledger's states {} to {}", from, to);
}

Result<std::string> RedisLife::recover_and_compare(Time instant, Way way) {
  std::string account;
  // On every server alike: at most some milliseconds.
  if (!wait_until([&] { return system_clock().now() > all_passed_; }, Duration::seconds(60)))
    return make_error(ErrorCode::kTimeout, "the clock stands still");
  const std::string digest = TRY(restored_digest(instant, way, account));
  const std::string found = TRY_CONTEXT(find_prefix(digest, ledger_.confirmed_by(instant), ledger_.sent_by(instant)),
                                        "{}, {}", format_rfc3339(instant), account);
  return fmt::format("{}: {}; {}", format_rfc3339(instant), found, account);
}

}  // namespace holdfast::servers
