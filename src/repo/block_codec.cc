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
// A trial costs a tenth to a quarter of what it decides about, and neighbouring blocks
// are alike: its outcome serves this many, unless one comes out at another size.
constexpr int kTrialServes = 16;
constexpr size_t kUnlike = 2;
// What zstd uses itself up to 256 KiB at its levels 3 and 4. Rearranged pages have few
// and long matches: larger tables find no more of them, and miss the caches.
constexpr int kFirstTunedLevel = 3, kLastTunedLevel = 4;
constexpr int kTableLog = 16, kMinMatch = 4;

// Scratch of each thread for rearranged bytes.
MutableByteView scratch(size_t size) {
  thread_local Bytes bytes;
  if (bytes.size() < size) bytes = Bytes(size);
  return bytes.mutable_view().first(size);
}

size_t zstd_compress(ByteView plain, int level, bool columns, MutableByteView out) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  CHECK(context != nullptr);
  ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  if (columns && level >= kFirstTunedLevel && level <= kLastTunedLevel) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_hashLog, kTableLog);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_chainLog, kTableLog);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_minMatch, kMinMatch);
  }
  return ZSTD_compress2(context.get(), out.data(), out.size(), plain.data(), plain.size());
}

// Whether a few pages of `plain` come out a good deal smaller as columns.
bool columns_help(ByteView plain) {
  constexpr size_t kSampleBytes = kSamplePages * kColumnsPageBytes;
  uint8_t sample[kSampleBytes], columns[kSampleBytes], out[kSampleBytes + kSampleBytes / 64];
  const size_t step = plain.size() / kColumnsPageBytes / kSamplePages * kColumnsPageBytes;
  for (size_t i = 0; i < kSamplePages; i++)
    std::memcpy(sample + i * kColumnsPageBytes, plain.data() + i * step, kColumnsPageBytes);
  to_columns(sample, columns);
  const size_t as_it_is = zstd_compress(sample, kSampleLevel, false, out),
               rearranged = zstd_compress(columns, kSampleLevel, true, out);
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

std::optional<size_t> compress_as(ByteView plain, int level, bool as_columns, MutableByteView out) {
  size_t prefix = 0;
  ByteView content = plain;
  if (as_columns) {
    const MutableByteView columns = scratch(plain.size());
    to_columns(plain, columns);
    content = columns;
    prefix = kColumnsMagic.size();
    std::memcpy(out.data(), kColumnsMagic.data(), prefix);
  }
  const size_t size = zstd_compress(content, level, as_columns, out.subspan(prefix));
  // With room for the bound it can fail only for lack of memory: the block is kept as it is.
  if (ZSTD_isError(size) || prefix + size > plain.size() - plain.size() / 32 || prefix + size >= plain.size())
    return std::nullopt;
  return prefix + size;
}

// What the last trial of this thread said, and how small the last block came out.
struct Habit {
  bool columns = false;
  int serves = 0;
  size_t permille = 0;
};

}  // namespace

size_t compress_bound(size_t size) { return kColumnsMagic.size() + ZSTD_compressBound(size); }

std::optional<size_t> compress(ByteView plain, int level, MutableByteView out) {
  if (plain.size() < kSmallestTried) return compress_as(plain, level, false, out);
  thread_local Habit habit;
  const bool tried = habit.serves == 0;
  if (tried) habit = {columns_help(plain), kTrialServes, 0};
  const bool columns = habit.columns;
  auto size = compress_as(plain, level, columns, out);
  const size_t permille = size.value_or(plain.size()) * 1000 / plain.size() + 1;
  const bool unlike = permille > habit.permille * kUnlike || permille * kUnlike < habit.permille;
  if (!tried && unlike) {
    habit = {columns_help(plain), kTrialServes, 0};
    if (habit.columns != columns) size = compress_as(plain, level, habit.columns, out);
  }
  habit.serves--;
  habit.permille = size.value_or(plain.size()) * 1000 / plain.size() + 1;
  return size;
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
