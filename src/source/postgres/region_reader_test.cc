// Covers: pages of a region that lie in many blocks, in any order.
#include "source/postgres/region_reader.h"

#include <gtest/gtest.h>

#include "repo/test_repository.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kPage = 8192;

// Counts the blocks that are read, not those whose size is asked.
class CountingRepository final : public repo::TestRepository {
 public:
  Result<std::shared_ptr<const Bytes>> read_block(const repo::BlockId& block) override {
    blocks_read++;
    return TestRepository::read_block(block);
  }
  Result<uint32_t> block_size(const repo::BlockId& block) override {
    auto size = TestRepository::block_size(block);
    blocks_read--;
    return size;
  }
  int blocks_read = 0;
};

TEST(RegionReader, ReadsEachBlockOnceWhereverItsPagesLie) {
  constexpr size_t kBlocks = 5, kPagesOfBlock = 6;
  CountingRepository repository;
  repo::TestSession session(repository);
  std::vector<Bytes> blocks;
  std::vector<repo::BlockId> ids;
  for (size_t b = 0; b < kBlocks; b++) {
    blocks.emplace_back(kPagesOfBlock * kPage);
    for (size_t page = 0; page < kPagesOfBlock; page++)
      std::memset(blocks[b].data() + page * kPage, static_cast<int>(1 + b * kPagesOfBlock + page), kPage);
    ids.push_back(session.put(repo::BlockKind::kData, blocks[b].view()).value());
  }
  // In turn a page of each, from the last to the first, so that no block lies where it could be
  // read in place; then a hole.
  std::vector<repo::Extent> extents;
  Bytes wanted;
  for (size_t page = kPagesOfBlock; page-- > 0;) {
    for (size_t b = 0; b < kBlocks; b++) {
      extents.push_back({kPage, ids[b], static_cast<uint32_t>(page * kPage)});
      wanted.append(blocks[b].view(page * kPage, kPage));
    }
  }
  extents.push_back({kPage, std::nullopt, 0});
  wanted.append(std::string(kPage, '\0'));

  Bytes got(wanted.size());
  const auto read = RegionReader(repository).read(extents, got.mutable_view());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_TRUE(equal(got.view(), wanted.view()));
  EXPECT_EQ(repository.blocks_read, static_cast<int>(kBlocks));

  repository.lose(ids[2]);
  EXPECT_EQ(RegionReader(repository).read(extents, got.mutable_view()).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace holdfast::postgres
