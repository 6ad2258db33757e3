#include "source/redis/log_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "repo/scratch_repository.h"

namespace holdfast::redis {
namespace {

using ::testing::ElementsAre;

const std::string kA(40, 'a');
constexpr Duration kPatience = Duration::seconds(60);

class LogSinkTest : public ::testing::Test {
 protected:
  LogSinkTest()
      : repository_(scratch_.init()),
        store_(repo::open_log_store(*repository_)),
        log_(CommandLog::open(*store_, "cache").value()) {
    options_.flush_bytes = 1000;
    options_.join_records = 3;
  }

  // Each as a record of its own.
  void put(LogSink& sink, const std::vector<size_t>& sizes) {
    for (const size_t size : sizes) {
      sink.append(as_bytes(std::string(size, 'x')));
      ASSERT_TRUE(sink.drain(kPatience));
    }
  }
  std::vector<std::string> records() {
    std::vector<std::string> spans;
    for (const auto& info : store_->list(stream_name("cache", kA)).value()) {
      const auto span = parse_record_name(info.name);
      spans.push_back(span ? fmt::format("{}-{}", span->from, span->to) : info.name);
    }
    return spans;
  }

  repo::ScratchRepository scratch_;
  std::unique_ptr<repo::Repository> repository_;
  std::unique_ptr<repo::LogStore> store_;
  std::unique_ptr<CommandLog> log_;
  LogSinkOptions options_;
};

TEST_F(LogSinkTest, SmallRecordsInFrontOfALargeOneAreJoined) {
  LogSink sink(*log_, system_clock(), options_);
  sink.begin({kA, 0}, Time{});
  put(sink, {10, 10, 2000, 10, 10, 10});
  EXPECT_THAT(records(), ElementsAre("0-20", "20-2020", "2020-2050"));
}

TEST_F(LogSinkTest, SmallRecordsOnBothSidesOfAReconnectAreJoined) {
  LogSink sink(*log_, system_clock(), options_);
  sink.begin({kA, 0}, Time{});
  put(sink, {10, 10});
  sink.begin({kA, 20}, Time{});
  put(sink, {10, 10});
  sink.begin({kA, 500}, Time{});  // and those that are not to be continued, for themselves
  put(sink, {10});
  sink.begin({kA, 900}, Time{});
  put(sink, {10, 10});
  sink.begin({kA, 2000}, Time{});
  put(sink, {10, 10, 10});
  EXPECT_THAT(records(), ElementsAre("0-30", "30-40", "500-510", "900-920", "2000-2030"));
}

TEST_F(LogSinkTest, MoreThanTheQueueHoldsIsDrained) {
  LogSink sink(*log_, system_clock(), options_);
  sink.begin({kA, 0}, Time{});
  for (int i = 0; i < 200; i++) {
    sink.append(as_bytes(std::string(1100, 'x')));
    sink.tick();
  }
  EXPECT_TRUE(sink.drain(kPatience));
  EXPECT_EQ(sink.stored(), 200u * 1100);
}

TEST_F(LogSinkTest, WhatWasDoneBeforeCountsAsDoneThen) {
  const Time known = system_clock().now() - Duration::seconds(5);
  LogSink sink(*log_, system_clock(), options_);
  sink.begin({kA, 0}, Time{});
  sink.count_as(15, known);
  put(sink, {10, 10});
  std::vector<std::pair<uint64_t, bool>> frames;
  ASSERT_TRUE(log_->read({kA, 0}, {},
                         [&](const Frame& frame) -> Result<void> {
                           frames.emplace_back(frame.end(), frame.received == cut_to_microseconds(known));
                           return {};
                         })
                  .ok());
  EXPECT_THAT(frames, ElementsAre(std::pair(10, true), std::pair(15, true), std::pair(20, false)));
}

}  // namespace
}  // namespace holdfast::redis
