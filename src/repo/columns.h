#pragma once

#include "base/bytes.h"

namespace holdfast::repo {

// Pages of databases hold many records of one width: each byte differs little from
// the one a record before, and much from its neighbour. Written column by column,
// as differences, they compress several times better than as they stand.
//
// The rearrangement is of whole pages of 8 KiB, each by itself: 512 rows of 16
// bytes; of every row the one before is subtracted (byte by byte, the first row
// from zeros), and the columns follow each other. What is left over at the end
// stays as it is. docs/format.md, "Compressed content".
constexpr size_t kColumnsPageBytes = 8192;

// `out` is as long as `plain`, and apart from it.
void to_columns(ByteView plain, MutableByteView out);
void from_columns(ByteView columns, MutableByteView out);

}  // namespace holdfast::repo
