#include "base/direct_writer.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/log.h"

namespace holdfast {
namespace {

constexpr size_t kBufferBytes = 4u << 20;

// One for each thread, kept for its next file.
thread_local std::unique_ptr<AlignedBuffer> spare_buffer;

void tell_once_of_refusal() {
  static std::atomic<bool> told = false;
  if (!told.exchange(true)) log_info("base.direct_write.refused", {{"instead", "writing through the page cache"}});
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t size) : bytes_(size + kDirectAlignment), size_(size) {
  const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
  begin_ = (kDirectAlignment - address % kDirectAlignment) % kDirectAlignment;
}

DirectWriter::DirectWriter(File& file, uint64_t expected_bytes) : file_(file) {
  if (expected_bytes < kSmallest) return;
  direct_ = file.open_direct();
  if (!is_direct()) return;
  alignment_ = direct_->alignment();
  buffer_ = spare_buffer ? std::move(spare_buffer) : std::make_unique<AlignedBuffer>(kBufferBytes);
}

DirectWriter::~DirectWriter() {
  if (buffer_) spare_buffer = std::move(buffer_);
}

Result<void> DirectWriter::end_direct() {
  if (const auto direct = std::exchange(direct_, nullptr)) return direct->close();
  return {};
}

Result<void> DirectWriter::write(uint64_t offset, ByteView bytes) {
  if (offset != begin_ + buffered_ || !is_direct()) TRY(flush());
  if (!is_direct()) return file_.write_at(offset, bytes);
  if (buffered_ == 0) {
    const size_t head = std::min<size_t>(bytes.size(), (alignment_ - offset % alignment_) % alignment_);
    if (head > 0) TRY(file_.write_at(offset, bytes.first(head)));
    begin_ = offset + head;
    bytes = bytes.subspan(head);
  }
  while (!bytes.empty()) {
    if (buffered_ == kBufferBytes) {
      TRY(flush());
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

// How many of the bytes it took; the others are for the cache.
Result<size_t> DirectWriter::write_past_cache(ByteView bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes.size() && is_direct()) {
    const auto put = TRY(direct_->write_at(offset + done, bytes.subspan(done)));
    if (put && *put > 0 && *put % alignment_ == 0) {
      done += *put;
      continue;
    }
    tell_once_of_refusal();
    TRY(end_direct());
  }
  return done;
}

Result<void> DirectWriter::flush() {
  if (buffered_ == 0) return {};
  const ByteView bytes = buffer_->view().first(std::exchange(buffered_, 0));
  const size_t whole = bytes.size() < kSmallest ? 0 : bytes.size() / alignment_ * alignment_;
  const size_t done = TRY(write_past_cache(bytes.first(whole), begin_));
  if (done == bytes.size()) return {};
  return file_.write_at(begin_ + done, bytes.subspan(done));
}

Result<void> DirectWriter::finish() {
  TRY(flush());
  return end_direct();
}

}  // namespace holdfast
