#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "source/postgres/connection.h"
#include "source/postgres/replication.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// Where a stream of WAL begins.
struct StreamStart {
  uint32_t timeline = 0;
  Lsn position;
};

// That somebody else's slot has the name of ours.
Error logical_slot(const std::string& slot);

// A physical replication connection: the commands of the protocol that receiving
// WAL needs. Not thread-safe. Errors as ServerSession's.
class ReplicationSession {
 public:
  // kMismatch when the server is of another cluster than the archive.
  static Result<std::unique_ptr<ReplicationSession>> connect(const Connection& connection,
                                                             const std::string& application_name,
                                                             const WalArchive::Identity& identity,
                                                             const std::atomic<bool>& stop);

  uint32_t timeline() const { return timeline_; }  // the server's, when it was asked last
  Lsn end() const { return end_; }                 // and its flushed end of WAL
  // Asks for both again.
  Result<void> identify();
  ServerSession& session() { return *session_; }

  // Makes the slot unless it is there; WAL is kept from now on. Returns where the
  // slot keeps WAL from, as far as the server tells.
  Result<std::optional<Lsn>> ensure_slot(const std::string& slot);
  // Whether that slot is one for physical replication; empty where the protocol does not
  // tell (before 15).
  Result<std::optional<bool>> slot_is_physical(const std::string& slot);
  Result<void> drop_slot(const std::string& slot);

  // Stores the histories of `timeline` and its ancestors that the archive lacks.
  // kMismatch: the archive knows another timeline of that number.
  Result<void> fetch_histories(WalArchive& archive, uint32_t timeline);

  Result<void> start(const std::string& slot, const StreamStart& from);
  // After the stream ended: the next timeline, or none when the server shuts down.
  Result<std::optional<StreamStart>> finish();

 private:
  ReplicationSession(std::unique_ptr<ServerSession> session, uint64_t system_id)
      : session_(std::move(session)), system_id_(system_id) {}

  std::unique_ptr<ServerSession> session_;
  const uint64_t system_id_;
  uint32_t timeline_ = 0;
  Lsn end_;
};

// Where to go on along the way to the server's timeline: at the segment of the first hole
// in what the archive holds of it; when there is none, behind all that it holds; when it
// holds nothing, at the segment of `slot_restart`, else at that of the server's end. What
// the slot keeps is not asked for holes: a server has more than that, and only asking it
// tells. What begins before `gone_before` it has been asked for in vain: that is passed over.
Result<StreamStart> plan_stream(WalArchive& archive, uint32_t server_timeline, std::optional<Lsn> slot_restart,
                                Lsn server_end, Lsn gone_before = {});

}  // namespace holdfast::postgres
