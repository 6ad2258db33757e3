#include "source/postgres/wal_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"

namespace holdfast::postgres {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSegment = TestWal::kSegmentBytes;
constexpr Time kNoon = Time::from_unix_seconds(1'800'000'000);

class WalSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint32_t i = 0; i < 8; i++) {
      wal_.commit(700 + i, kNoon + Duration::seconds(i));
      wal_.fill_segment();
      wal_.switch_segment();
    }
    wal_.filler(50'000);
    wal_.commit(800, kNoon);
  }
  WalSinkOptions options() const {
    WalSinkOptions options;
    options.flush_interval = Duration::hours(1);
    options.retry_limit = Duration::milliseconds(100);
    return options;
  }
  std::unique_ptr<WalSink> sink(const WalSinkOptions& options) {
    auto made = std::make_unique<WalSink>(*archive_, system_clock(), options, [this] { calls_++; });
    EXPECT_TRUE(made->begin(1, Lsn{kSegment}).ok());
    return made;
  }
  // Feeds [from, to) of the log in pieces, waiting where the sink is full.
  void feed(WalSink& sink, size_t from, size_t to, size_t step, Lsn server_end = Lsn{}) {
    while (from < to) {
      const size_t count = std::min(step, to - from);
      while (sink.full() && !sink.failure()) sink.drain(Duration::milliseconds(10));
      sink.append(wal_.bytes().subspan(from, count), server_end);
      sink.tick();
      from += count;
    }
  }
  void expect_stored(size_t bytes) {
    for (size_t at = 0; at < bytes; at += kSegment) {
      const size_t size = std::min<size_t>(kSegment, bytes - at);
      const auto stored = archive_->fetch(wal_.segment_name(at / kSegment));
      ASSERT_TRUE(stored.ok() && stored.value()) << at;
      EXPECT_TRUE(equal(stored.value()->view(0, size), wal_.bytes().subspan(at, size))) << at;
    }
  }

  TestLogStore store_;
  std::unique_ptr<WalArchive> archive_ =
      WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
  TestWal wal_;
  std::atomic<int> calls_{0};
};

constexpr Duration kPatience = Duration::seconds(120);

TEST_F(WalSinkTest, StoresWholeSegmentsAndTheRestInParts) {
  auto sink = this->sink(options());
  const size_t size = wal_.bytes().size();
  feed(*sink, 0, size, 70'001);
  EXPECT_TRUE(sink->drain(kPatience));
  EXPECT_EQ(sink->stored(), wal_.position());
  EXPECT_EQ(sink->counts().segments, 8u);
  sink.reset();  // all have been told then
  EXPECT_GE(calls_, 8) << "whoever waits is told of each";
  expect_stored(size);
}

TEST_F(WalSinkTest, StoresAtOnceWhatIsHere) {
  WalSinkOptions at_once = options();
  at_once.at_once = true;
  const auto sink = this->sink(at_once);
  feed(*sink, 0, 3 * kSegment, 500);
  EXPECT_TRUE(sink->drain(kPatience));
  EXPECT_GT(sink->counts().parts, 0u);
  EXPECT_EQ(sink->counts().segments, 3u);
  expect_stored(3 * kSegment);
}

TEST_F(WalSinkTest, WaitsForTheWholeWhileTheServerHasMore) {
  WalSinkOptions eager = options();
  eager.flush_bytes = 10'000;
  const auto sink = this->sink(eager);
  feed(*sink, 0, 2 * kSegment, 5'000, wal_.position());
  EXPECT_TRUE(sink->drain(kPatience));
  EXPECT_EQ(sink->counts().parts, 0u) << "each segment is about to be stored whole";
  feed(*sink, 2 * kSegment, 2 * kSegment + 50'000, 5'000, Lsn{});
  EXPECT_TRUE(sink->drain(kPatience));
}

TEST_F(WalSinkTest, StoresInHasteWhileMoreWaits) {
  TestLogStore quick;
  archive_ = WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}, &quick).value();
  const auto sink = this->sink(options());
  feed(*sink, 0, 4 * kSegment, 100'000, Lsn{5 * kSegment});  // the server has four segments, and no more
  EXPECT_TRUE(sink->drain(kPatience));
  const std::string stream = fmt::format("db.{}", TestWal::kSystemId);
  EXPECT_EQ(quick.record_names(stream),
            (std::vector{wal_.segment_name(0), wal_.segment_name(1), wal_.segment_name(2)}));
  EXPECT_EQ(store_.record_names(stream), std::vector{wal_.segment_name(3)}) << "nothing waits behind the last";
}

// What does not hold together with what came before is not stored, so it is not acknowledged.
TEST_F(WalSinkTest, RefusesAPartThatGoesOnFromAnotherHistory) {
  TestWal other;
  other.filler(100);
  for (int i = 0; i < 20; i++) other.filler(6000);
  const auto sink = this->sink(options());
  feed(*sink, 0, 50'000, 10'000);
  ASSERT_TRUE(sink->drain(kPatience));
  sink->append(other.bytes().subspan(50'000, 50'000), Lsn{});
  EXPECT_FALSE(sink->drain(kPatience));
  ASSERT_TRUE(sink->failure());
  EXPECT_EQ(sink->failure()->code(), ErrorCode::kMismatch);
  EXPECT_THAT(sink->failure()->text(), HasSubstr("it is not stored, and not acknowledged"));
  EXPECT_EQ(sink->stored(), Lsn{kSegment + 50'000});
}

TEST_F(WalSinkTest, RefusesASegmentThatIsDamaged) {
  const auto sink = this->sink(options());
  Bytes damaged = wal_.segment(0);
  damaged[300'000] ^= 1;
  sink->append(damaged, Lsn{});
  EXPECT_FALSE(sink->drain(kPatience));
  ASSERT_TRUE(sink->failure());
  EXPECT_EQ(sink->failure()->code(), ErrorCode::kMismatch);
  EXPECT_EQ(sink->stored(), Lsn{kSegment});
}

TEST_F(WalSinkTest, TriesAgainUntilTheStoreIsBack) {
  const auto sink = this->sink(options());
  store_.break_down(make_error(ErrorCode::kUnavailable, "away").with_retryable());
  feed(*sink, 0, 2 * kSegment + 1000, 100'000);
  EXPECT_FALSE(sink->drain(Duration::milliseconds(300)));
  EXPECT_EQ(sink->stored(), Lsn{kSegment}) << "nothing is called stored that is not";
  EXPECT_GT(sink->counts().retries, 0u);
  store_.mend();
  EXPECT_TRUE(sink->drain(kPatience));
  expect_stored(2 * kSegment + 1000);
}

TEST_F(WalSinkTest, HoldsNoMoreThanAFewSegments) {
  const auto sink = this->sink(options());
  store_.break_down(make_error(ErrorCode::kUnavailable, "away").with_retryable());
  size_t at = 0;
  for (; !sink->full(); at += kSegment) {
    ASSERT_LT(at, 200 * kSegment);
    const Bytes segment = Bytes::zeros(kSegment);
    sink->append(segment, Lsn{});
  }
  EXPECT_LE(at, 65 * kSegment);
}

TEST_F(WalSinkTest, GivesUpWhenTheLogContradictsWhatIsStored) {
  TestWal other;
  other.filler(1000);
  ASSERT_TRUE(archive_->push(other.segment_name(0), other.segment(0)).ok());
  const auto sink = this->sink(options());
  feed(*sink, 0, kSegment, 100'000);
  EXPECT_FALSE(sink->drain(kPatience));
  ASSERT_TRUE(sink->failure());
  EXPECT_THAT(sink->failure()->text(), HasSubstr("is stored already, with other content"));
}

TEST_F(WalSinkTest, GoesOnWithinASegment) {
  {
    const auto sink = this->sink(options());
    feed(*sink, 0, kSegment + 12'345, 100'000);
    EXPECT_TRUE(sink->drain(kPatience));
  }
  WalSink again(*archive_, system_clock(), options(), [] {});
  ASSERT_TRUE(again.begin(1, Lsn{2 * kSegment + 12'345}).ok());
  feed(again, kSegment + 12'345, 3 * kSegment + 100, 50'000);
  EXPECT_TRUE(again.drain(kPatience));
  expect_stored(3 * kSegment + 100);
}

}  // namespace
}  // namespace holdfast::postgres
