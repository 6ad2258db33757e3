#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// The page format that relation files consist of. PostgreSQL can be built with
// other page sizes; distributions never are, and holdfast stores the files of
// such a cluster as plain bytes.
constexpr size_t kPageBytes = 8192;

// The checksum that a page at block number `block` of its relation should carry.
// Never 0. `page` has kPageBytes bytes. Vectorised where the processor allows.
uint16_t page_checksum(const uint8_t* page, uint32_t block);

inline Lsn page_lsn(const uint8_t* page) {
  uint32_t high, low;  // stored as two words, high first, whatever the byte order
  std::memcpy(&high, page, 4);
  std::memcpy(&low, page + 4, 4);
  return {(static_cast<uint64_t>(high) << 32) | low};
}

enum class PageState {
  kGood,
  kZero,         // all zeros: allocated and not used yet, which is right
  kBadHeader,    // offsets, flags, size or version that no page can have
  kBadChecksum,  // the bytes are not those that were written
};

// `with_checksums`: the cluster has them switched on; then a stored checksum of 0
// is never right, and a page without a header that is not all zeros is bad.
PageState check_page(const uint8_t* page, uint32_t block, bool with_checksums);

// "header is not valid", "checksum is wrong"; "" for a good page.
std::string_view problem_of(PageState state);

}  // namespace holdfast::postgres
