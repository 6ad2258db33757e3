#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::repo {

// zstd with one context per thread: making one costs more than compressing a page.
// Where a sample shows that it helps, pages are rearranged first (repo/columns.h).

// The bytes an uncompressed run of `size` may need at most.
size_t compress_bound(size_t size);

// Compresses into `out` (at least compress_bound() bytes). Empty when that would
// not save at least 1/32, in which case the bytes are better kept as they are.
std::optional<size_t> compress(ByteView plain, int level, MutableByteView out);

// Expands into exactly `out`. kInvalidData when the result is not of that size or
// the frame is not one of ours; never writes outside of `out`.
Result<void> expand(ByteView compressed, MutableByteView out);

}  // namespace holdfast::repo
