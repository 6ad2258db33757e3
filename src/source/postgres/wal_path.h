#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// The stored log as a recovery would read it: from a position on, along a timeline
// and its ancestors, up to where it ends or can't be read.
class WalPath {
 public:
  // A record of the log that lies on the way.
  struct Stretch {
    std::string record;
    uint32_t timeline = 0;
    Lsn from, to;        // what counts of it
    bool cut = false;    // it holds more, which belongs to another future
    WalSummary summary;  // of that, with a record that ends here though it began before
  };

  // A segment that is stored in part, with more behind it, is an error where it has to be read:
  // no recovery gets through it. Who only looks, at a timeline that is not followed, sees what there is.
  // What a record of the log says of itself and can't be read is an error, too; who has a target on the way
  // may find it before: to it the way is broken there.
  enum class Purpose { kReplay, kLook, kTarget };
  static Result<WalPath> follow(WalArchive& archive, uint32_t timeline, Lsn from, Purpose purpose = Purpose::kReplay);

  const std::vector<Stretch>& stretches() const { return stretches_; }
  Lsn end() const { return end_; }  // the log is stored and readable up to here
  // Why it ends although more is stored behind: a gap (naming the missing segment) or damage.
  const std::optional<std::string>& broken() const { return broken_; }
  // The newest whole record before end().
  std::optional<Lsn> last_record() const;
  // Timeline of the end.
  uint32_t timeline() const { return stretches_.empty() ? timeline_ : stretches_.back().timeline; }
  std::optional<Time> last_commit() const;
  // The latest instant for which a commit, an abort or a mark proves that all is stored.
  std::optional<Time> proven_until() const { return proven_until_; }

  // Reads records (not summaries) and tells of the events that begin in [from, to),
  // until `visit` returns false.
  Result<void> events(Lsn from, Lsn to, const std::function<bool(const WalEvent&)>& visit) const;
  // The first event in [from, to) that `match` accepts; reads only what `may_hold` says.
  Result<std::optional<WalEvent>> find(Lsn from, Lsn to, const std::function<bool(const WalSummary&)>& may_hold,
                                       const std::function<bool(const WalEvent&)>& match) const;

 private:
  WalPath(WalArchive& archive, uint32_t timeline, Purpose purpose)
      : archive_(&archive), timeline_(timeline), purpose_(purpose) {}
  Result<void> read(Lsn from);
  Result<void> collect(Lsn from);
  Result<void> summarise();
  void prove_links();
  const WalSummary* tail_before(Lsn segment) const;
  Result<void> add_edges(Stretch& stretch);
  Result<void> prove();
  Result<void> read_summary(Stretch& stretch);
  Result<WalSummary> summary_of_cut(const Stretch& stretch) const;
  Result<Bytes> content_of(uint32_t timeline, Lsn segment) const;
  std::string segment_at(uint32_t timeline, Lsn lsn) const;

  WalArchive* archive_;
  uint32_t timeline_;
  Purpose purpose_;
  std::vector<Stretch> stretches_;
  Lsn end_;
  std::optional<std::string> broken_;
  bool hole_ = false;  // it is broken because something is not stored
  std::optional<Time> proven_until_;
};

// Whether an error says that what is stored of the log can't be read. Not that it is gone: parts of a
// segment go when it is stored whole.
bool is_unreadable(const Error& error);

}  // namespace holdfast::postgres
