#include "source/redis/rdb_stream.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "source/redis/crc64.h"

namespace holdfast::redis {

namespace {

constexpr Duration kSlice = Duration::seconds(1);
constexpr int kSilentSlices = 60;                      // that are too many: what Redis itself waits
constexpr Duration kPatience = Duration::seconds(60);  // for the RDB to begin: empty lines come meanwhile

}  // namespace

// ---- RdbCheck

Result<void> RdbCheck::check_head() {
  const std::string_view head = as_text(head_);
  const auto [end, problem] = std::from_chars(head.data() + 5, head.data() + kHeadBytes, version_);
  if (head.starts_with("REDIS") && problem == std::errc() && end == head.data() + kHeadBytes) return {};
  return make_error(ErrorCode::kInvalidData, "what the Redis server sends is no RDB: it does not begin with REDIS");
}

Result<void> RdbCheck::feed(ByteView bytes) {
  if (size_bytes_ < kHeadBytes) {
    const size_t size = std::min<size_t>(bytes.size(), kHeadBytes - size_bytes_);
    std::copy_n(bytes.begin(), size, head_.begin() + static_cast<ptrdiff_t>(size_bytes_));
    if (size_bytes_ + size == kHeadBytes) TRY(check_head());
  }
  size_bytes_ += bytes.size();
  // The last eight bytes are the checksum, and nobody knows yet which are the last.
  if (bytes.size() >= last_.size()) {
    crc_ = crc64(crc_, ByteView(last_.data(), last_bytes_));
    crc_ = crc64(crc_, bytes.first(bytes.size() - last_.size()));
    std::copy(bytes.end() - static_cast<ptrdiff_t>(last_.size()), bytes.end(), last_.begin());
    last_bytes_ = last_.size();
    return {};
  }
  const size_t excess = last_bytes_ + bytes.size() > last_.size() ? last_bytes_ + bytes.size() - last_.size() : 0;
  crc_ = crc64(crc_, ByteView(last_.data(), excess));
  std::memmove(last_.data(), last_.data() + excess, last_bytes_ - excess);
  std::copy(bytes.begin(), bytes.end(), last_.begin() + static_cast<ptrdiff_t>(last_bytes_ - excess));
  last_bytes_ += bytes.size() - excess;
  return {};
}

Result<void> RdbCheck::finish() {
  if (size_bytes_ < kHeadBytes + 1 + last_.size())
    return make_error(ErrorCode::kInvalidData, "the RDB ends after {} bytes", size_bytes_);
  uint64_t stored = 0;
  for (size_t i = 0; i < last_.size(); i++) stored |= static_cast<uint64_t>(last_[i]) << (8 * i);
  has_checksum_ = stored != 0;
  if (!has_checksum_ || stored == crc_) return {};
  return make_error(ErrorCode::kInvalidData,
                    "the RDB of {} bytes is not what was sent: its checksum is {:016x}, not {:016x}", size_bytes_, crc_,
                    stored)
      .with_retryable();
}

// ---- RdbStream

Result<RdbStream> RdbStream::begin(ServerSession& session) {
  const std::string line = TRY(session.read_line(kPatience));
  RdbStream stream(session);
  if (line.starts_with("$EOF:") && line.size() == 5 + kMarkBytes) {
    stream.mark_ = line.substr(5);
    return stream;
  }
  const auto [end, problem] = std::from_chars(line.data() + 1, line.data() + line.size(), stream.left_bytes_);
  if (!line.starts_with('$') || problem != std::errc() || end != line.data() + line.size()) {
    if (line.starts_with('-')) return server_error("PSYNC", line.substr(1));
    return make_error(ErrorCode::kInvalidData, "the Redis server sends '{}' where the RDB is due", line.substr(0, 80));
  }
  stream.announced_bytes_ = stream.left_bytes_;
  return stream;
}

// Waits until something comes.
Result<size_t> RdbStream::receive(MutableByteView out) {
  for (int i = 0; i < kSilentSlices; i++) {
    if (const size_t got = TRY(session_->read_some(out, kSlice)); got > 0) return got;
  }
  return make_error(ErrorCode::kTimeout, "the Redis server sent nothing of its RDB for {} s", kSilentSlices)
      .with_retryable();
}

Result<size_t> RdbStream::read(MutableByteView out) {
  CHECK(out.size() > 2 * kMarkBytes);
  if (ended_) return size_t{0};
  const size_t got = TRY_CONTEXT(mark_.empty() ? read_counted(out) : read_marked(out), "after {} bytes of the RDB",
                                 check_.size_bytes());
  TRY(check_.feed(out.first(got)));
  if (got == 0) {
    ended_ = true;
    TRY(check_.finish());
  }
  return got;
}

Result<size_t> RdbStream::read_counted(MutableByteView out) {
  if (left_bytes_ == 0) return size_t{0};
  const size_t got = TRY(receive(out.first(std::min<uint64_t>(out.size(), left_bytes_))));
  left_bytes_ -= got;
  return got;
}

Result<size_t> RdbStream::read_marked(MutableByteView out) {
  if (mark_found_) return size_t{0};
  size_t size = held_.size();
  std::copy(held_.begin(), held_.end(), out.begin());
  held_.clear();
  while (true) {
    size += TRY(receive(out.subspan(size)));
    const ByteView here = out.first(size);
    const void* const found = memmem(here.data(), here.size(), mark_.data(), mark_.size());
    if (found != nullptr) {
      const size_t end = static_cast<size_t>(static_cast<const uint8_t*>(found) - here.data());
      session_->put_back(here.subspan(end + kMarkBytes));
      mark_found_ = true;
      return end;
    }
    if (size < kMarkBytes) continue;
    held_ = Bytes::copy_of(here.subspan(size - (kMarkBytes - 1)));
    return size - (kMarkBytes - 1);
  }
}

}  // namespace holdfast::redis
