#include "source/redis/frame_codec.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast::redis {
namespace {

const std::string kOne(40, '1'), kTwo(40, '2');
Time at(int64_t seconds) { return Time::from_unix_seconds(seconds); }

CommandLog::Record three_frames() {
  FrameWriter writer;
  writer.begin(1000);
  writer.add(at(10), as_bytes("abc"));
  writer.add(at(10), as_bytes("de"));
  writer.add(at(12), as_bytes("f"));
  return writer.take(kOne);
}

std::string read_back(ByteView body, uint64_t from, uint64_t to) {
  std::string text;
  const auto read = for_each_frame(body, from, to, [&](const Frame& frame) -> Result<void> {
    text += fmt::format("{}@{}:{} ", frame.offset, frame.received.unix_seconds(), as_text(frame.bytes));
    return {};
  });
  return read.ok() ? text : read.error().message();
}

TEST(FrameCodec, ReadsWhatItWrote) {
  const auto record = three_frames();
  EXPECT_EQ(record.from, 1000u);
  EXPECT_EQ(record.to, 1006u);
  EXPECT_EQ(record.first, at(10));
  EXPECT_EQ(record.last, at(12));
  EXPECT_EQ(read_back(record.body, 1000, 1006), "1000@10:abc 1003@10:de 1005@12:f ");
}

TEST(FrameCodec, TheWriterGoesOnBehindARecord) {
  FrameWriter writer;
  writer.begin(5);
  writer.add(at(1), as_bytes("xy"));
  const auto first = writer.take(kOne);
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.from(), 7u);
  writer.add(at(2), as_bytes("z"));
  const auto second = writer.take(kOne);
  EXPECT_EQ(second.from, first.to);
  EXPECT_EQ(read_back(second.body, 7, 8), "7@2:z ");
}

TEST(FrameCodec, BodiesBehindEachOtherAreOneBody) {
  FrameWriter writer;
  writer.begin(0);
  writer.add(at(1), as_bytes("a"));
  Bytes body = writer.take(kOne).body;
  writer.add(at(2), as_bytes("b"));
  body.append(writer.take(kOne).body.view());
  EXPECT_EQ(read_back(body, 0, 2), "0@1:a 1@2:b ");
}

TEST(FrameCodec, RefusesWhatDoesNotAddUp) {
  const auto record = three_frames();
  EXPECT_EQ(read_back(record.body, 999, 1006), "a frame at offset 1000 stands where 999 is due");
  EXPECT_EQ(read_back(record.body, 1000, 1005), "the frames reach beyond offset 1005, where they end");
  EXPECT_EQ(read_back(record.body, 1000, 1007), "the frames end at offset 1006 instead of 1007");
  FrameWriter later, earlier;
  later.begin(0);
  later.add(at(2), as_bytes("a"));
  earlier.begin(1);
  earlier.add(at(1), as_bytes("b"));
  Bytes body = later.take(kOne).body;
  body.append(earlier.take(kOne).body.view());
  EXPECT_EQ(read_back(body, 0, 2), "the frame at offset 1 was received before the one in front of it");
}

TEST(FrameCodec, EveryTruncationIsAnError) {
  const auto record = three_frames();
  for (size_t size = 0; size < record.body.size(); size++) {
    const auto read =
        for_each_frame(record.body.view(0, size), 1000, 1006, [](const Frame&) { return Result<void>(); });
    EXPECT_FALSE(read.ok()) << size;
  }
}

TEST(FrameCodec, HeadersAndWhatStandsBetween) {
  const RecordHeader header{7, 9, at(1), at(2)};
  const auto read = decode_record_header(encode_record_header(header));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->to, 9u);
  EXPECT_EQ(read->last, at(2));
  const auto link = decode_link(encode_link({kOne, kTwo, 55, at(3)}));
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->from, kOne);
  EXPECT_EQ(link->to, kTwo);
  EXPECT_EQ(link->offset, 55u);
  const auto gap = decode_gap(encode_gap({{kOne, 5}, at(1), {kTwo, 6}, at(2), "why"}));
  ASSERT_TRUE(gap.ok());
  EXPECT_EQ(gap->to.offset, 6u);
  EXPECT_EQ(gap->reason, "why");
  const auto absence = decode_absence(encode_absence({kOne, 1, 2, at(1), at(2)}));
  ASSERT_TRUE(absence.ok());
  EXPECT_EQ(absence->to_instant, at(2));
}

TEST(FrameCodec, RefusesOtherVersionsAndChangedBytes) {
  Bytes header = encode_record_header({7, 9, at(1), at(2)});
  header[0] = 2;
  EXPECT_EQ(decode_record_header(header).error().code(), ErrorCode::kNewerFormat);
  EXPECT_FALSE(decode_record_header(encode_record_header({9, 7, at(1), at(2)})).ok());
  EXPECT_FALSE(decode_link(encode_link({kOne, kOne, 55, at(3)})).ok());
  EXPECT_FALSE(decode_link(encode_link({"short", kTwo, 55, at(3)})).ok());
}

TEST(FrameCodec, NamesOfRecords) {
  EXPECT_EQ(record_name(255, 4096), "00000000000000ff-0000000000001000");
  const auto span = parse_record_name("00000000000000ff-0000000000001000");
  ASSERT_TRUE(span.has_value());
  EXPECT_EQ(span->to, 4096u);
  for (const char* name : {"", "00000000000000ff-00000000000000ff", "00000000000000fg-0000000000001000",
                           "link-00000000000000ff", "00000000000000ff_0000000000001000"})
    EXPECT_FALSE(parse_record_name(name).has_value()) << name;
  const auto mark = parse_mark_name(mark_name(77, at(9)));
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->offset, 77u);
  EXPECT_EQ(mark->time, at(9));
}

}  // namespace
}  // namespace holdfast::redis
