#include "base/direct_writer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/places.h"

namespace holdfast {
namespace {

constexpr size_t kBufferBytes = 4u << 20;
constexpr uint64_t kLargestAlignment = 1u << 20;

// One for each thread, kept for its next file.
thread_local std::unique_ptr<AlignedBuffer> spare_buffer;

// Not FUSE, which may tell of what it could not store when a descriptor is closed, nor btrfs,
// which compresses nothing that passes the cache.
bool is_for_direct_writes(int descriptor) {
  struct statfs status{};
  return ::fstatfs(descriptor, &status) == 0 && status.f_type != FUSE_SUPER_MAGIC && status.f_type != BTRFS_SUPER_MAGIC;
}

// A second descriptor of the file, for direct writes alone; -1 where there can be none.
int open_direct(int descriptor) {
  if (descriptor < 0 || !descriptors_have_paths() || !is_for_direct_writes(descriptor)) return -1;
  return ::open(fmt::format("/proc/self/fd/{}", descriptor).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t size) : bytes_(size + kDirectAlignment), size_(size) {
  const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
  begin_ = (kDirectAlignment - address % kDirectAlignment) % kDirectAlignment;
}

DirectWriter::DirectWriter(File& file, uint64_t expected_bytes) : file_(file) {
  if (expected_bytes < kSmallest) return;
  struct stat status{};
  descriptor_ = open_direct(file.descriptor());
  if (!is_direct()) return;
  const bool known = ::fstat(descriptor_, &status) == 0 && status.st_blksize > 0;
  const uint64_t block = known ? static_cast<uint64_t>(status.st_blksize) : 0;
  if (!std::has_single_bit(block) || block > kLargestAlignment) {
    end_direct();
    return;
  }
  alignment_ = std::max(kDirectAlignment, block);
  buffer_ = spare_buffer ? std::move(spare_buffer) : std::make_unique<AlignedBuffer>(kBufferBytes);
}

DirectWriter::~DirectWriter() {
  end_direct();
  if (buffer_) spare_buffer = std::move(buffer_);
}

void DirectWriter::end_direct() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Result<void> DirectWriter::write(uint64_t offset, ByteView bytes) {
  if (offset != begin_ + buffered_ || !is_direct()) TRY(finish());
  if (!is_direct()) return file_.write_at(offset, bytes);
  if (buffered_ == 0) {
    const size_t head = std::min<size_t>(bytes.size(), (alignment_ - offset % alignment_) % alignment_);
    if (head > 0) TRY(file_.write_at(offset, bytes.first(head)));
    begin_ = offset + head;
    bytes = bytes.subspan(head);
  }
  while (!bytes.empty()) {
    if (buffered_ == kBufferBytes) {
      TRY(finish());
      begin_ += kBufferBytes;
    }
    const MutableByteView room = buffer_->view().subspan(buffered_);
    const size_t step = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), step);
    buffered_ += step;
    bytes = bytes.subspan(step);
  }
  return {};
}

// How many of the bytes it took. Whatever keeps it from more, the same write through the
// cache tells it, by the file's name.
size_t DirectWriter::write_past_cache(ByteView bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes.size() && is_direct()) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put > 0 && static_cast<size_t>(put) % alignment_ == 0)
      done += static_cast<size_t>(put);
    else
      end_direct();
  }
  return done;
}

Result<void> DirectWriter::finish() {
  if (buffered_ == 0) return {};
  const ByteView bytes = buffer_->view().first(std::exchange(buffered_, 0));
  const size_t whole = bytes.size() < kSmallest ? 0 : bytes.size() / alignment_ * alignment_;
  const size_t done = write_past_cache(bytes.first(whole), begin_);
  if (done == bytes.size()) return {};
  return file_.write_at(begin_ + done, bytes.subspan(done));
}

}  // namespace holdfast
