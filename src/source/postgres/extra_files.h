#pragma once

#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "repo/tree.h"

namespace holdfast::postgres {

// What stands in a cluster's directories and is not in the snapshot that is restored over them
// (--delta). All of it goes that is PostgreSQL's own, old WAL included: recovery takes its WAL from
// the repository, where no other timeline's can slip in, and a relation's file that the snapshot lacks would
// be another relation's after recovery. What somebody else has put there stays, unless it is not to.
class ExtraFiles {
 public:
  struct Options {
    bool others_too = false;  // what is not PostgreSQL's own goes, too
    bool look_only = false;   // nothing is removed, only told
  };
  struct Removed {
    repo::EntryKind kind;
    std::string path;  // of the tree; of a directory all that is in it goes
  };

  // `expected` are the paths of the tree.
  ExtraFiles(FileSystem& fs, const std::unordered_set<std::string>& expected, Options options)
      : fs_(fs), expected_(expected), options_(options) {}

  // Goes through the data directory and the places of tablespaces (oid -> location).
  Result<void> go_through(const std::string& data_directory, const std::map<std::string, std::string>& tablespaces);

  // Sorted by path; without what a restore writes anew in any case, and what no backup has (WAL, caches).
  const std::vector<Removed>& removed() const { return removed_; }
  // "removed, since ...: base/1/999 and 3 more", "left in place ..."; nothing of which there is none.
  std::vector<std::string> notes() const;

 private:
  Result<void> walk(const std::string& directory, const std::string& tree_path);
  Result<void> remove(const std::string& place, const std::string& path);
  bool stays(const std::string& name) const;

  FileSystem& fs_;
  const std::unordered_set<std::string>& expected_;
  Options options_;
  std::vector<Removed> removed_;
  std::vector<std::string> left_;
};

}  // namespace holdfast::postgres
