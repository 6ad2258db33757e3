#include "source/postgres/page.h"

#include <gtest/gtest.h>

#include <random>

#include "source/postgres/file_list.h"
#include "source/postgres/test_cluster.h"

namespace holdfast::postgres {
namespace {

// An empty heap page as the server initialises it.
Bytes empty_page(uint32_t block) {
  Bytes page = Bytes::zeros(kPageBytes);
  const uint16_t header[] = {0, 0, 24, 8192, 8192, 8192 | 4};  // checksum, flags, lower, upper, special, size+version
  std::memcpy(page.data() + 8, header, sizeof header);
  const uint16_t sum = page_checksum(page.data(), block);
  std::memcpy(page.data() + 8, &sum, 2);
  return page;
}

void set16(Bytes& page, size_t offset, uint16_t value) { std::memcpy(page.data() + offset, &value, 2); }

TEST(Page, ChecksumDependsOnEveryByteAndOnTheBlockNumber) {
  Bytes page = empty_page(7);
  EXPECT_EQ(check_page(page.data(), 7, true), PageState::kGood);
  EXPECT_EQ(check_page(page.data(), 8, true), PageState::kBadChecksum);
  for (size_t i = 0; i < kPageBytes; i += 101) {
    page[i] ^= 0x10;
    EXPECT_NE(check_page(page.data(), 7, true), PageState::kGood) << "byte " << i;
    page[i] ^= 0x10;
  }
}

// Case 16: a page with an invalid header, or with checksum 0, counted as good.
TEST(Page, ChecksumZeroIsNeverGood) {
  Bytes page = empty_page(0);
  set16(page, 8, 0);
  EXPECT_EQ(check_page(page.data(), 0, true), PageState::kBadChecksum);
  EXPECT_EQ(check_page(page.data(), 0, false), PageState::kGood);
  for (uint32_t block = 0; block < 200'000; block++) ASSERT_NE(page_checksum(page.data(), block), 0);
}

TEST(Page, InvalidHeadersAreBadWithAndWithoutChecksums) {
  struct Case {
    size_t offset;
    uint16_t value;
  };
  for (const Case c : {Case{10, 0x0008}, Case{12, 23}, Case{12, 8193}, Case{14, 8193}, Case{16, 8191}, Case{16, 8200},
                       Case{18, 4096 | 4}, Case{18, 8192 | 3}}) {
    for (const bool with_checksums : {false, true}) {
      Bytes page = empty_page(3);
      set16(page, c.offset, c.value);
      const uint16_t sum = page_checksum(page.data(), 3);
      set16(page, 8, sum);
      EXPECT_EQ(check_page(page.data(), 3, with_checksums), PageState::kBadHeader) << c.offset << " = " << c.value;
    }
  }
}

TEST(Page, ZerosAreGoodAndOtherPagesWithoutHeaderAreNot) {
  Bytes page = Bytes::zeros(kPageBytes);
  EXPECT_EQ(check_page(page.data(), 9, true), PageState::kZero);
  page[kPageBytes - 1] = 1;
  EXPECT_EQ(check_page(page.data(), 9, true), PageState::kBadHeader);
  EXPECT_EQ(check_page(page.data(), 9, false), PageState::kBadHeader);
}

TEST(Page, LsnIsTwoWordsHighFirst) {
  Bytes page = Bytes::zeros(kPageBytes);
  const uint32_t words[] = {0x12, 0x3000148};
  std::memcpy(page.data(), words, 8);
  EXPECT_EQ(page_lsn(page.data()).value, 0x1203000148u);
}

// The proof that the algorithm is the server's: every page that it wrote checks.
TEST(Page, EveryPageOfARealClusterIsGood) {
  SKIP_WITHOUT_SERVER();
  auto made = TestCluster::create();
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  ASSERT_OK(cluster.sql(
      "create table t as select g, repeat('x', g % 900) from generate_series(1, 20000) g; create index on t (g)"));
  ASSERT_OK(cluster.stop());
  FileWalk walk(real_file_system(), cluster.data(), "none");
  uint64_t pages = 0;
  while (true) {
    auto found = walk.next();
    ASSERT_OK(found);
    if (!found.value()) break;
    const auto relation = parse_relation_path(found.value()->path);
    if (!relation || found.value()->is_directory) continue;
    auto content = read_file(real_file_system(), found.value()->full_path, 1u << 30);
    ASSERT_OK(content);
    ASSERT_EQ(content.value().size() % kPageBytes, 0u);
    for (uint32_t block = 0; block < content.value().size() / kPageBytes; block++, pages++) {
      const PageState state = check_page(content.value().data() + block * kPageBytes, block, true);
      ASSERT_TRUE(state == PageState::kGood || state == PageState::kZero)
          << found.value()->path << " block " << block << ": " << problem_of(state);
    }
  }
  EXPECT_GT(pages, 3000u);
}

}  // namespace
}  // namespace holdfast::postgres
