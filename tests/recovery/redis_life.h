#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "source/redis/capture.h"
#include "source/redis/materialise.h"
#include "source/redis/receiver.h"
#include "source/redis/target.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::servers {

// What a writer did, in order. A step is one command, or a transaction.
struct RedisStep {
  std::vector<std::vector<std::string>> commands;
  Time sent;  // just before its first byte was
};

// The writer's own account.
struct RedisLedger {
  std::vector<RedisStep> steps;
  struct Confirmed {
    Time time;
    size_t steps = 0;
  };
  // The receiver had so many steps durably by then: WAIT said so.
  std::vector<Confirmed> confirmed;

  // How many steps were confirmed, and how many sent, at an instant.
  size_t confirmed_by(Time time) const;
  size_t sent_by(Time time) const;
};

// A Redis server under load, followed into a repository. A seed gives what is written;
// instants are the machine's. Not thread-safe.
class RedisLife {
 public:
  static Result<std::unique_ptr<RedisLife>> begin(uint64_t seed);
  ~RedisLife();

  // Writes so many steps; a snapshot is taken meanwhile, or the receiver's connection cut.
  // Before that the master is restarted with its data, or a replica takes its place.
  struct Episode {
    size_t steps = 0;
    bool snapshot = false, cut_connection = false;
    bool restart = false, failover = false;
  };
  Result<void> live(const Episode& episode);

  // An instant between the first snapshot and the end of what is stored, while something
  // was written.
  Result<Time> random_instant();
  enum class Way { kDump, kAppendOnly, kRunningServer };
  // Restores to the instant, starts a server from that and holds its content against the
  // ledger: it must be that of a prefix between what was confirmed and what was sent.
  // Returns what was found, for people.
  Result<std::string> recover_and_compare(Time instant, Way way);

 private:
  explicit RedisLife(uint64_t seed) : random_(seed) {}
  Result<repo::Snapshot> commit(repo::WriteSession& session, repo::Snapshot snapshot);
  Result<void> take_snapshot();
  redis::Connection service() const;
  Result<void> serve_as_master(const std::string& name, std::vector<std::string> arguments);
  Result<void> restart_master();
  Result<void> fail_over();
  void follow();
  Result<void> write(size_t steps);
  Result<RedisStep> write_passing(redis::ServerSession& session);
  RedisStep next_step();
  std::vector<std::string> next_command();
  Result<std::string> restored_digest(Time instant, Way way, std::string& account);
  Result<std::string> find_prefix(const std::string& digest, size_t from, size_t to);

  std::mt19937_64 random_;
  redis::RestoreRig rig_;
  std::string master_name_;
  uint16_t master_port_ = 0;
  int servers_ = 0;
  // Keys that expire soon, and what they hold since they were written last.
  struct Passing {
    std::string value, expires;  // milliseconds; "": never
  };
  std::map<std::string, Passing> passing_;
  Time all_passed_;  // when the last of them will have expired
  std::unique_ptr<redis::PrivateServer> master_, reference_, running_;
  std::vector<repo::Snapshot> snapshots_;
  RedisLedger ledger_;
  uint64_t written_ = 0;  // commands, for ids that grow
  int restored_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::optional<Error> trouble_;  // of the receiver; guarded by mutex_
  std::jthread receiver_;
};

}  // namespace holdfast::servers
