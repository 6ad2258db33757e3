#include "source/postgres/page.h"

#include <array>

namespace holdfast::postgres {
namespace {

// The checksum of a page is FNV-1a in 32 lanes, with one more shift and xor in
// each step, folded by xor; the block number is mixed in last, so that a page in
// the wrong place fails too. The 32 lanes are what makes it fast: the compiler
// turns the inner loop into two or four vector registers.
constexpr size_t kLanes = 32;
constexpr uint32_t kPrime = 16777619;
constexpr uint32_t kSeeds[kLanes] = {0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2,
                                     0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C,
                                     0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979,
                                     0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E,
                                     0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};
constexpr size_t kChecksumOffset = 8;

// Chosen when the program starts. Sanitizers can't run that early, and clang takes
// other attributes: both get the plain build.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HOLDFAST_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define HOLDFAST_VECTORISED
#endif

HOLDFAST_VECTORISED
uint32_t digest(const uint8_t* page) {
  uint32_t sums[kLanes];
  uint32_t row[kLanes];
  std::memcpy(sums, kSeeds, sizeof sums);
  for (size_t offset = 0; offset < kPageBytes; offset += sizeof row) {
    std::memcpy(row, page + offset, sizeof row);
    if (offset == 0) row[2] &= 0xFFFF0000u;  // the checksum itself counts as zero
    for (size_t lane = 0; lane < kLanes; lane++) {
      const uint32_t mixed = sums[lane] ^ row[lane];
      sums[lane] = (mixed * kPrime) ^ (mixed >> 17);
    }
  }
  for (int round = 0; round < 2; round++) {
    for (size_t lane = 0; lane < kLanes; lane++) sums[lane] = (sums[lane] * kPrime) ^ (sums[lane] >> 17);
  }
  uint32_t result = 0;
  for (const uint32_t sum : sums) result ^= sum;
  return result;
}

struct Header {
  uint16_t checksum, flags, lower, upper, special, size_and_version;
};

Header header_of(const uint8_t* page) {
  Header header;
  static_assert(sizeof header == 12);
  std::memcpy(&header, page + kChecksumOffset, sizeof header);
  return header;
}

constexpr uint16_t kValidFlags = 0x0007;
constexpr uint16_t kHeaderBytes = 24;

bool header_is_sane(const Header& header) {
  return (header.flags & ~kValidFlags) == 0 && header.lower >= kHeaderBytes && header.lower <= header.upper &&
         header.upper <= header.special && header.special <= kPageBytes && header.special % 8 == 0 &&
         (header.size_and_version & 0xFF00) == kPageBytes && (header.size_and_version & 0x00FF) == 4;
}

}  // namespace

uint16_t page_checksum(const uint8_t* page, uint32_t block) {
  return static_cast<uint16_t>((digest(page) ^ block) % 65535 + 1);
}

PageState check_page(const uint8_t* page, uint32_t block, bool with_checksums) {
  const Header header = header_of(page);
  if (header.upper == 0) return all_zero(ByteView(page, kPageBytes)) ? PageState::kZero : PageState::kBadHeader;
  if (!header_is_sane(header)) return PageState::kBadHeader;
  if (with_checksums && header.checksum != page_checksum(page, block)) return PageState::kBadChecksum;
  return PageState::kGood;
}

std::string_view problem_of(PageState state) {
  switch (state) {
    case PageState::kBadHeader: return "header is not valid";
    case PageState::kBadChecksum: return "checksum is wrong";
    default: return "";
  }
}

}  // namespace holdfast::postgres
