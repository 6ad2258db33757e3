// What a server sends in a base backup: messages, and tar archives in pieces.

#include "source/postgres/base_backup.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  ignore(postgres::parse_archive_message(ByteView(data, size)), "must not crash");
  if (size == 0) return 0;
  const size_t piece = 1 + data[0] * 16u;
  size_t at = 1;
  postgres::TarReader tar([&]() -> Result<ByteView> {
    const size_t length = std::min(piece, size - at);
    at += length;
    return ByteView(data + at - length, length);
  });
  Bytes buffer(4096);
  while (true) {
    const auto member = tar.next();
    if (!member.ok() || !member.value()) return 0;
    CHECK(!member.value()->path.starts_with('/'));
    while (true) {
      const auto got = tar.read(buffer.mutable_view());
      if (!got.ok()) return 0;
      if (got.value() < buffer.size()) break;
    }
  }
}
