// A block's compressed content, with pages rearranged into columns or without. The first two bytes
// say the size that it should have.

#include "repo/block_codec.h"
#include "repo/columns.h"

namespace {

using namespace holdfast;

void try_round_trip(ByteView plain, int level) {
  Bytes packed = Bytes::zeros(repo::compress_bound(plain.size()));
  const auto size = repo::compress(plain, level, packed.mutable_view());
  if (!size) return;
  CHECK(*size < plain.size());
  Bytes again = Bytes::zeros(plain.size());
  CHECK_MSG(repo::expand(packed.view(0, *size), again.mutable_view()).ok() && equal(again, plain),
            "what was compressed must expand");
}

void try_columns(ByteView plain) {
  Bytes columns = Bytes::zeros(plain.size()), again = Bytes::zeros(plain.size());
  repo::to_columns(plain, columns.mutable_view());
  repo::from_columns(columns, again.mutable_view());
  CHECK_MSG(equal(again, plain), "columns must come back as pages");
  repo::from_columns(plain, again.mutable_view());
  repo::to_columns(again, columns.mutable_view());
  CHECK_MSG(equal(columns, plain), "whatever bytes they are");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ByteView input(data + 2, size - 2);
  // Up to 256 KiB, so that a size that is right, too small, or not of whole pages can be met.
  Bytes out = Bytes::zeros((static_cast<size_t>(data[0]) << 8 | data[1]) * 4);
  ignore(repo::expand(input, out.mutable_view()), "must not crash");
  try_columns(input);
  try_round_trip(input, 1 + data[0] % 4);
  return 0;
}
