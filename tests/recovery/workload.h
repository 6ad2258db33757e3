#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "servers/private_postgres.h"

namespace holdfast::servers {

constexpr size_t kWriters = 2;

// An instant when no transaction was in flight, with all names it can be restored by
// and what the database held then.
struct Instant {
  std::string time;                          // RFC 3339, of the server
  std::string lsn;                           // the next record begins here
  std::string name;                          // of a restore point behind that transaction
  bool on_the_way = true;                    // the restore point is part of the present history
  std::string xid;                           // of the last transaction that committed
  std::array<int64_t, kWriters> last_seq{};  // the ledger: every commit acknowledged until then
  std::string contents;                      // digest of every relation
};

// What a database holds, for comparison: for each database its name, for each
// relation of schema app in `postgres` its rows and a checksum of them.
Result<std::string> digest_of(const PrivatePostgres& server);
// The sequence numbers of each writer, checked to have no gap.
Result<std::array<int64_t, kWriters>> ledger_of(const PrivatePostgres& server);

// Writers that commit without pause, each keeping count of what was acknowledged:
// its sequence numbers are 1, 2, 3, ... so that the count is the ledger.
class Workload {
 public:
  explicit Workload(PrivatePostgres& server) : server_(server) {}
  ~Workload() { stop(); }

  // Makes schema app and its tables.
  Result<void> create();
  // Starts the writers. What the server holds must agree with the ledger: all that was
  // acknowledged, and at most the one transaction of each that was in flight.
  Result<void> start();
  // Ends the writers after their current transactions.
  void stop();
  // The ledger says what this instant says; after a restore in place.
  void return_to(const Instant& instant);

  // Waits until every writer has committed `count` more transactions.
  Result<void> let_commit(int64_t count);
  Result<Instant> note_instant(const std::string& name);

 private:
  void write(size_t writer, uint32_t seed, const std::stop_token& token);
  Result<void> write_one(postgres::ServerSession& session, size_t writer, std::mt19937& random);

  PrivatePostgres& server_;
  std::mutex turnstile_;         // held by who wants a quiet instant, so that it comes
  std::shared_mutex in_flight_;  // shared by a transaction, held alone by an instant
  std::array<std::atomic<int64_t>, kWriters> last_seq_{};
  std::array<std::atomic<bool>, kWriters> ended_{};
  std::vector<std::jthread> writers_;
};

}  // namespace holdfast::servers
