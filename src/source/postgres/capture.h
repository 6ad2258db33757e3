#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/secret.h"
#include "repo/point.h"
#include "repo/repository.h"
#include "source/postgres/connection.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::postgres {

enum class CaptureMethod { kAuto, kFiles, kProtocol };

struct CaptureOptions {
  std::string component;
  const Connection* connection = nullptr;
  CaptureMethod method = CaptureMethod::kAuto;  // files when the data directory is readable here
  std::string data_directory;                   // "": as the server says
  int compression_level = 3;
  bool force_full = false;  // do not look at the previous snapshot
  bool prove = false;       // read also what the log says is unchanged, and fail if it is not
  // Asked with the server's system identifier before anything of it is read; its error
  // ends the capture. Null: any server will do.
  std::function<Result<void>(uint64_t)> accept;
  Duration wal_timeout = Duration::seconds(600);
};

// Captures a whole cluster between pg_backup_start and pg_backup_stop (or by
// BASE_BACKUP) into `session`, then makes sure that every WAL segment the copy
// needs is in the archive, taking from the server what nobody sent. Pages that
// have not changed since `previous` (by page LSN; never across a change of system
// id, timeline or checksum setting) are taken over without being stored again.
// Bad pages are re-read; those that stay bad become faults of the snapshot.
// Snapshot::source: docs/format.md, "PostgreSQL snapshots".
Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
                               const repo::Snapshot* previous);

// What is at a connection or in a data directory; used by init, check, restore.
struct ClusterIdentity {
  uint64_t system_id = 0;
  int major = 0;  // 13..18
  uint32_t timeline = 0;
  uint64_t segment_bytes = 0;
  uint32_t page_bytes = 8192;
  bool checksums = false;
  bool in_recovery = false;
  std::string data_directory;
};
Result<ClusterIdentity> identify_server(const Connection& connection);
Result<ClusterIdentity> identify_directory(FileSystem& fs, const std::string& data_directory);

}  // namespace holdfast::postgres
