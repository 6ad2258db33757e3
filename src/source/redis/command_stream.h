#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::redis {

// Follows a stream of commands as a master sends them to its replicas (arrays of
// bulk strings) and tells where commands and transactions begin and end. Fed piece
// by piece, cut anywhere; holds no more than a line and a command's name, whatever
// the size of a value. Not thread-safe.
class CommandStream {
 public:
  static constexpr uint32_t kMaxArguments = 64u << 20;
  static constexpr uint64_t kMaxBulkBytes = 4ull << 30;  // beyond proto-max-bulk-len's default of 512 MiB
  static constexpr size_t kNameBytes = 32;               // of a command's name that are kept

  // What a reader is told. An error ends feed() with it.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A command of so many arguments (its name is the first) begins at `offset`.
    virtual Result<void> begin_command(uint64_t offset, uint32_t arguments) = 0;
    // Argument `index` of this many bytes begins; its bytes follow, in pieces.
    virtual Result<void> begin_argument(uint32_t index, uint64_t length_bytes) = 0;
    virtual Result<void> argument_bytes(ByteView bytes) = 0;
    // The command ended; `offset` is behind it.
    virtual Result<void> end_command(uint64_t offset) = 0;
  };

  // `offset`: of the first byte, which begins a command. `listener` may be null;
  // otherwise it must outlive this.
  explicit CommandStream(uint64_t offset, Listener* listener = nullptr) : offset_(offset), listener_(listener) {
    boundary_ = offset;
  }

  // Takes all of `bytes`. kInvalidData names the offset where it is no command;
  // nothing can be fed after an error.
  Result<void> feed(ByteView bytes);

  uint64_t offset() const { return offset_; }  // behind the last byte fed
  // Between commands, and not between MULTI and its EXEC.
  bool at_boundary() const { return state_ == State::kBetween && !in_transaction_; }
  // The last place at which at_boundary() was true: replay may stop there.
  uint64_t boundary() const { return boundary_; }
  // Name of the present or last command, as sent, cut to kNameBytes.
  const std::string& name() const { return name_; }

 private:
  enum class State : uint8_t { kBetween, kCount, kBulkMark, kLength, kBulk, kBulkEnd };
  Result<size_t> step(ByteView bytes);
  Result<size_t> between(ByteView bytes);
  Result<size_t> number(ByteView bytes);
  Result<size_t> bulk(ByteView bytes);
  Result<size_t> bulk_end(ByteView bytes);
  Result<void> begin_command();
  Result<void> begin_argument();
  Result<void> end_argument();
  Error invalid(const char* what) const;

  uint64_t offset_;
  Listener* listener_;
  State state_ = State::kBetween;
  uint64_t began_ = 0;  // offset of the present command
  uint64_t boundary_ = 0;
  uint64_t number_ = 0;  // being read
  uint8_t digits_ = 0;   // of it that were read
  bool carriage_return_ = false;
  uint32_t arguments_ = 0, argument_ = 0;
  uint64_t left_bytes_ = 0;  // of the present argument
  bool in_transaction_ = false;
  std::string name_;
};

}  // namespace holdfast::redis
