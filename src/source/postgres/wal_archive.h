#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/log_store.h"
#include "source/postgres/lsn.h"
#include "source/postgres/wal_summary.h"

namespace holdfast::postgres {

// A timeline's ancestry, from a .history file: where each ancestor was left.
struct TimelineSwitch {
  uint32_t timeline = 0;  // the ancestor
  Lsn left_at;
};

// A stretch of WAL without a gap.
struct WalRange {
  uint32_t timeline = 0;
  Lsn from, to;  // [from, to)
  std::optional<Time> first_commit, last_commit;
  std::optional<Time> covered_until;  // the server's clock when `to` was its end of WAL, if known
};

// A log record that holds WAL, whole or in part.
struct WalPiece {
  std::string record;  // its name in the log
  uint32_t timeline = 0;
  Lsn from, to;
  bool whole = false;  // a whole segment
};

// "At server time `time` the log ended at or before `lsn`, and all of it is stored."
struct WalMark {
  uint32_t timeline = 0;
  Lsn lsn;
  Time time;
};

struct WalSpan {
  Lsn from, to;  // [from, to)
};

// What points need of a cluster's WAL.
struct WalNeed {
  Lsn from;                    // all from here on
  std::vector<WalSpan> bases;  // and before it what makes these snapshots whole
};

// The WAL of one cluster in the repository: whole segments, parts of segments
// (what a streaming receiver flushed before its segment was full), timeline
// histories, and marks ("at server time T the end of WAL was X and all before it
// is stored"). The log stream's name is "<component>.<system identifier>".
// A whole segment takes precedence over its parts.
// Thread-safe. Concepts and record names: src/source/postgres/README.md.
class WalArchive {
 public:
  struct Identity {
    std::string component;
    uint64_t system_id = 0;
    uint64_t segment_bytes = 16u << 20;
  };
  static Result<std::unique_ptr<WalArchive>> open(repo::Repository& repository, const Identity& identity,
                                                  int compression_level = 3);
  // The same on a log store, which must outlive the archive, like `quick`: where what is
  // stored in haste goes through to the same place (null: through the store, too).
  static Result<std::unique_ptr<WalArchive>> open(repo::LogStore& store, Clock& clock, const Identity& identity,
                                                  repo::LogStore* quick = nullptr);
  virtual ~WalArchive() = default;
  // How old a listing of the log may be for who minds nothing that others have stored since. What
  // was stored then is stored now, while a writer's lease that was taken before retention looked lives.
  static constexpr Duration kListedLately = Duration::seconds(60);
  virtual const Identity& identity() const = 0;

  // Stores a whole segment, .history or .backup file under its own name. A
  // segment's header must carry our system id, its own address and segment size
  // (kMismatch). Same bytes again: accepted. Other bytes: kMismatch, nothing changed.
  // What is stored damaged is not compared: the bytes that are given take its place.
  struct PushOptions {
    // A segment stored in haste is compressed quickly rather than well (docs/decisions/023).
    bool in_haste = false;
    // WAL whose records do not hold together (a CRC, a link to the record before) is refused
    // with kMismatch, not kept with a word: for who acknowledges what is stored.
    bool refuse_faults = false;
  };
  virtual Result<void> push(const std::string& name, ByteView content, const PushOptions& options) = 0;
  Result<void> push(const std::string& name, ByteView content) { return push(name, content, PushOptions()); }

  // Stores [offset, offset + bytes) of a segment before it is full. Ranges pushed
  // for one segment follow each other without gap or overlap; what could not be stored is
  // pushed again as it was. kMismatch, nothing stored:
  // the records do not hold together with those stored before.
  virtual Result<void> push_part(uint32_t timeline, Lsn start, ByteView content) = 0;

  // The server's end of WAL was `end` at its time `server_time`, and all before it is stored.
  virtual Result<void> mark(uint32_t timeline, Lsn end, Time server_time) = 0;

  // A segment or history file as restore_command wants it. A segment of which only
  // parts are stored is their gapless beginning, filled up with zeros. An empty
  // optional means *proven absent*; every doubt is an error.
  virtual Result<std::optional<Bytes>> fetch(const std::string& name) = 0;
  // The same, but a segment of which only parts are stored counts as absent, and
  // there is no proof of absence: for reading ahead.
  virtual Result<std::optional<Bytes>> fetch_whole(const std::string& name) = 0;
  // What is stored of a segment from its beginning on, whatever is stored behind; nothing, when
  // that is not: for looking at a log that nobody is about to replay.
  virtual Result<Bytes> beginning_of(uint32_t timeline, Lsn segment) = 0;
  // What can be read of a segment's parts, from its beginning up to the first of which it can't.
  virtual Result<Bytes> intact_beginning_of(uint32_t timeline, Lsn segment) = 0;
  // What is stored of `position`'s segment before it, whatever is damaged behind. kDamaged: that
  // can't be read.
  virtual Result<Bytes> stored_before(uint32_t timeline, Lsn position) = 0;
  // Whether no record at all is stored of this cluster under this component.
  virtual Result<bool> is_empty() = 0;

  // All stretches, by timeline and position.
  virtual Result<std::vector<WalRange>> ranges() = 0;
  // Empty when [from, to) along `timeline` (through its ancestors) is stored
  // whole, else one line for each gap. By a listing of the log that is at most `listed_within`
  // old, and what was pushed here since.
  virtual Result<std::vector<std::string>> gaps(uint32_t timeline, Lsn from, Lsn to, Duration listed_within) = 0;
  Result<std::vector<std::string>> gaps(uint32_t timeline, Lsn from, Lsn to) { return gaps(timeline, from, to, {}); }
  // The newest timeline known here that `timeline` at `lsn` leads to.
  virtual Result<uint32_t> newest_descendant(uint32_t timeline, Lsn lsn) = 0;
  virtual Result<std::vector<TimelineSwitch>> history(uint32_t timeline) = 0;

  // What is stored, by timeline and position. Of a segment stored in parts those
  // that make up its gapless beginning, and then any that lie beyond a gap. Parts
  // whose whole segment is stored are left out. `listed_within`: as with gaps.
  virtual Result<std::vector<WalPiece>> pieces(Duration listed_within) = 0;
  Result<std::vector<WalPiece>> pieces() { return pieces(Duration()); }
  virtual Result<std::shared_ptr<const WalSummary>> summary(const std::string& record) = 0;
  // Which blocks the WAL of a record refers to; empty when it was stored without that.
  virtual Result<std::optional<BlockMap>> block_map(const std::string& record) = 0;
  virtual Result<std::vector<WalMark>> marks() = 0;

  // Waits for as long as a segment that is being stored may take to be seen.
  virtual void await_stores() = 0;

  // Removes records that lie wholly before `needed.from` on every timeline, but for the segments
  // of `needed.bases`, and parts whose whole segment is stored. Histories stay. Returns the names
  // (dry_run: what would go).
  virtual Result<std::vector<std::string>> expire(const WalNeed& needed, bool dry_run) = 0;
};

}  // namespace holdfast::postgres
