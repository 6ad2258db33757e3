#include "source/postgres/resume_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSegment = TestWal::kSegmentBytes;

// Four whole segments, from 1 MiB on.
class ResumeProofTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 4; i++) {
      wal_.fill_segment();
      wal_.switch_segment();
    }
    wal_.filler(100);
    for (size_t i = 0; i < 4; i++) ASSERT_TRUE(archive_->push(wal_.segment_name(i), wal_.segment(i)).ok());
  }
  ResumeProof proof(Lsn gone_before = {}) {
    return ResumeProof::create(*archive_, {1, Lsn{5 * kSegment}}, gone_before).value();
  }
  // The server's WAL of segments [from, to), as they were written.
  ByteView sent(uint64_t from, uint64_t to) const {
    return wal_.bytes().subspan((from - 1) * kSegment, (to - from) * kSegment);
  }

  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ =
      WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
  TestWal wal_;
};

TEST_F(ResumeProofTest, ComparesTheSegmentBefore) {
  ResumeProof right = proof();
  EXPECT_EQ(right.start().position, Lsn{4 * kSegment});
  EXPECT_TRUE(right.take(Lsn{4 * kSegment}, sent(4, 5))->empty());
  EXPECT_TRUE(right.done());
  Bytes other = Bytes::copy_of(sent(4, 5));
  other.mutable_view()[kSegment - 1] ^= 1;
  EXPECT_EQ(proof().take(Lsn{4 * kSegment}, other).error().code(), ErrorCode::kMismatch);
}

// Case: the newest segment is damaged in the repository. The receiver has to go on, and a server
// that was set back is to be found out all the same.
TEST_F(ResumeProofTest, PassesOverADamagedSegmentAndComparesTheOneBeforeIt) {
  store_.damage(wal_.segment_name(3));
  testing::internal::CaptureStderr();
  ResumeProof right = proof();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              ::testing::AllOf(::testing::HasSubstr("postgres.receive.not_compared"),
                               ::testing::HasSubstr(wal_.segment_name(3))));
  EXPECT_EQ(right.start().position, Lsn{3 * kSegment});
  const size_t message = 300'000;  // lies across the end of what is compared
  const ByteView all = sent(3, 5);
  for (size_t at = 0; at < all.size(); at += message) {
    EXPECT_FALSE(right.done());
    const ByteView part = all.subspan(at, std::min(message, all.size() - at));
    EXPECT_TRUE(right.take(Lsn{3 * kSegment + at}, part)->empty());
  }
  EXPECT_TRUE(right.done());
  Bytes other = Bytes::copy_of(sent(3, 4));
  other.mutable_view()[5] ^= 1;
  EXPECT_EQ(proof().take(Lsn{3 * kSegment}, other).error().code(), ErrorCode::kMismatch);
}

TEST_F(ResumeProofTest, GoesOnUncomparedWhereAllThatTheServerHasIsDamaged) {
  store_.damage(wal_.segment_name(3));
  testing::internal::CaptureStderr();
  ResumeProof none = proof(Lsn{4 * kSegment});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), ::testing::HasSubstr("postgres.receive.not_compared"));
  EXPECT_TRUE(none.done());
  EXPECT_EQ(none.start().position, Lsn{5 * kSegment});
  for (size_t i = 0; i < 4; i++) store_.damage(wal_.segment_name(i));
  EXPECT_TRUE(proof().done());
}

}  // namespace
}  // namespace holdfast::postgres
