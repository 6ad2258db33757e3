// A log record's object, as it is read and damaged after it was written.

#include "fuzz_keys.h"
#include "repo/config.h"
#include "repo/key_slot.h"
#include "repo/log_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const ByteView input(data, size);
  ignore(repo::parse_log_prefix(input, "fuzz"), "must not crash");
  ignore(repo::decode_log_header(fuzz::keys(), input, "a/b", "fuzz"), "must not crash");
  ignore(repo::decode_log_body(fuzz::keys(), input, "a/b", "fuzz"), "must not crash");
  ignore(repo::decode_config(input, "fuzz"), "must not crash");
  ignore(repo::decode_slot_header(input, "fuzz"), "must not crash");
  ignore(repo::decode_slot_fields(fuzz::keys().root(), input, "fuzz"), "must not crash");
  if (size < 3) return 0;
  const auto random = seeded_random(3);
  Bytes object =
      repo::encode_log_record(fuzz::keys(), *random, "a/b", input.first(size / 4), input.subspan(size / 4), 1).value();
  const size_t at = (static_cast<size_t>(data[0]) << 8 | data[1]) % object.size();
  object[at] ^= data[2];
  const auto body = repo::decode_log_body(fuzz::keys(), object.view(), "a/b", "fuzz");
  if (body.ok()) CHECK(equal(body->view(), input.subspan(size / 4)));
  CHECK(body.ok() || data[2] != 0);
  return 0;
}
