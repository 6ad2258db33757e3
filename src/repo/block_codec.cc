#include "repo/block_codec.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "repo/columns.h"

namespace holdfast::repo {

namespace {

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeExpander {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Content that begins with these bytes was rearranged before it was compressed; no
// zstd frame begins so.
constexpr std::array<uint8_t, 4> kColumnsMagic = {'H', 'F', 'C', '1'};
// Below this the two trials would cost as much as what they can save.
constexpr size_t kSmallestTried = 64 << 10;
constexpr size_t kSamplePages = 4;
constexpr int kSampleLevel = 1;

// Scratch of each thread for rearranged bytes.
MutableByteView scratch(size_t size) {
  thread_local Bytes bytes;
  if (bytes.size() < size) bytes = Bytes(size);
  return bytes.mutable_view().first(size);
}

size_t zstd_compress(ByteView plain, int level, MutableByteView out) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  CHECK(context != nullptr);
  return ZSTD_compressCCtx(context.get(), out.data(), out.size(), plain.data(), plain.size(), level);
}

// Whether a few pages of `plain` come out a good deal smaller as columns.
bool columns_help(ByteView plain) {
  if (plain.size() < kSmallestTried) return false;
  constexpr size_t kSampleBytes = kSamplePages * kColumnsPageBytes;
  uint8_t sample[kSampleBytes], columns[kSampleBytes], out[kSampleBytes + kSampleBytes / 64];
  const size_t step = plain.size() / kColumnsPageBytes / kSamplePages * kColumnsPageBytes;
  for (size_t i = 0; i < kSamplePages; i++)
    std::memcpy(sample + i * kColumnsPageBytes, plain.data() + i * step, kColumnsPageBytes);
  to_columns(sample, columns);
  const size_t as_it_is = zstd_compress(sample, kSampleLevel, out),
               rearranged = zstd_compress(columns, kSampleLevel, out);
  if (ZSTD_isError(rearranged)) return false;
  return ZSTD_isError(as_it_is) || rearranged + rearranged / 4 < as_it_is;
}

Result<void> zstd_expand(ByteView compressed, MutableByteView out) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeExpander> context(ZSTD_createDCtx());
  CHECK(context != nullptr);
  const size_t size = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), compressed.data(), compressed.size());
  if (ZSTD_isError(size)) {
    return make_error(ErrorCode::kInvalidData, "the compressed bytes do not expand: {}", ZSTD_getErrorName(size));
  }
  if (size != out.size()) {
    return make_error(ErrorCode::kInvalidData, "the compressed bytes expand to {} bytes instead of {}", size,
                      out.size());
  }
  return {};
}

}  // namespace

size_t compress_bound(size_t size) { return kColumnsMagic.size() + ZSTD_compressBound(size); }

std::optional<size_t> compress(ByteView plain, int level, MutableByteView out) {
  size_t prefix = 0;
  ByteView content = plain;
  if (columns_help(plain)) {
    const MutableByteView columns = scratch(plain.size());
    to_columns(plain, columns);
    content = columns;
    prefix = kColumnsMagic.size();
    std::memcpy(out.data(), kColumnsMagic.data(), prefix);
  }
  const size_t size = zstd_compress(content, level, out.subspan(prefix));
  // With room for the bound it can fail only for lack of memory: the block is kept as it is.
  if (ZSTD_isError(size) || prefix + size > plain.size() - plain.size() / 32 || prefix + size >= plain.size())
    return std::nullopt;
  return prefix + size;
}

Result<void> expand(ByteView compressed, MutableByteView out) {
  const bool rearranged = compressed.size() > kColumnsMagic.size() &&
                          std::equal(kColumnsMagic.begin(), kColumnsMagic.end(), compressed.begin());
  if (!rearranged) return zstd_expand(compressed, out);
  const MutableByteView columns = scratch(out.size());
  TRY(zstd_expand(compressed.subspan(kColumnsMagic.size()), columns));
  from_columns(columns, out);
  return {};
}

}  // namespace holdfast::repo
