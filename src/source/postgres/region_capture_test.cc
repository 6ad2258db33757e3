#include "source/postgres/region_capture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "repo/scratch_repository.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kPages = kRegionBytes / kPageBytes;  // of a region
constexpr uint64_t kFirstLsn = 1u << 30;

// A relation's file in memory, captured again and again.
class RegionCaptureTest : public ::testing::Test {
 protected:
  static constexpr size_t kRegions = 4;

  void SetUp() override {
    for (size_t page = 0; page < kRegions * kPages; page++) write(page);
  }

  void write(size_t page) {
    const uint16_t header[] = {0, 0, 24, 8192, 8192, 8192 | 4};  // checksum, flags, lower, upper, special, size+version
    const uint32_t lsn[] = {0, static_cast<uint32_t>(now_.value)};
    uint8_t* at = file_.data() + page * kPageBytes;
    std::memcpy(at, lsn, sizeof lsn);
    std::memcpy(at + sizeof lsn, header, sizeof header);
    std::memcpy(at + kPageBytes - sizeof page, &page, sizeof page);  // so that no two are alike
  }

  // Returns how many pages were stored of each region. `changed`: pages of every region.
  std::vector<uint64_t> capture(const ChangedBlocks::Pages& changed) {
    const auto session = repo::WriteSession::begin(*repository_, {}).value();
    PageRules rules;
    rules.compare = false;
    if (captured_) rules.unchanged_below = now_;
    RegionCapture capture(*session, system_clock(), rules);
    std::vector<RegionOutcome> outcomes;
    for (size_t i = 0; i < kRegions; i++) outcomes.push_back(capture_region(capture, i, changed));
    EXPECT_TRUE(capture.packer().store_idle().ok());
    content_ = {};
    std::vector<uint64_t> stored;
    for (RegionOutcome& outcome : outcomes) {
      stored.push_back(outcome.stored_pages);
      EXPECT_TRUE(capture.packer().resolve(outcome.extents));
      for (const auto& item : outcome.extents) content_.extents.push_back(item.extent);
    }
    EXPECT_TRUE(session->flush().ok());
    captured_ = true;
    return stored;
  }

  RegionOutcome capture_region(RegionCapture& capture, size_t index, const ChangedBlocks::Pages& changed) {
    RegionCapture::Input input;
    input.relation = &relation_;
    input.offset = index * kRegionBytes;
    input.previous = captured_ ? &content_ : nullptr;
    input.previous_bytes = captured_ ? file_.size() : 0;
    const auto read = [&](uint64_t offset, MutableByteView out) -> Result<size_t> {
      std::memcpy(out.data(), file_.data() + offset, out.size());
      return out.size();
    };
    Bytes buffer(kRegionBytes);
    if (!captured_) return capture.capture_new(input, read, kRegionBytes, buffer.mutable_view()).value();
    auto by_log = capture.capture_changed(input, changed, read, buffer.mutable_view()).value();
    if (by_log) return std::move(*by_log);
    std::memcpy(buffer.data(), file_.data() + input.offset, kRegionBytes);
    return capture.capture(input, buffer.mutable_view()).value();
  }

  repo::ScratchRepository scratch_;
  std::unique_ptr<repo::Repository> repository_ = scratch_.init();
  const RelationFile relation_ = parse_relation_path("base/5/16384").value();
  Bytes file_ = Bytes::zeros(kRegions * kRegionBytes);
  repo::Content content_;
  bool captured_ = false;
  Lsn now_{kFirstLsn};
};

// Of a table that changes all over, regions come to lie in many blocks all at the same time.
TEST_F(RegionCaptureTest, RegionsThatChangeAlikeAreStoredAnewOneAfterTheOther) {
  capture({});
  std::vector<int> anew(kRegions);  // by which incremental, the first time
  for (int incremental = 1; incremental <= 80; incremental++) {
    now_.value += 1000;
    ChangedBlocks::Pages changed;
    for (size_t i = 0; i < kPages / 97; i++) changed.set((static_cast<size_t>(incremental) * 5 + i * 97) % kPages);
    for (size_t page = 0; page < file_.size() / kPageBytes; page++)
      if (changed[page % kPages]) write(page);
    const auto stored = capture(changed);
    for (size_t i = 0; i < kRegions; i++) {
      if (stored[i] == kPages && anew[i] == 0) anew[i] = incremental;
    }
  }
  EXPECT_EQ(std::count(anew.begin(), anew.end(), 0), 0) << "each once";
  EXPECT_GT(std::set<int>(anew.begin(), anew.end()).size(), 1u);
}

}  // namespace
}  // namespace holdfast::postgres
