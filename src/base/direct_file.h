#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// What direct writes ask of an address, and at least of an offset and a length.
constexpr uint64_t kDirectAlignment = 4096;

// An open file once more, for writes past the page cache (O_DIRECT). Of several, each is for one thread.
class DirectFile {
 public:
  virtual ~DirectFile() = default;
  // Offsets and lengths are multiples of it; a power of two.
  virtual uint64_t alignment() const = 0;
  // How many of the bytes it took, from the first on. Nothing where the system does not write
  // these past the cache; it may through it.
  virtual Result<std::optional<size_t>> write_at(uint64_t offset, ByteView data) = 0;
  // Closes; later calls fail.
  virtual Result<void> close() = 0;
};

// Of the file that is open as `descriptor`; null where there can be none.
std::unique_ptr<DirectFile> open_direct_file(int descriptor);

}  // namespace holdfast
