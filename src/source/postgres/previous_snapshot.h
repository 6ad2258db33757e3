#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "repo/point.h"
#include "repo/repository.h"
#include "repo/tree.h"
#include "source/postgres/backup_session.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// The snapshot that a capture builds on, when it may.
class PreviousSnapshot {
 public:
  // Why the pages of `snapshot` can't be taken over; "" when they can. Page LSNs
  // compare only along one history of one cluster: another system id or timeline,
  // checksums switched on or off, or a server that stands before the snapshot's
  // end (a machine rolled back or cloned) mean that every page is stored anew.
  static std::string reason_for_full(const repo::Snapshot& snapshot, const ServerFacts& facts);

  static Result<std::unique_ptr<PreviousSnapshot>> open(repo::Repository& repository, const repo::Snapshot& snapshot);

  Lsn start() const { return start_; }
  // The entry of a file of this path. Paths are asked for in the order of trees.
  Result<std::optional<repo::Entry>> next_at(const std::string& path);
  // The same in any order; holds all entries in memory from the first call on.
  Result<std::optional<repo::Entry>> find(const std::string& path);
  // Files with pages that were bad then: they are read again each time.
  bool had_bad_pages(const std::string& path) const { return bad_.contains(path); }
  bool had_torn_pages(const std::string& path) const { return torn_.contains(path); }

 private:
  std::unique_ptr<repo::TreeReader> reader_;
  std::optional<repo::Entry> ahead_;
  bool ended_ = false, loaded_ = false;
  std::unordered_map<std::string, repo::Entry> by_path_;
  std::set<std::string> bad_, torn_;
  Lsn start_;
};

}  // namespace holdfast::postgres
