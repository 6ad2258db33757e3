#include "source/redis/command_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "repo/scratch_repository.h"
#include "source/redis/frame_codec.h"

namespace holdfast::redis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kA(40, 'a'), kB(40, 'b'), kC(40, 'c');
Time at(int64_t seconds) { return Time::from_unix_seconds(seconds); }

class CommandLogTest : public ::testing::Test {
 protected:
  CommandLogTest() : repository_(scratch_.init()), store_(repo::open_log_store(*repository_)) { reopen(); }

  void reopen() { log_ = CommandLog::open(*store_, "cache").value(); }
  // Bytes that tell their offset: byte n is 'a' + n % 26.
  static std::string bytes_at(uint64_t from, uint64_t to) {
    std::string text;
    for (uint64_t n = from; n < to; n++) text += static_cast<char>('a' + n % 26);
    return text;
  }
  // A record whose byte n came at second n.
  void put(const std::string& replid, uint64_t from, uint64_t to) {
    FrameWriter writer;
    writer.begin(from);
    for (uint64_t n = from; n < to; n++) writer.add(at(static_cast<int64_t>(n)), as_bytes(bytes_at(n, n + 1)));
    const auto stored = log_->put_record(writer.take(replid));
    ASSERT_TRUE(stored.ok()) << stored.error().text();
  }
  // The same bytes, each `late` later.
  Result<void> put_again(const std::string& replid, uint64_t from, uint64_t to, int64_t late,
                         const std::string& bytes) {
    FrameWriter writer;
    writer.begin(from);
    writer.add(at(static_cast<int64_t>(to) + late), as_bytes(bytes));
    auto other = TRY(CommandLog::open(*store_, "cache"));
    return other->put_record(writer.take(replid));
  }
  // What is visited, or the message of the error.
  std::string read(const Position& from, const LogUntil& until = {}) {
    std::string text;
    uint64_t due = from.offset;
    auto end = log_->read(from, until, [&](const Frame& frame) -> Result<void> {
      EXPECT_EQ(frame.offset, due);
      due = frame.end();
      text += as_text(frame.bytes);
      return {};
    });
    if (!end.ok()) return end.error().message();
    EXPECT_EQ(end->position.offset, due);
    return text;
  }

  repo::ScratchRepository scratch_;
  std::unique_ptr<repo::Repository> repository_;
  std::unique_ptr<repo::LogStore> store_;
  std::unique_ptr<CommandLog> log_;
};

TEST_F(CommandLogTest, ReadsFromAnyPlaceToAnyPlace) {
  put(kA, 10, 20);
  put(kA, 20, 25);
  put(kA, 25, 40);
  for (const bool again : {false, true}) {
    if (again) reopen();
    EXPECT_EQ(read({kA, 10}), bytes_at(10, 40));
    EXPECT_EQ(read({kA, 13}), bytes_at(13, 40));
    EXPECT_EQ(read({kA, 13}, {.time = std::nullopt, .offset = 22}), bytes_at(13, 22));
    EXPECT_EQ(read({kA, 13}, {.time = at(22), .offset = std::nullopt}), bytes_at(13, 23));
    EXPECT_EQ(read({kA, 13}, {.time = at(3), .offset = std::nullopt}), "");
    EXPECT_EQ(read({kA, 40}), "");
    EXPECT_EQ(read({kA, 13}, {.time = std::nullopt, .offset = 13}), "");
  }
}

TEST_F(CommandLogTest, TellsRanges) {
  put(kA, 10, 20);
  put(kA, 20, 25);
  put(kA, 30, 35);
  put(kB, 100, 101);
  const auto ranges = log_->ranges().value();
  ASSERT_THAT(ranges, SizeIs(3));
  EXPECT_EQ(ranges[0].from, 10u);
  EXPECT_EQ(ranges[0].to, 25u);
  EXPECT_EQ(ranges[0].records, 2u);
  EXPECT_EQ(ranges[0].first, at(10));
  EXPECT_EQ(ranges[0].last, at(24));
  EXPECT_EQ(ranges[1].from, 30u);
  EXPECT_EQ(ranges[2].replid, kB);
  EXPECT_EQ(log_->newest().value()->replid, kB);
}

TEST_F(CommandLogTest, AMissingRecordIsAGapWithItsPlace) {
  put(kA, 10, 20);
  put(kA, 30, 40);
  EXPECT_EQ(read({kA, 10}, {.time = std::nullopt, .offset = 35}),
            "the command log of cache has a gap: history aaaaaaaa is not stored from offset 20 "
            "(1970-01-01T00:00:19.000000Z) to 30");
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 20));
  EXPECT_EQ(read({kA, 30}), bytes_at(30, 40));
}

TEST_F(CommandLogTest, BeyondTheEndIsRefused) {
  put(kA, 10, 20);
  EXPECT_EQ(read({kA, 10}, {.time = at(20), .offset = std::nullopt}),
            "the command log of cache ends at 1970-01-01T00:00:19.000000Z (offset 20 of history aaaaaaaa)");
  EXPECT_EQ(read({kA, 5}), "the command log of cache does not reach back to offset 5 of history aaaaaaaa");
  EXPECT_EQ(read({kC, 5}), "the command log of cache does not reach back to offset 5 of history cccccccc");
  EXPECT_FALSE(log_->knows({kA, 5}));
  EXPECT_TRUE(log_->knows({kA, 20}));
}

TEST_F(CommandLogTest, OverlapsAreReadOnce) {
  put(kA, 10, 20);
  put(kA, 10, 15);
  put(kA, 14, 30);
  put(kA, 16, 18);
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 30));
  EXPECT_EQ(read({kA, 17}), bytes_at(17, 30));
}

TEST_F(CommandLogTest, WhatFollowedIsReadBeforeWhatCaughtUp) {
  for (uint64_t from = 10; from < 40; from += 2) put(kA, from, from + 2);
  ASSERT_TRUE(put_again(kA, 10, 25, 3600, bytes_at(10, 25)).ok());
  ASSERT_TRUE(put_again(kA, 25, 39, 3600, bytes_at(25, 39)).ok());
  reopen();
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 40));
  for (const uint64_t second : {12, 25, 37}) {
    const auto end = log_->position_at({kA, 10}, at(static_cast<int64_t>(second)));
    ASSERT_TRUE(end.ok()) << end.error().text();
    EXPECT_EQ(end->position.offset, second + 1);
  }
}

TEST_F(CommandLogTest, AMergedRecordTakesThePlaceOfItsParts) {
  put(kA, 10, 12);
  put(kA, 12, 14);
  put(kA, 14, 16);
  FrameWriter writer;
  writer.begin(10);
  for (uint64_t n = 10; n < 14; n++) writer.add(at(static_cast<int64_t>(n)), as_bytes(bytes_at(n, n + 1)));
  ASSERT_TRUE(log_->put_merged(writer.take(kA)).ok());
  EXPECT_THAT(store_->list(stream_name("cache", kA)).value(), SizeIs(2));
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 16));
  reopen();
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 16));
}

TEST_F(CommandLogTest, AHistoryGoesOnUnderAnotherId) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_link({kA, kB, 20, at(30)}).ok());
  ASSERT_TRUE(log_->put_link({kA, kB, 20, at(31)}).ok());  // again, after a start: nothing new
  EXPECT_EQ(log_->newest().value()->replid, kB);
  put(kB, 20, 30);
  ASSERT_TRUE(log_->put_link({kB, kC, 30, at(40)}).ok());
  put(kC, 30, 35);
  for (const bool again : {false, true}) {
    if (again) reopen();
    EXPECT_EQ(read({kA, 12}), bytes_at(12, 35));
    EXPECT_EQ(read({kB, 12}), bytes_at(12, 35));  // the new id's common past
    EXPECT_EQ(read({kC, 25}), bytes_at(25, 35));
    EXPECT_EQ(read({kA, 12}, {.time = at(25), .offset = std::nullopt}), bytes_at(12, 26));
    EXPECT_TRUE(log_->leads_to({kA, 12}, {kC, 33}));
    EXPECT_FALSE(log_->leads_to({kC, 33}, {kA, 12}));
    EXPECT_EQ(log_->position_at({kA, 12}, at(32)).value().position, (Position{kC, 33}));
  }
}

TEST_F(CommandLogTest, ALinkAloneProvesNothingOfTheTimeUntilItWasSeen) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_link({kA, kB, 20, at(30)}).ok());
  ASSERT_TRUE(log_->put_link({kB, kC, 20, at(40)}).ok());
  for (const bool again : {false, true}) {
    if (again) reopen();
    EXPECT_EQ(log_->reach({kA, 12}).value().covered_until, at(19));
    EXPECT_EQ(log_->reach({kA, 12}).value().position, (Position{kC, 20}));
    EXPECT_EQ(log_->position_at({kA, 12}, at(25)).error().code(), ErrorCode::kUnreachableTarget);
    EXPECT_TRUE(log_->knows({kC, 20}));
    // A receiver goes on under the last id, and knows since when.
    EXPECT_EQ(log_->newest().value()->replid, kC);
    EXPECT_EQ(log_->newest().value()->last, at(19));
  }
}

TEST_F(CommandLogTest, AnAbsenceOfWhichNotAllHasComeIsNotCovered) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_absence({kA, 20, 30, at(19), at(25)}).ok());
  put(kA, 20, 28);
  for (const bool again : {false, true}) {
    if (again) reopen();
    EXPECT_EQ(log_->reach({kA, 10}).value().covered_until, at(19));
    EXPECT_EQ(log_->position_at({kA, 10}, at(22)).error().code(), ErrorCode::kUnreachableTarget);
  }
  put(kA, 28, 30);
  EXPECT_EQ(log_->reach({kA, 10}).value().covered_until, at(29));
}

// Short delays that added up: the receiver was there, and what it received until then is covered.
TEST_F(CommandLogTest, CoversWhatASnapshotAtItsEndTells) {
  const auto covered = [&] { return log_->reach({kA, 10})->covered_until; };
  put(kA, 10, 20);
  log_->count_on({{{kA, 19}, at(50)}, {{kA, 21}, at(51)}, {{kB, 20}, at(52)}, {{kA, 20}, at(8)}});
  EXPECT_EQ(covered(), at(19)) << "no other place, history or earlier instant tells anything";
  log_->count_on({{{kA, 20}, at(40)}});
  for (const bool again : {false, true}) {
    ASSERT_TRUE(!again || log_->refresh().ok());
    EXPECT_EQ(covered(), at(40));
    EXPECT_EQ(log_->position_at({kA, 10}, at(40))->position, (Position{kA, 20}));
    EXPECT_EQ(read({kA, 10}, {.time = at(30), .offset = std::nullopt}), bytes_at(10, 20));
    EXPECT_EQ(log_->position_at({kA, 10}, at(41)).error().code(), ErrorCode::kUnreachableTarget);
  }
  EXPECT_EQ(log_->newest().value()->last, at(19)) << "nothing more is stored";
  // Behind a failover that snapshot is of the server that was left.
  ASSERT_TRUE(log_->put_link({kA, kC, 20, at(45)}).ok());
  EXPECT_EQ(covered(), at(19));
  log_->count_on({{{kC, 20}, at(55)}});
  EXPECT_EQ(covered(), at(55));
}

TEST_F(CommandLogTest, WhatCameBehindASnapshotBeforeItsInstantContradictsIt) {
  put(kA, 10, 25);
  log_->count_on({{{kA, 20}, at(40)}});
  EXPECT_EQ(log_->reach({kA, 10})->covered_until, at(24));
  EXPECT_FALSE(log_->position_at({kA, 10}, at(30)).ok());
}

TEST_F(CommandLogTest, ASnapshotTellsNothingOfAnAbsenceOfWhichNotAllHasCome) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_absence({kA, 15, 30, at(14), at(60)}).ok());
  log_->count_on({{{kA, 20}, at(40)}});
  EXPECT_EQ(log_->reach({kA, 10})->covered_until, at(14));
}

TEST_F(CommandLogTest, AnAbsenceTakesNothingFromWhatCameInIt) {
  put(kA, 10, 15);
  put(kA, 15, 22);
  ASSERT_TRUE(log_->put_absence({kA, 20, 30, at(12), at(25)}).ok());
  EXPECT_EQ(log_->reach({kA, 10}).value().covered_until, at(19));
  EXPECT_EQ(log_->position_at({kA, 10}, at(17)).value().position.offset, 18u);
}

TEST_F(CommandLogTest, AnotherReceiversRecordOfTheSameBytesStays) {
  put(kA, 10, 20);
  EXPECT_TRUE(put_again(kA, 10, 20, 5, bytes_at(10, 20)).ok());
  const auto other = put_again(kA, 10, 20, 5, bytes_at(11, 21));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code(), ErrorCode::kMismatch);
  reopen();
  EXPECT_EQ(read({kA, 10}), bytes_at(10, 20));
  EXPECT_EQ(log_->reach({kA, 10}).value().covered_until, at(19));
  // Nor is a failover that both have seen.
  ASSERT_TRUE(log_->put_link({kA, kB, 20, at(30)}).ok());
  auto second = CommandLog::open(*store_, "cache").value();
  reopen();
  EXPECT_TRUE(second->put_link({kA, kB, 20, at(31)}).ok());
}

TEST_F(CommandLogTest, AnAbsenceThatIsThereSaysEnoughOrGetsAnotherBesideIt) {
  const auto put_all = [&](const std::string& replid, std::vector<LogAbsence> absences) {
    for (LogAbsence& absence : absences) {
      absence.replid = replid;
      EXPECT_TRUE(log_->put_absence(absence).ok());
    }
    std::vector<LogAbsence> known = log_->absences();
    std::erase_if(known, [&](const LogAbsence& absence) { return absence.replid != replid; });
    return known;
  };
  const LogAbsence there{"", 20, 30, at(12), at(25)}, longer{"", 20, 31, at(14), at(25)};
  const LogAbsence earlier{"", 20, 30, at(11), at(25)};
  EXPECT_THAT(put_all(kA, {there, {"", 20, 30, at(14), at(25)}, {"", 20, 21, at(12), at(25)}}), SizeIs(1));
  auto known = put_all(kB, {there, longer, longer});
  ASSERT_THAT(known, SizeIs(2));
  EXPECT_EQ(known.back().to, 31u);
  known = put_all(kC, {there, earlier, earlier});
  ASSERT_THAT(known, SizeIs(2));
  EXPECT_EQ(known.back().from_instant, at(11));
  reopen();
  EXPECT_THAT(log_->absences(), SizeIs(5)) << "stored as it was known";
}

TEST_F(CommandLogTest, WhatIsJoinedWhileItIsReadIsReadOnce) {
  for (uint64_t from = 10; from < 40; from += 2) put(kA, from, from + 2);
  auto receiver = CommandLog::open(*store_, "cache").value();
  std::string text;
  const auto end = log_->read({kA, 11}, {}, [&](const Frame& frame) -> Result<void> {
    if (text.size() == 5) {
      FrameWriter writer;
      writer.begin(10);
      for (uint64_t n = 10; n < 36; n++) writer.add(at(static_cast<int64_t>(n)), as_bytes(bytes_at(n, n + 1)));
      TRY(receiver->put_merged(writer.take(kA)));
    }
    text += as_text(frame.bytes);
    return {};
  });
  ASSERT_TRUE(end.ok()) << end.error().text();
  EXPECT_EQ(text, bytes_at(11, 40));
  EXPECT_EQ(end->position, (Position{kA, 40}));
  // What was listed before is looked up anew, too.
  for (const int64_t second : {12, 30, 38}) {
    auto old = CommandLog::open(*store_, "cache").value();
    FrameWriter writer;
    writer.begin(10);
    for (uint64_t n = 10; n < 40; n++) writer.add(at(static_cast<int64_t>(n)), as_bytes(bytes_at(n, n + 1)));
    auto again = CommandLog::open(*store_, "cache").value();
    ASSERT_TRUE(again->put_merged(writer.take(kA)).ok());
    EXPECT_EQ(old->position_at({kA, 10}, at(second)).value().position.offset, static_cast<uint64_t>(second) + 1);
    EXPECT_EQ(old->newest().value()->to, 40u);
  }
}

TEST_F(CommandLogTest, AVisitorsOwnErrorIsNotTriedAgain) {
  put(kA, 10, 20);
  int visits = 0;
  const auto end = log_->read({kA, 10}, {}, [&](const Frame&) -> Result<void> {
    visits++;
    return make_error(ErrorCode::kNotFound, "the reader's");
  });
  EXPECT_EQ(end.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(visits, 1);
}

TEST_F(CommandLogTest, AGapIsNamedExactly) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_gap({{kA, 20}, at(19), {kB, 500}, at(90), "the server was restarted"}).ok());
  reopen();
  EXPECT_EQ(read({kA, 10}, {.time = at(80), .offset = std::nullopt}),
            "the command log of cache has a gap from 1970-01-01T00:00:19.000000Z (offset 20 of history aaaaaaaa) to "
            "1970-01-01T00:01:30.000000Z (offset 500 of history bbbbbbbb): the server was restarted");
  // The log goes on at the new place, though nothing came there yet.
  EXPECT_EQ(log_->newest().value()->replid, kB);
  EXPECT_EQ(log_->newest().value()->to, 500u);
  EXPECT_EQ(read({kB, 500}), "");
  put(kB, 500, 510);
  EXPECT_EQ(read({kB, 500}), bytes_at(500, 510));
}

TEST_F(CommandLogTest, PositionsAtInstants) {
  put(kA, 10, 20);
  put(kA, 20, 25);
  put(kA, 25, 40);
  EXPECT_EQ(log_->position_at({kA, 10}, at(5)).value().position.offset, 10u);
  for (const int64_t second : {10, 19, 20, 24, 25, 39})
    EXPECT_EQ(log_->position_at({kA, 10}, at(second)).value().position.offset, static_cast<uint64_t>(second + 1));
  EXPECT_EQ(log_->position_at({kA, 10}, at(40)).error().code(), ErrorCode::kUnreachableTarget);
  EXPECT_EQ(log_->reach({kA, 10}).value().covered_until, at(39));
}

TEST_F(CommandLogTest, ADamagedRecordIsNotReadOver) {
  put(kA, 10, 20);
  put(kA, 20, 30);
  const auto names = scratch_.names("log/");
  scratch_.flip(names.back(), 100);
  const std::string outcome = read({kA, 10});
  EXPECT_EQ(outcome.find(bytes_at(10, 30)), std::string::npos);
}

TEST_F(CommandLogTest, ExpiresWhatNoKeptSnapshotNeeds) {
  put(kA, 10, 20);
  put(kA, 20, 30);
  ASSERT_TRUE(log_->put_link({kA, kB, 30, at(30)}).ok());
  put(kB, 30, 40);
  put(kB, 40, 50);
  put(kC, 1, 2);  // of nobody known
  EXPECT_THAT(log_->expire_before({{kA, 25}, {kB, 45}}, true).value(),
              ElementsAre("cache." + kA + "/" + record_name(10, 20)));
  EXPECT_THAT(log_->expire_before({{kB, 45}}, false).value(), SizeIs(4));  // two records of A, one of B, the link
  EXPECT_EQ(read({kB, 45}), bytes_at(45, 50));
  EXPECT_EQ(read({kC, 1}), bytes_at(1, 2));
  EXPECT_THAT(log_->expire_before({{kB, 45}}, false).value(), IsEmpty());
}

TEST_F(CommandLogTest, ASnapshotOfTheNewIdThatIsOlderThanTheLinkKeepsThePast) {
  put(kA, 10, 20);
  put(kA, 20, 30);
  ASSERT_TRUE(log_->put_link({kA, kB, 30, at(30)}).ok());
  put(kB, 30, 40);
  EXPECT_THAT(log_->expire_before({{kB, 22}}, false).value(), SizeIs(1));
  EXPECT_EQ(read({kB, 22}), bytes_at(22, 40));
}

TEST_F(CommandLogTest, AHistoryThatAGapEndedGoesWithItsLastSnapshot) {
  put(kA, 10, 20);
  ASSERT_TRUE(log_->put_gap({{kA, 20}, at(19), {kB, 500}, at(90), "restarted"}).ok());
  put(kB, 500, 510);
  EXPECT_THAT(log_->expire_before({{kA, 10}, {kB, 500}}, true).value(), IsEmpty());
  const auto gone = log_->expire_before({{kB, 500}}, false).value();
  ASSERT_THAT(gone, SizeIs(2));
  EXPECT_THAT(gone[0], HasSubstr(record_name(10, 20)));
  EXPECT_THAT(gone[1], HasSubstr("gap-"));
  EXPECT_EQ(read({kB, 500}), bytes_at(500, 510));
}

TEST_F(CommandLogTest, OtherComponentsAreOthers) {
  put(kA, 10, 20);
  auto other = CommandLog::open(*store_, "cach").value();
  EXPECT_THAT(other->ranges().value(), IsEmpty());
}

TEST(Streams, NamesOfPostgresAreNotOfRedis) {
  EXPECT_FALSE(parse_stream("db.7123456789012345678").has_value());
  EXPECT_FALSE(parse_stream("." + kA).has_value());
  EXPECT_FALSE(parse_stream(kA).has_value());
  EXPECT_FALSE(parse_stream("cache." + std::string(40, 'A')).has_value());
  ASSERT_TRUE(parse_stream("my.cache." + kA).has_value());
  EXPECT_EQ(parse_stream("my.cache." + kA)->component, "my.cache");
}

}  // namespace
}  // namespace holdfast::redis
