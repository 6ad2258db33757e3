#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"
#include "recovery/rig.h"
#include "redis/redis_server.h"

namespace holdfast::servers {

// When the writer did what for one number. Every kNumbersPerFile-th goes to the file, too,
// once the receiver of Redis had the number durably. Times are the machine's.
struct SequenceStep {
  Time begun;                  // just before PostgreSQL was asked
  Time committed;              // when PostgreSQL had acknowledged
  Time sent;                   // just before the first byte to Redis
  Time confirmed;              // when the receiver had it; none: Time{}
  Time file_begun, file_done;  // none: Time{}
};
constexpr size_t kNumbersPerFile = 6;

// How far the sequence has come in each component.
struct SequenceState {
  int64_t postgres = 0, redis = 0, file = 0;
};

// PostgreSQL, Redis and a file, protected together while one writer takes the numbers
// 1, 2, 3, ... through all three, in this order: none is ever ahead of the one before it.
// Not thread-safe.
class StackLife {
 public:
  // Starts the servers and their receivers, writes a while and takes the first point.
  static Result<std::unique_ptr<StackLife>> begin(uint64_t seed);

  // Writes at least so many numbers, and as long as the point takes that is captured
  // meanwhile; returns when all logs are stored.
  Result<void> live(size_t numbers, bool capture);
  // Between the first point and the end of what is stored, near something that was written.
  Time random_instant();
  // Restores all to the instant, starts servers from that, and holds them against each
  // other and the ledger. Returns what was found, for people.
  Result<std::string> recover_and_compare(Time instant);

 private:
  explicit StackLife(uint64_t seed) : random_(seed) {}
  Result<void> write(size_t numbers, const std::atomic<bool>& goes_on);
  Result<void> write_one(postgres::ServerSession& database, redis::ServerSession& cache);
  Result<void> write_file(int64_t number);
  Result<void> wait_until_stored();
  Result<SequenceState> restored_state(const std::string& directory);
  Result<void> compare(Time instant, const SequenceState& state, Time files_from, Time files_until);
  // How many numbers had come so far by then.
  int64_t last_by(Time SequenceStep::* when, Time instant) const;
  Result<Duration> capture_took(const std::string& point);

  std::mt19937_64 random_;
  std::unique_ptr<Rig> rig_;
  std::unique_ptr<redis_test::RedisServer> redis_;
  std::unique_ptr<BackgroundProgram> receiver_;  // of Redis
  std::string file_;
  std::vector<SequenceStep> steps_;  // of number 1, 2, ...
  size_t steps_before_first_point_ = 0;
  Time first_, stored_until_;
  int restored_ = 0;
};

}  // namespace holdfast::servers
