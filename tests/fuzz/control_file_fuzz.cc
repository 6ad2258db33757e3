// pg_control. The CRC keeps nearly all mutations out, so each input is tried a
// second time with a right CRC put where servers have it.

#include <cstring>

#include "source/postgres/control_file.h"
#include "source/postgres/crc32c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  ignore(postgres::parse_control_file(ByteView(data, size)), "must not crash");
  constexpr size_t kCrcOffset = 288;  // of 13 to 16
  Bytes bytes = Bytes::zeros(postgres::kControlFileBytes);
  std::memcpy(bytes.data(), data, std::min(size, kCrcOffset));
  const uint32_t crc =
      postgres::crc32c_finish(postgres::crc32c_update(postgres::kCrc32cStart, bytes.view(0, kCrcOffset)));
  std::memcpy(bytes.data() + kCrcOffset, &crc, sizeof crc);
  const auto control = postgres::parse_control_file(bytes);
  if (control.ok()) CHECK(control.value().segment_bytes >= 1u << 20);
  return 0;
}
