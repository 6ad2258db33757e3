#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "repo/ids.h"

namespace holdfast::repo {

class WriteSession;
class Repository;

// ---- The tree of one snapshot: root block -> chunks of entries -> regions ->
// extents -> blocks. docs/format.md, "Trees", has the bytes.

// A run of a file's bytes: `length_bytes` of block `block` from `block_offset`,
// or a hole (zeros that take no space) when `block` is empty.
struct Extent {
  uint64_t length_bytes = 0;
  std::optional<BlockId> block;
  uint32_t block_offset = 0;
  bool operator==(const Extent&) const = default;
};

// A contiguous range of a file, whose extents are stored together in one block
// of kind kRegion (named `id`).
struct RegionRef {
  uint64_t length_bytes = 0;
  BlockId id;
  bool operator==(const RegionRef&) const = default;
};

// What a file holds. Either `extents` (small: they stand in the entry itself) or
// `regions`; never both. Their lengths add up to the entry's size.
struct Content {
  std::vector<Extent> extents;
  std::vector<RegionRef> regions;
  bool operator==(const Content&) const = default;
};

enum class EntryKind : uint8_t {
  kFile = 1,
  kDirectory = 2,
  kSymlink = 3,
  kHardLink = 4,
  kFifo = 5,
  kCharDevice = 6,
  kBlockDevice = 7,
  kSocket = 8,
};
constexpr bool is_device(EntryKind kind) { return kind == EntryKind::kCharDevice || kind == EntryKind::kBlockDevice; }

struct Entry {
  std::string path;  // bytes, relative to the snapshot's root; no leading '/'; "" is the root itself
  EntryKind kind = EntryKind::kFile;
  uint64_t size_bytes = 0;  // of a file
  uint32_t mode = 0;        // permission bits with setuid, setgid, sticky
  uint32_t uid = 0, gid = 0;
  std::string user, group;  // names; may be empty
  Time modified;
  Time changed;                // ctime at capture: only to tell an unchanged file
  uint64_t inode = 0;          // likewise
  uint64_t device_number = 0;  // rdev of a device
  std::string link_target;     // of a symlink: its text; of a hard link: the path of the first name
  std::vector<std::pair<std::string, std::string>> xattrs;  // sorted by name; values are bytes (ACLs too)
  Content content;                                          // of a file
  // The time at which the capture began to read the file. A file whose mtime or
  // ctime is not well before this may have changed again within one clock tick:
  // it is not taken as unchanged next time.
  Time captured;
  // What the source wants to remember of the file; opaque here ("" usually).
  std::string source_data;
};

// Collects the content of one file. Extents that continue each other in the same
// block are joined. Regions are cut every `region_bytes` of file; a file with at
// most kInlineExtents extents gets none. Not thread-safe.
class ContentBuilder {
 public:
  static constexpr size_t kInlineExtents = 4;
  ContentBuilder(WriteSession& session, uint64_t region_bytes);
  Result<void> add(const Extent& extent);  // split at region borders as needed
  // Takes over whole region(s) as they were; only at a region border.
  Result<void> add_region(const RegionRef& region);
  Result<Content> finish();

 private:
  Result<void> store_region(uint64_t length_bytes);
  WriteSession& session_;
  const uint64_t region_bytes_;
  std::vector<Extent> pending_;  // joined, not yet in a region
  uint64_t pending_bytes_ = 0;
  Content content_;
};

// A region's extents, read and verified. Lengths add up to region.length_bytes.
Result<std::vector<Extent>> read_region(Repository& repository, const RegionRef& region);
Bytes encode_region(const std::vector<Extent>& extents);
Result<std::vector<Extent>> decode_region(ByteView bytes);

// Whether a region (a whole content) of an earlier snapshot may be taken over: asks
// session.reuse() for the region's block and for every block of its extents. Taking
// over anything for which this was not asked can cost the new point a block.
Result<bool> reuse_region(WriteSession& session, const RegionRef& region);
Result<bool> reuse_content(WriteSession& session, const Content& content);

// Calls visit(file offset, extent) for all of a file in order.
Result<void> for_each_extent(Repository& repository, const Content& content,
                             const std::function<Result<void>(uint64_t, const Extent&)>& visit);

// Writes a tree. Entries must come in strictly ascending byte order of
// tree_order(path) (a directory right before what it holds). Memory is bounded:
// chunks of entries are stored as they fill; where a chunk ends depends only on
// paths, so an unchanged stretch of a tree is stored once for all snapshots.
class TreeWriter {
 public:
  explicit TreeWriter(WriteSession& session);
  ~TreeWriter();
  Result<void> add(const Entry& entry);
  Result<BlockId> finish();  // the root

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Streams a tree's entries in order, one chunk in memory at a time.
class TreeReader {
 public:
  static Result<std::unique_ptr<TreeReader>> open(Repository& repository, const BlockId& root);
  virtual ~TreeReader() = default;
  virtual Result<std::optional<Entry>> next() = 0;
};

// Order of paths: as strings in which '/' sorts before every other byte.
std::strong_ordering compare_paths(std::string_view a, std::string_view b);

}  // namespace holdfast::repo
