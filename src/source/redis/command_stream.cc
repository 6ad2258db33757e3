#include "source/redis/command_stream.h"

#include <strings.h>

#include <algorithm>

namespace holdfast::redis {

namespace {

constexpr uint8_t kMaxDigits = 19;  // more would not fit 64 bits for certain

bool is_word(const std::string& name, const char* word) { return strcasecmp(name.c_str(), word) == 0; }

}  // namespace

Error CommandStream::invalid(const char* what) const {
  return make_error(ErrorCode::kInvalidData, "the command stream is no command at offset {}: {}", offset_, what);
}

Result<void> CommandStream::feed(ByteView bytes) {
  while (!bytes.empty()) bytes = bytes.subspan(TRY(step(bytes)));
  return {};
}

// Takes some of `bytes`, at least one; moves offset_ by as much.
Result<size_t> CommandStream::step(ByteView bytes) {
  switch (state_) {
    case State::kBetween: return between(bytes);
    case State::kBulkMark:
      if (bytes[0] != '$') return invalid("a word must begin with '$'");
      offset_++;
      state_ = State::kLength;
      return size_t{1};
    case State::kCount:
    case State::kLength: return number(bytes);
    case State::kBulk: return bulk(bytes);
    case State::kBulkEnd: return bulk_end(bytes);
  }
  CHECK_MSG(false, "a state that is none");
}

Result<size_t> CommandStream::between(ByteView bytes) {
  if (bytes[0] == '*') {
    began_ = offset_++;
    state_ = State::kCount;
    return size_t{1};
  }
  // An empty line is no command, and keeps a connection alive.
  if (bytes[0] != '\r' && bytes[0] != '\n') return invalid("a command must begin with '*'");
  offset_++;
  if (!in_transaction_) boundary_ = offset_;
  return size_t{1};
}

Result<size_t> CommandStream::number(ByteView bytes) {
  const uint8_t byte = bytes[0];
  if (carriage_return_) {
    if (byte != '\n') return invalid("a line must end with CR LF");
    offset_++;
    carriage_return_ = false;
    digits_ = 0;
    const bool counts = state_ == State::kCount;
    TRY(counts ? begin_command() : begin_argument());
    number_ = 0;
    return size_t{1};
  }
  if (byte == '\r' && digits_ > 0) {
    carriage_return_ = true;
  } else if (byte >= '0' && byte <= '9' && digits_ < kMaxDigits) {
    number_ = number_ * 10 + (byte - '0');
    digits_++;
  } else {
    return invalid("a count or length must be digits");
  }
  offset_++;
  return size_t{1};
}

Result<void> CommandStream::begin_command() {
  if (number_ == 0 || number_ > kMaxArguments) return invalid("a command of no words, or of too many");
  arguments_ = static_cast<uint32_t>(number_);
  argument_ = 0;
  name_.clear();
  state_ = State::kBulkMark;
  if (listener_ != nullptr) return listener_->begin_command(began_, arguments_);
  return {};
}

Result<void> CommandStream::begin_argument() {
  if (number_ > kMaxBulkBytes) return invalid("a word that is too long");
  left_bytes_ = number_;
  state_ = left_bytes_ == 0 ? State::kBulkEnd : State::kBulk;
  if (listener_ != nullptr) return listener_->begin_argument(argument_, left_bytes_);
  return {};
}

Result<size_t> CommandStream::bulk(ByteView bytes) {
  const size_t size = std::min<uint64_t>(bytes.size(), left_bytes_);
  if (argument_ == 0 && name_.size() < kNameBytes)
    name_.append(as_text(bytes.first(std::min(size, kNameBytes - name_.size()))));
  offset_ += size;
  left_bytes_ -= size;
  if (left_bytes_ == 0) state_ = State::kBulkEnd;
  if (listener_ != nullptr) TRY(listener_->argument_bytes(bytes.first(size)));
  return size;
}

Result<size_t> CommandStream::bulk_end(ByteView bytes) {
  const uint8_t expected = carriage_return_ ? '\n' : '\r';
  if (bytes[0] != expected) return invalid("a word must end with CR LF");
  offset_++;
  carriage_return_ = !carriage_return_;
  if (!carriage_return_) TRY(end_argument());
  return size_t{1};
}

Result<void> CommandStream::end_argument() {
  argument_++;
  if (argument_ < arguments_) {
    state_ = State::kBulkMark;
    return {};
  }
  state_ = State::kBetween;
  if (is_word(name_, "multi")) in_transaction_ = true;
  if (is_word(name_, "exec") || is_word(name_, "discard")) in_transaction_ = false;
  if (!in_transaction_) boundary_ = offset_;
  if (listener_ != nullptr) return listener_->end_command(offset_);
  return {};
}

}  // namespace holdfast::redis
