#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "servers/private_postgres.h"
#include "servers/scratch.h"
#include "source/postgres/receiver.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::wal_test {

// A server, and an archive for its WAL in memory.
class WalServer {
 public:
  static Result<std::unique_ptr<WalServer>> create(int major, int wal_segment_mib = 1,
                                                   const std::map<std::string, std::string>& settings = {});

  servers::PrivatePostgres& server() { return *server_; }
  postgres::WalArchive& archive() { return *archive_; }
  postgres::TestLogStore& store() { return store_; }
  const postgres::Connection& connection() const { return connection_; }
  void connect_as(const std::string& role);
  const servers::ScratchDirectory& scratch() const { return scratch_; }
  const postgres::WalArchive::Identity& identity() const { return identity_; }
  // An archive on the same records, as another process would have it.
  std::unique_ptr<postgres::WalArchive> another_archive();
  std::unique_ptr<postgres::WalArchive> another_archive(repo::LogStore& store);

  // A copy of the stopped server; set_back() puts it in the server's place.
  void keep_copy();
  void set_back();

  std::string sql(const std::string& statement);  // the first value; fails the test on an error
  postgres::Lsn flushed();                        // the server's end of WAL
  // What the server has in pg_wal under that name.
  Bytes segment_file(const std::string& name);

 private:
  explicit WalServer(servers::ScratchDirectory scratch) : scratch_(std::move(scratch)) {}

  servers::ScratchDirectory scratch_;
  std::unique_ptr<servers::PrivatePostgres> server_;
  postgres::TestLogStore store_;
  postgres::WalArchive::Identity identity_;
  std::unique_ptr<postgres::WalArchive> archive_;
  postgres::Connection connection_;
};

// A receiver on a thread of its own, stopped by the destructor.
class LiveReceiver {
 public:
  LiveReceiver(WalServer& server, const postgres::ReceiverOptions& options)
      : LiveReceiver(server, options, server.store()) {}
  LiveReceiver(WalServer& server, const postgres::ReceiverOptions& options, repo::LogStore& store);
  ~LiveReceiver();
  // Stops it; its outcome in words, "" when all was well.
  std::string stop();
  postgres::ReceiverState state() const;
  bool ended() const { return ended_; }

 private:
  std::unique_ptr<postgres::WalArchive> archive_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  mutable std::mutex mutex_;
  postgres::ReceiverState state_;
  std::string problem_;
  std::jthread thread_;
};

postgres::ReceiverOptions receiver_options();

// Where the archive's newest stretch of a timeline ends.
postgres::Lsn stored_end(postgres::WalArchive& archive, uint32_t timeline);
// xids of all commits in the archive's WAL of a timeline, read record by record.
std::vector<uint32_t> stored_commits(postgres::WalArchive& archive, uint32_t timeline, postgres::Lsn from);

}  // namespace holdfast::wal_test
