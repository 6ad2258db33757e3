#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "source/postgres/backup_session.h"
#include "source/postgres/capture_pipeline.h"
#include "source/postgres/previous_snapshot.h"
#include "source/postgres/snapshot_source.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// A message of the single COPY stream of servers from 15 on.
struct ArchiveMessage {
  enum class Kind { kNewArchive, kManifest, kData, kProgress } kind = Kind::kData;
  std::string archive;   // kNewArchive: "base.tar", "16385.tar"
  std::string location;  // kNewArchive: of the tablespace; "" for the base
  ByteView data;         // kData
};
Result<ArchiveMessage> parse_archive_message(ByteView message);

// Tar archives out of a stream: calls back for each member in order. Nothing is
// trusted: names that are absolute or climb are kInvalidData. One member's data is
// read through `data` (fewer bytes only at its end).
struct TarMember {
  std::string path;
  repo::EntryKind kind = repo::EntryKind::kFile;
  uint64_t size_bytes = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  Time modified;
  std::string link_target;
};
class TarReader {
 public:
  // `pull` returns the next bytes of the stream (valid until the next call); none at its end.
  using Pull = std::function<Result<ByteView>()>;
  explicit TarReader(Pull pull);
  ~TarReader();
  Result<std::optional<TarMember>> next();
  Result<size_t> read(MutableByteView out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Captures over the replication protocol: BASE_BACKUP with the WAL that it needs,
// which goes to the archive, not into the snapshot. A temporary slot of the same
// session keeps that WAL meanwhile. The server sends everything; what is stored is
// what changed.
class BaseBackup {
 public:
  BaseBackup(source::World& world, repo::WriteSession& session, const Connection& connection, const ServerFacts& facts,
             WalArchive& archive, EntrySpool& entries)
      : world_(world),
        session_(session),
        connection_(connection),
        facts_(facts),
        archive_(archive),
        entries_(entries) {}

  struct Outcome {
    BackupEnd end;  // without time
    CaptureTotals totals;
    std::vector<SnapshotTablespace> tablespaces;
    std::set<std::string> sent;  // directories, and what may be settings: links the server leaves out unsaid
  };
  struct Watcher {
    std::function<PageRules(Lsn start)> begun;  // asked once the backup has begun, with where
    std::function<Result<void>()> copying;      // called before each region, by one thread at a time
    std::function<Result<void>()> ended;        // so too, once the backup has ended: its WAL begins to come
  };
  Result<Outcome> run(const Watcher& watcher, PreviousSnapshot* previous, Time began);

 private:
  Result<void> begin();
  Result<std::optional<CaptureTask>> next();
  Result<bool> open_archive();
  Result<std::optional<CaptureTask>> next_of_archive();
  Result<std::optional<CaptureTask>> begin_member(const TarMember& member);
  Result<CaptureTask> next_region();
  Result<ByteView> pull();
  Result<ByteView> pull_message();
  Result<Bytes> read_member(uint64_t size);
  Result<void> take_wal(const std::string& name, uint64_t size);
  Result<void> store_held_wal(std::optional<Lsn> stop);
  Result<void> finish();
  Result<void> add_roots();

  source::World& world_;
  repo::WriteSession& session_;
  const Connection& connection_;
  const ServerFacts& facts_;
  WalArchive& archive_;
  EntrySpool& entries_;
  const Watcher* watcher_ = nullptr;  // while run() runs
  PreviousSnapshot* previous_ = nullptr;
  Time began_;
  std::unique_ptr<ServerSession> server_;
  Outcome outcome_;
  Lsn start_;
  std::vector<std::string> archives_;  // 13, 14: oids in the order of their streams, "" the base
  size_t next_archive_ = 0;
  bool in_copy_ = false, copy_ended_ = false, new_archive_ = false, wal_begun_ = false;
  std::string archive_name_;  // of the one begun: oid, or "" for the base
  std::string prefix_;        // its members' place in the tree
  std::unique_ptr<TarReader> tar_;
  std::shared_ptr<CapturedFile> current_;
  uint64_t offset_ = 0;
  uint32_t directory_mode_ = 0700, uid_ = 0, gid_ = 0;
  std::string held_name_;  // the newest WAL segment: where it ends is known last
  Bytes held_;
};

}  // namespace holdfast::postgres
