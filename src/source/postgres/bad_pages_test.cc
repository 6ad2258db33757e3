#include "source/postgres/bad_pages.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

std::vector<FilePageProblem> pages_of(const std::string& path, uint32_t count) {
  std::vector<FilePageProblem> pages;
  for (uint32_t block = 0; block < count; block++) pages.push_back({path, {block, "checksum is wrong", Lsn{}}});
  return pages;
}

TEST(BadPages, OfVeryManyEveryFileIsNamed) {
  std::vector<FilePageProblem> bad = pages_of("base/1/1", 1100);
  for (const char* path : {"base/1/2", "base/1/3"}) {
    for (FilePageProblem& page : pages_of(path, 500)) bad.push_back(std::move(page));
  }
  const std::vector<FilePageProblem> named = named_of(bad);
  ASSERT_EQ(named.size(), 1002u);
  EXPECT_EQ(named[999].page.block, 999u);
  EXPECT_EQ(named[1000].path, "base/1/2");
  EXPECT_EQ(named[1001].path, "base/1/3");
  const std::vector<std::string> faults = faults_of(bad);
  ASSERT_EQ(faults.size(), 1001u);
  EXPECT_EQ(faults[999], "bad page: base/1/1, block 999: checksum is wrong");
  EXPECT_EQ(faults[1000], "and 1100 more");
}

TEST(BadPages, AFewAreAllNamed) {
  const std::vector<FilePageProblem> bad = pages_of("base/1/1", 1000);
  EXPECT_EQ(named_of(bad).size(), 1000u);
  EXPECT_EQ(faults_of(bad).size(), 1000u);
}

}  // namespace
}  // namespace holdfast::postgres
