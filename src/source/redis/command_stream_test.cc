#include "source/redis/command_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "source/redis/connection.h"

namespace holdfast::redis {
namespace {

// Writes down what it is told.
class Notes : public CommandStream::Listener {
 public:
  Result<void> begin_command(uint64_t offset, uint32_t arguments) override {
    text += fmt::format("[{}:{}", offset, arguments);
    return {};
  }
  Result<void> begin_argument(uint32_t index, uint64_t length_bytes) override {
    text += fmt::format(" {}={}:", index, length_bytes);
    return {};
  }
  Result<void> argument_bytes(ByteView bytes) override {
    text += as_text(bytes);
    return {};
  }
  Result<void> end_command(uint64_t offset) override {
    text += fmt::format("]{}", offset);
    return {};
  }
  std::string text;
};

std::string commands(const std::vector<std::vector<std::string_view>>& all) {
  std::string text;
  for (const auto& words : all) text += as_text(encode_command(words));
  return text;
}

std::string error_of(std::string_view text) {
  CommandStream stream(100);
  const auto fed = stream.feed(as_bytes(text));
  return fed.ok() ? "" : fed.error().message();
}

TEST(CommandStream, TellsCommandsAndWords) {
  Notes notes;
  CommandStream stream(1000, &notes);
  ASSERT_TRUE(stream.feed(as_bytes(commands({{"SET", "a", "1\r\n2"}, {"PING"}, {"SET", "b", ""}}))).ok());
  EXPECT_EQ(notes.text, "[1000:3 0=3:SET 1=1:a 2=4:1\r\n2]1030[1030:1 0=4:PING]1044[1044:3 0=3:SET 1=1:b 2=0:]1070");
  EXPECT_EQ(stream.offset(), 1070u);
  EXPECT_TRUE(stream.at_boundary());
  EXPECT_EQ(stream.name(), "SET");
}

TEST(CommandStream, SaysTheSameHoweverItIsCut) {
  const std::string text = commands({{"SELECT", "3"}, {"MULTI"}, {"SET", "key", std::string(5000, 'x')}, {"EXEC"}});
  const auto told = [&](size_t piece_bytes) {
    Notes notes;
    CommandStream stream(7, &notes);
    for (size_t at = 0; at < text.size(); at += piece_bytes)
      EXPECT_TRUE(stream.feed(as_bytes(std::string_view(text).substr(at, piece_bytes))).ok());
    return notes.text + fmt::format(" {} {}", stream.offset(), stream.boundary());
  };
  const std::string whole = told(text.size());
  for (const size_t piece_bytes : {1, 2, 3, 7, 64, 1000}) EXPECT_EQ(told(piece_bytes), whole) << piece_bytes;
}

TEST(CommandStream, ATransactionHasNoBoundaryWithin) {
  CommandStream stream(0);
  const std::string before = commands({{"SET", "a", "1"}});
  const std::string inside = commands({{"multi"}, {"SET", "b", "2"}});
  ASSERT_TRUE(stream.feed(as_bytes(before + inside)).ok());
  EXPECT_FALSE(stream.at_boundary());
  EXPECT_EQ(stream.boundary(), before.size());
  const std::string end = commands({{"EXEC"}});
  ASSERT_TRUE(stream.feed(as_bytes(end)).ok());
  EXPECT_TRUE(stream.at_boundary());
  EXPECT_EQ(stream.boundary(), (before + inside + end).size());
}

TEST(CommandStream, AHalfCommandLeavesTheBoundaryInFrontOfIt) {
  CommandStream stream(0);
  const std::string whole = commands({{"SET", "a", "1"}});
  ASSERT_TRUE(stream.feed(as_bytes(whole + "*3\r\n$3\r\nSE")).ok());
  EXPECT_EQ(stream.boundary(), whole.size());
  EXPECT_FALSE(stream.at_boundary());
}

TEST(CommandStream, EmptyLinesBetweenCommandsAreNothing) {
  Notes notes;
  CommandStream stream(0, &notes);
  ASSERT_TRUE(stream.feed(as_bytes("\n\r\n*1\r\n$4\r\nPING\r\n\n")).ok());
  EXPECT_EQ(notes.text, "[3:1 0=4:PING]17");
  EXPECT_EQ(stream.boundary(), 18u);
}

TEST(CommandStream, RefusesWhatIsNoCommand) {
  EXPECT_EQ(error_of("SET a 1\r\n"), "the command stream is no command at offset 100: a command must begin with '*'");
  EXPECT_EQ(error_of("*1\r\n+PING\r\n"), "the command stream is no command at offset 104: a word must begin with '$'");
  EXPECT_EQ(error_of("*x\r\n"), "the command stream is no command at offset 101: a count or length must be digits");
  EXPECT_EQ(error_of("*\r\n"), "the command stream is no command at offset 101: a count or length must be digits");
  EXPECT_EQ(error_of("*-1\r\n"), "the command stream is no command at offset 101: a count or length must be digits");
  EXPECT_EQ(error_of("*1\rx"), "the command stream is no command at offset 103: a line must end with CR LF");
  EXPECT_EQ(error_of("*0\r\n"),
            "the command stream is no command at offset 104: a command of no words, or of too many");
  EXPECT_EQ(error_of("*1\r\n$99999999999\r\n"),
            "the command stream is no command at offset 118: a word that is too long");
  EXPECT_EQ(error_of("*1\r\n$1\r\nab"), "the command stream is no command at offset 109: a word must end with CR LF");
  EXPECT_EQ(error_of("*12345678901234567890123"),
            "the command stream is no command at offset 120: a count or length must be digits");
}

TEST(CommandStream, AnErrorOfTheListenerEndsIt) {
  class Refuses : public Notes {
    Result<void> end_command(uint64_t) override { return make_error(ErrorCode::kServer, "no"); }
  } refuses;
  CommandStream stream(0, &refuses);
  const auto fed = stream.feed(as_bytes(commands({{"PING"}})));
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().message(), "no");
}

TEST(CommandStream, HoldsNoMoreOfAValueThanIsFed) {
  CommandStream stream(0);
  const uint64_t size = 3ull << 30;
  ASSERT_TRUE(stream.feed(as_bytes(fmt::format("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", size))).ok());
  const Bytes piece = Bytes::zeros(64 << 20);
  for (uint64_t fed = 0; fed < size; fed += piece.size()) ASSERT_TRUE(stream.feed(piece).ok());
  EXPECT_FALSE(stream.at_boundary());
  ASSERT_TRUE(stream.feed(as_bytes("\r\n")).ok());
  EXPECT_TRUE(stream.at_boundary());
}

}  // namespace
}  // namespace holdfast::redis
