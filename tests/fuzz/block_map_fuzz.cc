#include <cstdint>

#include "source/postgres/block_map.h"

using namespace holdfast;
using namespace holdfast::postgres;

// The block map in the header of a stored segment, and the joining of two edges.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto map = decode_block_map(ByteView(data, size));
  if (!map.ok()) return 0;
  const Bytes encoded = encode_block_map(map.value());
  const auto again = decode_block_map(encoded);
  CHECK(again.ok() && equal(encode_block_map(again.value()), encoded));
  if (!map.value().tail || !map.value().lead) return 0;
  BlockMapBuilder builder;
  if (add_joined_record(*map.value().tail, *map.value().lead, map.value().major, builder))
    CHECK(decode_block_map(encode_block_map(builder.take())).ok());
  return 0;
}
