#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/filesystem.h"

namespace holdfast::files {

// A stretch of a file.
struct Range {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t end() const { return offset + length; }
  bool operator==(const Range&) const = default;
};

// The parts of `range` that hold data, by what the file system says of its holes
// (exactly: zeros that were written are data). All of it where it says nothing.
std::vector<Range> data_ranges(File& file, const Range& range, bool may_have_holes);

// Where the file has data next, at `offset` or behind it: `end` when there is none before
// that; `offset` itself where the file system does not say.
uint64_t next_data(File& file, uint64_t offset, uint64_t end);

// Reads ranges of a file one after the other, as if what lies between them were
// not there. Not thread-safe.
class DataStream {
 public:
  // `buffer` is borrowed, so that a thread can use one for all its files.
  DataStream(File& file, std::vector<Range> ranges, Bytes& buffer);

  // Makes at least `wanted` bytes available, unless the stream ends before.
  void ensure(size_t wanted);
  // What is available and not taken yet.
  ByteView available() const { return {buffer_.data() + begin_, end_ - begin_}; }
  // Where in the file the next byte to take stands, and how many follow without a gap.
  Range current() const;
  // Takes bytes from the front; calls `place` for each stretch of the file that they came from.
  void take(size_t length, const std::function<void(const Range&)>& place);
  bool at_end() const { return taken_ == ranges_.size(); }
  // The stream ended early: the file was cut while being read, or reading it failed.
  bool truncated() const { return truncated_; }
  // Why reading failed, if it did. Kept apart from the Results of the repository's
  // side: a bad source file is a fault, a bad repository the end of the capture.
  std::optional<Error> take_failure() { return std::exchange(failure_, std::nullopt); }

 private:
  void drop_unread();

  File& file_;
  std::vector<Range> ranges_;
  Bytes& buffer_;
  size_t begin_ = 0, end_ = 0;
  size_t taken_ = 0;          // index of the range that the next byte to take is in
  uint64_t taken_bytes_ = 0;  // of it
  size_t read_ = 0;           // the same of the next byte to read
  uint64_t read_bytes_ = 0;
  bool truncated_ = false;
  std::optional<Error> failure_;
};

}  // namespace holdfast::files
