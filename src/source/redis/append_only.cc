#include "source/redis/append_only.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "source/redis/command_stream.h"
#include "source/redis/connection.h"

namespace holdfast::redis {
namespace {

constexpr std::string_view kLeftOut[] = {"PING", "REPLCONF", "PUBLISH", "SPUBLISH"};
constexpr size_t kLongestLeftOut = 8;

constexpr size_t kMostDigits = 9;  // of a database's number

std::string upper(std::string name) {
  for (char& letter : name) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return name;
}

bool is_left_out(const std::string& name) {
  return std::find(std::begin(kLeftOut), std::end(kLeftOut), upper(name)) != std::end(kLeftOut);
}

// Writes commands out again as they are parsed. What it leaves out it knows by the name,
// so a command's beginning is held back until that is whole.
class CommandWriter : public CommandStream::Listener {
 public:
  explicit CommandWriter(FileSink& sink) : sink_(sink) {}
  const WrittenCommands& written() const { return written_; }

  Result<void> begin_command(uint64_t, uint32_t arguments) override {
    held_ = fmt::format("*{}\r\n", arguments);
    name_.clear();
    database_.clear();
    state_ = State::kHeld;
    return {};
  }

  Result<void> begin_argument(uint32_t index, uint64_t length_bytes) override {
    if (index > 0) TRY(end_argument());
    argument_ = index;
    const std::string line = fmt::format("${}\r\n", length_bytes);
    if (index == 0) {
      held_ += line;
      if (length_bytes > kLongestLeftOut) return pass();
      return {};
    }
    return put(line);
  }

  Result<void> argument_bytes(ByteView bytes) override {
    if (state_ == State::kHeld) {
      name_.append(as_text(bytes));
      return {};
    }
    if (argument_ == 1 && database_.size() < kMostDigits)
      database_ += as_text(bytes.first(std::min(bytes.size(), kMostDigits)));
    return put(as_text(bytes));
  }

  Result<void> end_command(uint64_t) override {
    TRY(end_argument());
    if (state_ == State::kPassing) written_.commands++;
    if (upper(name_) == "SELECT") {
      const auto db = static_cast<uint32_t>(std::strtoul(database_.c_str(), nullptr, 10));
      written_.largest_db = std::max(written_.largest_db, db);
    }
    return {};
  }

 private:
  enum class State { kHeld, kPassing, kLeavingOut };

  Result<void> put(std::string_view text) {
    return state_ == State::kLeavingOut ? Result<void>() : sink_.append(as_bytes(text));
  }

  Result<void> pass() {
    state_ = State::kPassing;
    TRY(put(held_));
    return put(name_);
  }

  Result<void> end_argument() {
    if (state_ == State::kHeld) {
      if (is_left_out(name_)) {
        state_ = State::kLeavingOut;
      } else {
        TRY(pass());
      }
    }
    return put("\r\n");
  }

  FileSink& sink_;
  std::string held_, name_, database_;
  uint32_t argument_ = 0;
  State state_ = State::kHeld;
  WrittenCommands written_;
};

}  // namespace

std::string append_part_name(unsigned sequence) { return fmt::format("appendonly.aof.{}.incr.aof", sequence); }

std::string append_manifest(unsigned parts) {
  std::string text = fmt::format("file {} seq 1 type b\n", kAppendBase);
  for (unsigned part = 1; part <= parts; part++)
    text += fmt::format("file {} seq {} type i\n", append_part_name(part), part);
  return text;
}

Result<WrittenCommands> write_commands(CommandLog& log, const Position& from, uint64_t to, uint32_t first_db,
                                       FileSink& sink) {
  TRY(sink.append(encode_command({"SELECT", std::to_string(first_db)})));
  CommandWriter writer(sink);
  CommandStream commands(from.offset, &writer);
  LogUntil until;
  until.offset = to;
  if (to > from.offset) TRY(log.read(from, until, [&](const Frame& frame) { return commands.feed(frame.bytes); }));
  if (!commands.at_boundary() || commands.offset() != to) {
    return make_error(ErrorCode::kInvalidData, "the commands up to offset {} end at {} within a command or transaction",
                      to, commands.offset());
  }
  WrittenCommands written = writer.written();
  written.largest_db = std::max(written.largest_db, first_db);
  return written;
}

}  // namespace holdfast::redis
