#include "repo/block_codec.h"

#include <zstd.h>

#include <memory>

namespace holdfast::repo {

namespace {

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeExpander {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

size_t compress_bound(size_t size) { return ZSTD_compressBound(size); }

std::optional<size_t> compress(ByteView plain, int level, MutableByteView out) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  CHECK(context != nullptr);
  const size_t size = ZSTD_compressCCtx(context.get(), out.data(), out.size(), plain.data(), plain.size(), level);
  // With room for the bound it can fail only for lack of memory: the block is kept as it is.
  if (ZSTD_isError(size) || size > plain.size() - plain.size() / 32 || size >= plain.size()) return std::nullopt;
  return size;
}

Result<void> expand(ByteView compressed, MutableByteView out) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeExpander> context(ZSTD_createDCtx());
  CHECK(context != nullptr);
  const size_t size = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), compressed.data(), compressed.size());
  if (ZSTD_isError(size)) {
    return make_error(ErrorCode::kInvalidData, "the compressed bytes do not expand: {}", ZSTD_getErrorName(size));
  }
  if (size != out.size()) {
    return make_error(ErrorCode::kInvalidData, "the compressed bytes expand to {} bytes instead of {}", size, out.size());
  }
  return {};
}

}  // namespace holdfast::repo
