#pragma once

#include <string>
#include <vector>

#include "base/encoding.h"
#include "repo/tree.h"

namespace holdfast::repo {

// The bytes of a tree's blocks: docs/format.md, "Trees". A tree is a list of
// entries in chunks (blocks of kind kTreeChunk); pages (kTreeRoot) list chunks, or
// pages of the level below; the topmost page is the root.

// What a page says of a chunk, or of a page below it.
struct TreeRef {
  BlockId id;
  uint64_t entries = 0;
  uint64_t file_bytes = 0;  // sizes of the files in it
  std::string first_path;   // tells which files a lost chunk held
  bool operator==(const TreeRef&) const = default;
};

struct TreePage {
  uint8_t level = 0;  // 0: lists chunks
  std::vector<TreeRef> refs;
};

constexpr uint8_t kMaxTreeLevel = 7;
constexpr size_t kMaxChunkEntries = 65536;
constexpr size_t kMaxPathBytes = 65535;
constexpr uint64_t kMaxChunkRegions = 1u << 22;  // of all its entries: 100 MB in memory

Bytes encode_page(const TreePage& page);
// Refuses what is not strictly ascending, and an empty page above level 0.
Result<TreePage> decode_page(ByteView bytes);

// Collects the entries of one chunk. What entries have in common with the one
// before (path, owner, times) is not repeated; a chunk depends on nothing outside.
class ChunkEncoder {
 public:
  // kInvalidData for an entry that no reader would accept; nothing was added then.
  Result<void> add(const Entry& entry);
  size_t size_bytes() const { return out_.size(); }
  uint64_t entries() const { return entries_; }
  uint64_t path_bytes() const { return path_bytes_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t regions() const { return regions_; }
  const std::string& first_path() const { return first_path_; }
  const std::string& last_path() const { return last_.path; }
  // The chunk's bytes; the encoder is as new afterwards.
  Bytes take();

 private:
  void put_times(const Entry& entry);
  ByteWriter out_;
  uint64_t entries_ = 0, path_bytes_ = 0, file_bytes_ = 0, regions_ = 0;
  std::string first_path_;
  Entry last_;  // without its content
};

Result<std::vector<Entry>> decode_chunk(ByteView bytes);

// Says what is wrong with an entry, if anything: empty for a good one. Paths that
// lead out of the tree ("..", absolute, empty parts) are among it.
std::string entry_fault(const Entry& entry);

}  // namespace holdfast::repo
