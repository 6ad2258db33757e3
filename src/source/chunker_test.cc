#include "source/chunker.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/random.h"
#include "repo/test_repository.h"

namespace holdfast::source {
namespace {

Bytes noise(size_t size, uint64_t seed) {
  Bytes bytes(size);
  seeded_random(seed)->fill(bytes.mutable_view());
  return bytes;
}

std::vector<size_t> cuts(const GearTable& table, ByteView data, size_t feed_bytes) {
  Chunker chunker(table);
  std::vector<size_t> lengths;
  size_t length = 0;
  while (!data.empty()) {
    const ByteView piece = data.first(std::min(feed_bytes, data.size()));
    const size_t cut = chunker.feed(piece);
    const size_t taken = cut == Chunker::kNoCut ? piece.size() : cut;
    length += taken;
    data = data.subspan(taken);
    if (cut != Chunker::kNoCut) lengths.push_back(std::exchange(length, 0));
  }
  if (length > 0) lengths.push_back(length);
  return lengths;
}

class ChunkerTest : public testing::Test {
 protected:
  repo::TestRepository repository;
  const GearTable table = GearTable::of(repository);
};

TEST_F(ChunkerTest, SizesStayWithinTheirBounds) {
  const Bytes data = noise(48 << 20, 1);
  const auto lengths = cuts(table, data, data.size());
  size_t total = 0;
  for (size_t i = 0; i < lengths.size(); i++) {
    if (i + 1 < lengths.size()) {
      EXPECT_GE(lengths[i], Chunker::kMinimumBytes);
    }
    EXPECT_LE(lengths[i], Chunker::kMaximumBytes);
    total += lengths[i];
  }
  EXPECT_EQ(total, data.size());
  EXPECT_GT(lengths.size(), 48u / 2);
  EXPECT_LT(lengths.size(), 48u * 2);
}

TEST_F(ChunkerTest, CutsDoNotDependOnHowTheStreamIsFed) {
  const Bytes data = noise(12 << 20, 2);
  const auto whole = cuts(table, data, data.size());
  EXPECT_EQ(cuts(table, data, 4096), whole);
  EXPECT_EQ(cuts(table, data, 1000003), whole);
}

TEST_F(ChunkerTest, ZerosAreCutAtTheMaximum) {
  const Bytes data = Bytes::zeros(10 << 20);
  const auto lengths = cuts(table, data, 512 << 10);
  ASSERT_FALSE(lengths.empty());
  for (const size_t length : lengths) EXPECT_LE(length, Chunker::kMaximumBytes);
}

TEST_F(ChunkerTest, AnInsertionChangesOnlyWhatIsNearIt) {
  const Bytes data = noise(40 << 20, 3);
  Bytes changed(data.size() + 100);
  const size_t at = 5 << 20;
  std::memcpy(changed.data(), data.data(), at);
  std::memset(changed.data() + at, 'x', 100);
  std::memcpy(changed.data() + at + 100, data.data() + at, data.size() - at);
  const auto ids = [&](ByteView bytes) {
    std::multiset<repo::BlockId> result;
    for (const size_t length : cuts(table, bytes, 1 << 20)) {
      result.insert(repository.id_of(repo::BlockKind::kData, bytes.first(length)));
      bytes = bytes.subspan(length);
    }
    return result;
  };
  const auto before = ids(data);
  size_t kept = 0;
  for (const auto& id : ids(changed)) kept += before.count(id);
  EXPECT_GT(kept + 8, before.size());
}

TEST_F(ChunkerTest, TheTableDependsOnTheRepository) {
  std::set<uint64_t> values(table.values().begin(), table.values().end());
  EXPECT_EQ(values.size(), 256u);
}

}  // namespace
}  // namespace holdfast::source
