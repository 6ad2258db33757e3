#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "base/filesystem.h"
#include "source/chunker.h"
#include "source/files/data_stream.h"
#include "source/files/previous.h"

namespace holdfast::files {

using source::Chunker;
using source::GearTable;

// Content of files on its way into the repository. Thread-safe.
class ContentStore {
 public:
  // What one region of a file can hold; larger files are stored region by
  // region, each on its own, so that several threads can work on one file.
  static constexpr uint64_t kRegionBytes = 64ull << 20;

  // How far, from a border between regions, a file has no data: up to another border or
  // the end of the file. What lies between costs nothing, however much it is.
  static uint64_t hole_bytes(File& file, uint64_t offset, uint64_t size_bytes);
  // Adds such a hole, as one region where the builder would cut many.
  Result<void> add_hole(repo::ContentBuilder& builder, uint64_t length_bytes);

  explicit ContentStore(repo::WriteSession& session) : session_(session), table_(GearTable::of(session.repository())) {}

  struct Stored {
    std::vector<repo::Extent> extents;  // holes among them
    bool truncated = false;             // the file ended within the range
    std::optional<Error> failure;       // of reading the file; what came before it is stored
  };
  // Stores a range (of at most kRegionBytes) of an open file. Where `previous`
  // says that a block began, the block's length is tried first: when the bytes
  // are the same, nothing needs to be cut. Errors are of the repository's side only.
  Result<Stored> store(File& file, const Range& range, bool may_have_holes, std::span<const PlacedExtent> previous);

  // The whole content of a file of this size as it is now, range by range.
  struct Whole {
    repo::Content content;
    uint64_t size_bytes = 0;  // that the content adds up to
    bool truncated = false;
    std::optional<Error> failure;
  };
  Result<Whole> store_whole(File& file, uint64_t size_bytes, bool may_have_holes, const repo::Content* previous);

  uint64_t bytes_read() const { return bytes_read_; }
  void count_read(uint64_t bytes) { bytes_read_ += bytes; }
  repo::WriteSession& session() { return session_; }

 private:
  struct Cursor;
  // Takes the next block from the stream by its previous length, if it still has that content.
  Result<bool> take_known(DataStream& stream, Cursor& cursor);
  Result<void> take_cut(DataStream& stream, Cursor& cursor);

  repo::WriteSession& session_;
  const GearTable table_;
  std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace holdfast::files
