#include "source/files/data_stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace holdfast::files {
namespace {

// Small enough that what was read is still in the cache when it is cut and hashed.
constexpr size_t kReadBytes = 512u << 10;

}  // namespace

std::vector<Range> data_ranges(File& file, const Range& range, bool may_have_holes) {
  const int descriptor = file.descriptor();
  if (range.length == 0) return {};
  if (!may_have_holes || descriptor < 0) return {range};
  std::vector<Range> ranges;
  uint64_t at = range.offset;
  while (at < range.end()) {
    const off_t data = lseek(descriptor, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // no data from here on
    if (data < 0) return {range};
    const off_t hole = lseek(descriptor, data, SEEK_HOLE);
    if (hole < 0) return {range};
    const uint64_t begin = std::max<uint64_t>(static_cast<uint64_t>(data), at);
    const uint64_t end = std::min(static_cast<uint64_t>(hole), range.end());
    if (begin >= range.end()) break;
    ranges.push_back({begin, end - begin});
    at = end;
  }
  return ranges;
}

uint64_t next_data(File& file, uint64_t offset, uint64_t end) {
  if (file.descriptor() < 0 || offset >= end) return offset;
  const off_t data = lseek(file.descriptor(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? end : offset;
  return std::clamp(static_cast<uint64_t>(data), offset, end);
}

DataStream::DataStream(File& file, std::vector<Range> ranges, Bytes& buffer)
    : file_(file), ranges_(std::move(ranges)), buffer_(buffer) {}

Range DataStream::current() const {
  if (at_end()) return {};
  return {ranges_[taken_].offset + taken_bytes_, ranges_[taken_].length - taken_bytes_};
}

void DataStream::ensure(size_t wanted) {
  while (end_ - begin_ < wanted && read_ < ranges_.size()) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (begin_ + wanted + kReadBytes > buffer_.size()) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      if (wanted + kReadBytes > buffer_.size()) buffer_.resize(wanted + kReadBytes);
    }
    const Range& range = ranges_[read_];
    const size_t size = std::min<uint64_t>(kReadBytes, range.length - read_bytes_);
    auto read = file_.read_at(range.offset + read_bytes_, {buffer_.data() + end_, size});
    const size_t got = read.ok() ? read.value() : 0;
    if (!read.ok()) failure_ = std::move(read).error();
    end_ += got;
    read_bytes_ += got;
    if (got < size) {
      truncated_ = true;
      drop_unread();
    } else if (read_bytes_ == range.length) {
      read_++;
      read_bytes_ = 0;
    }
  }
}

void DataStream::drop_unread() {
  ranges_[read_].length = read_bytes_;
  ranges_.resize(read_bytes_ > 0 ? read_ + 1 : read_);
  read_ = ranges_.size();
  if (taken_ < ranges_.size() && taken_bytes_ == ranges_[taken_].length) {
    taken_++;
    taken_bytes_ = 0;
  }
}

void DataStream::take(size_t length, const std::function<void(const Range&)>& place) {
  CHECK(length <= end_ - begin_);
  begin_ += length;
  while (length > 0) {
    const Range here = current();
    const size_t part = std::min<uint64_t>(length, here.length);
    place({here.offset, part});
    length -= part;
    taken_bytes_ += part;
    if (taken_bytes_ == ranges_[taken_].length) {
      taken_++;
      taken_bytes_ = 0;
    }
  }
}

}  // namespace holdfast::files
