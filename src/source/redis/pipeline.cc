#include "source/redis/pipeline.h"

namespace holdfast::redis {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr uint64_t kMostBytesAhead = 4 << 20;
constexpr size_t kMostCommandsAhead = 2048;

}  // namespace

Result<void> Pipeline::send(const std::vector<std::string_view>& words, OnReply on_reply) {
  TRY(write(encode_command(words)));
  return end(std::move(on_reply));
}

Result<void> Pipeline::write(ByteView bytes) {
  bytes_ += bytes.size();
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? Result<void>() : flush();
}

Result<void> Pipeline::end(OnReply on_reply) {
  pending_.push_back({bytes_, std::move(on_reply)});
  ahead_ += bytes_;
  bytes_ = 0;
  if (ahead_ <= kMostBytesAhead && pending_.size() <= kMostCommandsAhead) return {};
  TRY(flush());
  while (ahead_ > kMostBytesAhead / 2 || pending_.size() > kMostCommandsAhead / 2) {
    TRY(receive());
  }
  return {};
}

Result<void> Pipeline::flush() {
  TRY(session_.write(buffer_));
  buffer_.clear();
  return {};
}

Result<void> Pipeline::receive() {
  Reply reply = TRY(session_.receive());
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  ahead_ -= pending.bytes;
  return pending.on_reply(reply);
}

Result<void> Pipeline::drain() {
  TRY(flush());
  while (!pending_.empty()) TRY(receive());
  return {};
}

}  // namespace holdfast::redis
