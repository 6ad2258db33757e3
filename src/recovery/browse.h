#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "recovery/workspace.h"
#include "repo/tree.h"
#include "repo/tree_lookup.h"

namespace holdfast::recovery {

// An open file of a snapshot: reads any range. Not thread-safe.
class SnapshotFile {
 public:
  SnapshotFile(repo::Repository& repository, repo::Entry entry) : repository_(repository), entry_(std::move(entry)) {}
  // Bytes read: fewer than asked for only at the end of the file.
  Result<size_t> read_at(uint64_t offset, MutableByteView out);
  uint64_t size_bytes() const { return entry_.size_bytes; }

 private:
  // The extents of the region that holds `offset`, and where it begins.
  Result<void> seek_region(uint64_t offset);
  Result<void> copy_extents(uint64_t from, uint64_t offset, MutableByteView out, size_t& done);

  repo::Repository& repository_;
  repo::Entry entry_;
  std::vector<repo::Extent> extents_;
  uint64_t region_begin_ = 0, region_end_ = 0;  // of extents_, in the file
};

// One snapshot as a read-only tree of files, looked up by path. Parents that the
// tree does not list (a component of several roots) are directories too.
// Thread-safe. Memory: one chunk of the tree, whatever its size.
class SnapshotTree {
 public:
  static Result<std::unique_ptr<SnapshotTree>> open(repo::Repository& repository, const repo::Snapshot& snapshot);

  // kNotFound when there is nothing at `path` ("" is the root). A hard link is
  // given as the file it names.
  Result<repo::Entry> find(const std::string& path);
  // Names and kinds of what a directory holds, in order.
  struct Child {
    std::string name;
    repo::EntryKind kind;
  };
  Result<std::vector<Child>> list(const std::string& path);

 private:
  SnapshotTree(std::unique_ptr<repo::TreeLookup> lookup, Time instant)
      : lookup_(std::move(lookup)), instant_(instant) {}
  Result<repo::Entry> find_locked(const std::string& path);

  std::mutex mutex_;
  std::unique_ptr<repo::TreeLookup> lookup_;  // guarded by mutex_
  const Time instant_;
};

// The points of a stack as directories: "<time>-<id>/<component>/...". Thread-safe.
class PointBrowser {
 public:
  explicit PointBrowser(Workspace& workspace) : workspace_(workspace) {}

  struct Listed {
    std::string name;  // "2026-03-01T09-30-00Z-3f0a91c2"
    repo::Point point;
  };
  // Oldest first. Read again when older than a few seconds: points come and go.
  Result<std::vector<Listed>> points();
  Result<std::shared_ptr<SnapshotTree>> tree(const std::string& point_name, const std::string& component);

 private:
  Workspace& workspace_;
  std::mutex mutex_;
  std::vector<Listed> listed_;  // guarded by mutex_
  std::optional<Duration> listed_at_;
  std::map<repo::BlockId, std::shared_ptr<SnapshotTree>> trees_;  // by root; the most recent ones
};

}  // namespace holdfast::recovery
