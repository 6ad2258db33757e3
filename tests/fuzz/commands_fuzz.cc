// A log of Redis as it is read back: bodies and headers of records, and the commands in them.

#include "source/redis/command_stream.h"
#include "source/redis/frame_codec.h"

using namespace holdfast;
using namespace holdfast::redis;

namespace {

struct Told : CommandStream::Listener {
  Result<void> begin_command(uint64_t offset, uint32_t arguments) override {
    sum = sum * 31 + offset * 7 + arguments;
    return {};
  }
  Result<void> begin_argument(uint32_t index, uint64_t length_bytes) override {
    sum = sum * 31 + index * 7 + length_bytes;
    return {};
  }
  Result<void> argument_bytes(ByteView bytes) override {
    for (const uint8_t byte : bytes) sum = sum * 31 + byte;
    return {};
  }
  Result<void> end_command(uint64_t offset) override {
    sum = sum * 31 + offset;
    return {};
  }
  uint64_t sum = 0;
};

// The same in one piece and in many must say the same.
void follow(ByteView input, size_t piece_bytes) {
  Told whole_told, pieces_told;
  CommandStream whole(7, &whole_told), pieces(7, &pieces_told);
  const bool good = whole.feed(input).ok();
  bool still_good = true;
  for (size_t at = 0; at < input.size() && still_good; at += piece_bytes)
    still_good = pieces.feed(input.subspan(at, std::min(piece_bytes, input.size() - at))).ok();
  CHECK(good == still_good);
  CHECK(whole_told.sum == pieces_told.sum && whole.offset() == pieces.offset());
  CHECK(whole.boundary() <= whole.offset() && whole.boundary() == pieces.boundary());
  CHECK(whole.name().size() <= CommandStream::kNameBytes);
}

void read_frames(ByteView input) {
  uint64_t next = 3;
  const auto read = for_each_frame(input, 3, 3 + input.size() / 2, [&](const Frame& frame) -> Result<void> {
    CHECK(frame.offset == next && !frame.bytes.empty());
    next = frame.end();
    return {};
  });
  CHECK(!read.ok() || next == 3 + input.size() / 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ByteView input(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    follow(input, 1 + data[0] / 2);
    return 0;
  }
  read_frames(input);
  ignore(decode_record_header(input), "must not crash");
  ignore(decode_gap(input), "must not crash");
  ignore(decode_absence(input), "must not crash");
  const auto link = decode_link(input);
  if (link.ok()) CHECK(decode_link(encode_link(*link)).ok());
  static_cast<void>(parse_record_name(as_text(input)));
  static_cast<void>(parse_mark_name(as_text(input)));
  return 0;
}
