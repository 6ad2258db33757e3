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
// A trial compresses this much from the middle, both ways, as the whole would be. Less,
// or pages from here and there, or a lower level would be misled: what zstd finds in
// pages as they stand repeats from page to page.
constexpr size_t kSampleBytes = 64 << 10;
static_assert(kSampleBytes % kColumnsPageBytes == 0);
// A trial costs a tenth to a quarter of what it decides about, and neighbouring blocks
// are alike: its outcome serves this many, unless one comes out at another size.
constexpr int kTrialServes = 16;
constexpr size_t kUnlike = 2;
// Rearranged pages have few and long matches: the larger tables of zstd's levels 3 and 4
// find no more of them, and miss the caches. docs/decisions/020 has the measurements.
constexpr int kFirstTunedLevel = 3, kLastTunedLevel = 4;
constexpr int kTableLog = 14, kMinMatch = 5;

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

// Whether pages from the middle of `plain` come out smaller as columns.
bool columns_help(ByteView plain, int level) {
  uint8_t columns[kSampleBytes], out[kSampleBytes + kSampleBytes / 64];
  const size_t pages = (plain.size() - kSampleBytes) / kColumnsPageBytes;
  const ByteView sample = plain.subspan(pages / 2 * kColumnsPageBytes, kSampleBytes);
  to_columns(sample, columns);
  const size_t as_it_is = zstd_compress(sample, level, false, out),
               rearranged = zstd_compress(columns, level, true, out);
  if (ZSTD_isError(rearranged)) return false;
  return ZSTD_isError(as_it_is) || rearranged + rearranged / 16 < as_it_is;
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
  if (plain.size() < kSampleBytes) return compress_as(plain, level, false, out);
  thread_local Habit habit;
  const bool tried = habit.serves == 0;
  if (tried) habit = {columns_help(plain, level), kTrialServes, 0};
  const bool columns = habit.columns;
  auto size = compress_as(plain, level, columns, out);
  const size_t permille = size.value_or(plain.size()) * 1000 / plain.size() + 1;
  const bool unlike = permille > habit.permille * kUnlike || permille * kUnlike < habit.permille;
  if (!tried && unlike) {
    habit = {columns_help(plain, level), kTrialServes, 0};
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
