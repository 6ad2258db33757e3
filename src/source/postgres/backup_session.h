#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "source/postgres/backup_label.h"
#include "source/postgres/connection.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// What a server says of itself.
struct ServerFacts {
  uint64_t system_id = 0;
  int version = 0;  // 150004
  int major = 0;
  uint32_t timeline = 0;
  uint64_t segment_bytes = 0;
  uint32_t page_bytes = 0;
  uint32_t segment_pages = 0;    // of one relation segment
  uint32_t catalog_version = 0;  // part of the name of tablespaces' directories
  bool checksums = false;
  bool in_recovery = false;
  Lsn position;                    // end of WAL written, or replayed
  std::string data_directory;      // "" when we may not know
  int64_t start_unix_seconds = 0;  // of the server
  bool archives = false;           // its archive_command is ours, as far as we may see it
  bool is_beside = false;          // by what beside.h writes: it does not act in its original's place
};
Result<ServerFacts> read_facts(ServerSession& session);

// The server's own time, now.
Result<Time> server_time(ServerSession& session);

// The end of a backup, as the server reports it.
struct BackupEnd {
  Lsn stop;
  std::string label_text;           // becomes backup_label
  std::string tablespace_map_text;  // becomes tablespace_map; may be empty
  BackupLabel label;
  Time time;  // the server's clock afterwards
};

// A non-exclusive backup in progress. While the object lives the server writes
// whole pages into the WAL and, through a temporary slot, keeps all WAL from the
// start on. Ends with the session: a capture that fails leaves nothing behind.
class BackupSession {
 public:
  // Makes a checkpoint at once. Waits as long as that takes, up to `deadline`.
  static Result<std::unique_ptr<BackupSession>> start(std::unique_ptr<ServerSession> session, const ServerFacts& facts,
                                                      const std::string& label, Duration deadline);
  Lsn start_lsn() const { return start_; }
  // Does not wait for the archiver: what nobody archives is taken from the server.
  Result<BackupEnd> stop();
  // The session, for other questions; open until this object goes.
  ServerSession& session() { return *session_; }

 private:
  BackupSession(std::unique_ptr<ServerSession> session, int major) : session_(std::move(session)), major_(major) {}
  Result<void> reserve_wal();
  std::unique_ptr<ServerSession> session_;
  int major_;
  Lsn start_;
};

}  // namespace holdfast::postgres
