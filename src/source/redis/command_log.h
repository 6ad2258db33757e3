#pragma once

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "repo/log_store.h"
#include "repo/point.h"

namespace holdfast::redis {

// A place in a history of commands. `replid` names the history (40 hex digits);
// `offset` counts its bytes: it is what the server called master_repl_offset when
// all bytes before this place were part of its data, and the next byte is the one
// that `PSYNC <replid> <offset + 1>` asks for. A snapshot's `offset` is meant so.
struct Position {
  std::string replid;
  uint64_t offset = 0;
  bool operator==(const Position&) const = default;
};
std::string to_text(const Position& position);  // "offset 1024 of history 8371b4fb"

// Bytes of the command stream that arrived together. Where one ends says nothing
// about commands: see command_stream.h. Never empty.
struct Frame {
  Time received;
  uint64_t offset = 0;  // of the first byte
  ByteView bytes;
  uint64_t end() const { return offset + bytes.size(); }
};

// A stretch of one history without a gap.
struct LogRange {
  std::string replid;
  uint64_t from = 0, to = 0;  // [from, to)
  Time first, last;           // when its first and last byte came; what came until `last` is stored
  uint64_t records = 0, stored_bytes = 0;
};

// The history went on under another id (failover): byte `offset` and all after it
// are the new id's, all before it are common to both.
struct LogLink {
  std::string from, to;
  uint64_t offset = 0;
  Time seen;
};

// Continuity was broken: what came between is in no log. The new history begins
// with a snapshot.
struct LogGap {
  Position from;      // the stored log ended here,
  Time from_instant;  // then
  Position to;        // and goes on here
  Time to_instant;
  std::string reason;  // for people: "the server's backlog no longer reached back so far"
};

// The receiver was away, or behind (while an RDB came, or while storing was slow); nothing is
// missing. What the server did in [from_instant, to_instant] are the bytes [from, to), but
// when in it nobody knows: they count as received at to_instant. A log that ends among them
// covers what came until from_instant.
struct LogAbsence {
  std::string replid;
  uint64_t from = 0, to = 0;
  Time from_instant, to_instant;
};

// Where a snapshot stands: all that was done until the instant lies before the position.
struct SnapshotPlace {
  Position position;
  Time instant;
};

// Where to stop reading. Nothing set: where the log ends.
struct LogUntil {
  std::optional<Time> time;        // frames received at or before it
  std::optional<uint64_t> offset;  // bytes before it; offsets go on across links
};

struct LogEnd {
  Position position;  // behind the last byte visited
  // The log proves that nothing came after position until then. Where it holds nothing
  // behind `from` but knows the place only by bytes before it: the earliest of all times.
  Time covered_until;
};

// The command streams of one component in the repository: one log stream for each
// replication id, "<component>.<replid>", linked where one history goes on as another.
// docs/redis.md has the bytes. Reads are of what was stored when open() or refresh()
// was called. Not thread-safe.
class CommandLog {
 public:
  // The log store must outlive it. An error for a record that can't be understood.
  static Result<std::unique_ptr<CommandLog>> open(repo::LogStore& store, const std::string& component);
  virtual ~CommandLog() = default;
  virtual const std::string& component() const = 0;
  virtual Result<void> refresh() = 0;  // looks again at what is stored; after an error all is as before
  // Snapshots tell, too, how far the server was, and what is stored covers all until the instant of
  // one at whose place it ends. Their clocks must have been right.
  virtual void count_on(const std::vector<SnapshotPlace>& snapshots) = 0;

  // ---- Reading

  // By history, then offset.
  virtual Result<std::vector<LogRange>> ranges() = 0;
  virtual const std::vector<LogLink>& links() const = 0;
  virtual const std::vector<LogGap>& gaps() const = 0;          // by instant
  virtual const std::vector<LogAbsence>& absences() const = 0;  // by instant
  // The range that was received last; where a receiver goes on.
  virtual Result<std::optional<LogRange>> newest() = 0;
  // Whether bytes at `to` are later ones of the line that `from` is on.
  virtual bool leads_to(const Position& from, const Position& to) const = 0;

  // Whether the log touches the place at all: a snapshot of which it does not stands alone,
  // and read() of it is kUnreachableTarget.
  virtual bool knows(const Position& place) const = 0;

  // Visits what came after `from`, along links, in order, without gap or overlap;
  // one record in memory. Frames at or before `until.time` and
  // bytes before `until.offset`. kUnreachableTarget, before anything is visited:
  // `from` is in no history, there is a gap on the way (the message says from where
  // to where), or the log ends before `until`.
  // kDamaged for a record that can't be read, maybe after frames were visited.
  using Visitor = std::function<Result<void>(const Frame& frame)>;
  virtual Result<LogEnd> read(const Position& from, const LogUntil& until, const Visitor& visitor) = 0;

  // Where read() without an `until` would end.
  virtual Result<LogEnd> reach(const Position& from) = 0;

  // Where the history that goes through `from` was at `time`: all frames received at or
  // before it lie before that position. Errors as read(). Bytes may end within a command.
  virtual Result<LogEnd> position_at(const Position& from, Time time) = 0;

  // ---- Writing (the receiver)

  // A record of frames, encoded by FrameWriter; [from, to) and the instants must be
  // those of the frames. Durable when it returns. Same bytes again: accepted, also where
  // another receiver has stored them with other instants (its own stay). Other bytes:
  // kMismatch.
  struct Record {
    std::string replid;
    uint64_t from = 0, to = 0;
    Time first, last;
    Bytes body;
  };
  virtual Result<void> put_record(const Record& record) = 0;
  // The same, for one that takes the place of several, which are removed behind it.
  virtual Result<void> put_merged(const Record& record) = 0;
  virtual Result<void> put_link(const LogLink& link) = 0;
  virtual Result<void> put_gap(const LogGap& gap) = 0;
  // Also where one stands there that begins at the same place and ends at the same instant.
  virtual Result<void> put_absence(const LogAbsence& absence) = 0;
  // "At `time` the history was at `position`", where no bytes tell: at its beginning.
  virtual Result<void> put_mark(const Position& position, Time time) = 0;

  // Removes what lies wholly before all of `needed` (the kept snapshots) on their lines,
  // and whole histories that no needed position is on where one of them goes on from them
  // (by links) or a gap has ended them. Other histories stay as they are, and all does when
  // nothing is needed. Returns "<stream>/<record>" names (dry_run: what would go).
  virtual Result<std::vector<std::string>> expire_before(const std::vector<Position>& needed, bool dry_run) = 0;
};

// The log stream of a history, and back. Empty when it is no stream of Redis.
std::string stream_name(const std::string& component, const std::string& replid);
struct StreamId {
  std::string component, replid;
};
std::optional<StreamId> parse_stream(const std::string& stream);
bool is_replid(std::string_view text);  // 40 hex digits

// What a snapshot of kind "redis" says of itself, in Snapshot::source. Its tree
// holds one file, kRdbName.
inline constexpr const char* kRdbName = "dump.rdb";
struct DatabaseSize {
  int64_t number = 0;
  uint64_t keys = 0, expires = 0;
};
struct SnapshotSource {
  Position position;  // what the RDB stands for
  // It holds nothing that was done later. Not set: that is the snapshot's instant. Set where
  // the server had begun the RDB before, and said when to whole seconds.
  std::optional<Time> latest;
  std::string redis_version, run_id;
  std::string place;                    // how the server was reached, without secrets
  std::vector<DatabaseSize> databases;  // as the server said when the capture began: about
  uint64_t rdb_bytes = 0;
  int rdb_version = 0;
  bool rdb_checksum = false;  // the RDB ends with a CRC64, which was right
  bool has_users = false;     // of the ACL; they are in no RDB
};
nlohmann::json to_json(const SnapshotSource& source);
Result<SnapshotSource> snapshot_source(const repo::Snapshot& snapshot);

Result<SnapshotPlace> snapshot_place(const repo::Snapshot& snapshot);

}  // namespace holdfast::redis
