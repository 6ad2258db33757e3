#pragma once

#include <cstdint>
#include <memory>

#include "base/direct_file.h"
#include "base/filesystem.h"

namespace holdfast {

// Whoever writes past the cache waits for the disk: as many threads again do the rest meanwhile.
constexpr size_t threads_for_direct_writes(size_t threads) { return 2 * threads; }

// Memory that begins at a multiple of kDirectAlignment.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t size);
  size_t size() const { return size_; }
  MutableByteView view() { return bytes_.mutable_view().subspan(begin_, size_); }

 private:
  Bytes bytes_;
  size_t begin_, size_;
};

// Writes a file past the page cache (DirectFile): restored bytes need not push out what others
// keep there, and reach the disk while the next ones are read. What is less than a file
// system's block at the ends of a stretch goes through the cache, and so does everything
// where the file system, or the file, does not take direct writes, and stretches of less than
// a MiB: each would wait for the disk by itself. Only what finish() was called after is written.
// Several may write to different stretches of one file at once.
class DirectWriter {
 public:
  // Smaller files, and smaller stretches, go through the cache.
  static constexpr uint64_t kSmallest = 1u << 20;

  // `file` is borrowed; it will have about `expected_bytes`.
  DirectWriter(File& file, uint64_t expected_bytes);
  ~DirectWriter();
  DirectWriter(const DirectWriter&) = delete;
  DirectWriter& operator=(const DirectWriter&) = delete;

  bool is_direct() const { return direct_ != nullptr; }
  // Where a call goes on from the one before, the bytes are written with its.
  Result<void> write(uint64_t offset, ByteView bytes);
  // Nothing is open any more but `file`: what has times that are set after this keeps them.
  Result<void> finish();

 private:
  Result<void> flush();
  Result<size_t> write_past_cache(ByteView bytes, uint64_t offset);
  Result<void> end_direct();

  File& file_;
  std::unique_ptr<DirectFile> direct_;
  uint64_t alignment_ = kDirectAlignment;
  std::unique_ptr<AlignedBuffer> buffer_;
  uint64_t begin_ = 0;   // in the file, of what is in the buffer
  size_t buffered_ = 0;  // bytes in it
};

}  // namespace holdfast
