#include "source/postgres/wal_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "source/postgres/test_wal.h"
#include "source/postgres/wal_summary.h"

namespace holdfast::postgres {
namespace {

constexpr Time kNoon = Time::from_unix_seconds(1'800'000'000);

std::vector<WalEvent> read_all(const TestWal& wal, size_t step, std::optional<WalFault>* fault = nullptr) {
  std::vector<WalEvent> events;
  WalReader reader(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes,
                   [&](const WalEvent& event) { events.push_back(event); });
  for (ByteView rest = wal.bytes(); !rest.empty(); rest = rest.subspan(std::min(step, rest.size())))
    reader.feed(rest.first(std::min(step, rest.size())));
  if (fault) *fault = reader.fault();
  return events;
}

TEST(WalReader, TellsOfEventsWhateverTheBytesAreFedIn) {
  TestWal wal;
  const Lsn commit = wal.commit(700, kNoon);
  wal.filler(20'000);  // over two pages
  const Lsn abort = wal.abort(701, kNoon + Duration::seconds(1));
  const Lsn prepared = wal.commit_prepared(702, kNoon + Duration::seconds(2));
  const Lsn point = wal.restore_point("before the change", kNoon + Duration::seconds(3));
  wal.switch_segment();
  const Lsn last = wal.commit(703, kNoon + Duration::seconds(4));
  for (const size_t step : {size_t{1}, size_t{7}, size_t{8192}, size_t{1} << 22}) {
    std::optional<WalFault> fault;
    const auto events = read_all(wal, step, &fault);
    ASSERT_FALSE(fault) << fault->problem;
    ASSERT_EQ(events.size(), 5u) << "step " << step;
    EXPECT_EQ(events[0].start, commit);
    EXPECT_EQ(events[0].xid, 700u);
    EXPECT_EQ(events[0].time, kNoon);
    EXPECT_EQ(events[1].kind, WalEventKind::kAbort);
    EXPECT_EQ(events[1].start, abort);
    EXPECT_EQ(events[2].start, prepared);
    EXPECT_EQ(events[2].xid, 702u);
    EXPECT_EQ(events[3].start, point);
    EXPECT_EQ(events[3].name, "before the change");
    EXPECT_EQ(events[4].start, last);
  }
}

TEST(WalReader, FindsTheEndOfTheLogInASegmentFilledWithZeros) {
  TestWal wal;
  wal.filler(100);
  const Lsn last = wal.commit(700, kNoon);
  const Lsn end = wal.position();
  WalReader reader(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes, [](const WalEvent&) {});
  reader.feed(wal.segment(0));
  EXPECT_EQ(reader.last_record(), last);
  EXPECT_EQ(reader.last_end(), end);
  EXPECT_EQ(reader.zeros_at(), end);
  EXPECT_FALSE(reader.fault());
}

// Every byte of a record, and every byte of a page's header that means something, is proven.
TEST(WalReader, NoticesAnyFlippedBitOfARecord) {
  TestWal wal;
  wal.filler(300);
  wal.commit(700, kNoon);
  wal.filler(9000);
  const Bytes good = Bytes::copy_of(wal.bytes());
  for (size_t i = 40; i < good.size(); i++) {
    const size_t in_page = i % TestWal::kPageBytes;
    // A later timeline may begin on any page, and the header ends in padding.
    if (i > TestWal::kPageBytes && ((in_page >= 4 && in_page < 8) || (in_page >= 20 && in_page < 24))) continue;
    Bytes bad = Bytes::copy_of(good);
    bad[i] ^= 0x40;
    WalReader reader(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes, [](const WalEvent&) {});
    reader.feed(bad);
    const bool noticed = reader.fault() || reader.zeros_at() || reader.records() < 3;
    // Only the padding between records, which is zeros, may change unseen.
    ASSERT_TRUE(noticed || good[i] == 0) << "byte " << i;
  }
}

TEST(WalReader, RefusesPagesThatDoNotBelong) {
  TestWal wal;
  wal.filler(20'000);
  const auto fault_with = [&](size_t offset, uint8_t value) {
    Bytes bytes = Bytes::copy_of(wal.bytes());
    bytes[offset] = value;
    WalReader reader(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes, [](const WalEvent&) {});
    reader.feed(bytes);
    return reader.fault() ? reader.fault()->problem : "none";
  };
  EXPECT_EQ(fault_with(8192 + 8, 1), "a WAL page that claims to be at 0/102001");
  EXPECT_EQ(fault_with(8192 + 4, 0), "a WAL page of the older timeline 0");
  EXPECT_EQ(fault_with(8192 + 0, 0x16), "a WAL page of another PostgreSQL version");
  EXPECT_EQ(fault_with(8192 + 16, 1), "a WAL page that goes on with 11777 bytes of a record where 11877 are due");
  EXPECT_EQ(fault_with(0, 0x77), "the WAL page has magic D177, of a PostgreSQL version other than 13 to 18");
}

TEST(WalReader, PassesOverARecordThatACrashCutOff) {
  TestWal wal;
  wal.filler(9000);  // begins on the first page, ends on the second
  const Lsn start = Lsn{TestWal::kSegmentBytes};
  // The server crashed before it wrote the second page, and went on there.
  Bytes bytes(2 * 8192);
  std::copy_n(wal.bytes().begin(), 8192, bytes.begin());
  TestWal after(start);
  after.filler(7000);
  after.filler(2000);
  std::fill(bytes.begin() + 8192, bytes.end(), uint8_t{0});
  std::copy_n(wal.bytes().begin() + 8192, 24, bytes.begin() + 8192);
  bytes[8192 + 2] = 0x8;
  std::fill_n(bytes.begin() + 8192 + 16, 4, uint8_t{0});
  WalReader reader(start, TestWal::kSegmentBytes, [](const WalEvent&) {});
  reader.feed(bytes);
  EXPECT_FALSE(reader.fault()) << reader.fault()->problem;
  EXPECT_EQ(reader.zeros_at(), Lsn{start.value + 8192 + 24});
}

TEST(WalSummary, JoinsARecordThatLiesAcrossSegments) {
  TestWal wal;
  wal.fill_segment(0);
  // Fill so that the restore point begins in the first segment and ends in the second.
  while (wal.left_in_segment() > 64 + 32) wal.filler(1);
  ASSERT_GT(wal.left_in_segment(), 24u);
  const Lsn at = wal.restore_point("split", kNoon);
  wal.commit(700, kNoon);
  SegmentScanner first(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes);
  SegmentScanner second(Lsn{2 * TestWal::kSegmentBytes}, TestWal::kSegmentBytes);
  const WalSummary a = decode_summary(encode_summary(first.scan(wal.segment(0)))).value();
  const WalSummary b = decode_summary(encode_summary(second.scan(wal.segment(1)))).value();
  EXPECT_TRUE(a.restore_points.empty());
  EXPECT_TRUE(b.restore_points.empty());
  const auto joined = join_edges(a, b);
  ASSERT_TRUE(joined.ok()) << joined.error().text();
  ASSERT_TRUE(joined.value().has_value());
  EXPECT_EQ(joined.value()->name, "split");
  EXPECT_EQ(joined.value()->start, at);
  EXPECT_EQ(b.commits, 1u);
}

TEST(WalSummary, SumsUpWhatEachPartAdds) {
  TestWal wal;
  wal.commit(700, kNoon);
  const size_t half = wal.bytes().size() - 10;  // within the commit
  wal.commit(701, kNoon + Duration::seconds(5));
  wal.restore_point("here", kNoon);
  SegmentScanner scanner(Lsn{TestWal::kSegmentBytes}, TestWal::kSegmentBytes);
  const WalSummary first = scanner.scan(wal.bytes().first(half));
  const WalSummary second = scanner.scan(wal.bytes().subspan(half));
  EXPECT_EQ(first.commits, 0u);
  EXPECT_FALSE(first.last_record);
  EXPECT_TRUE(first.tail_start);
  EXPECT_EQ(second.commits, 2u);
  EXPECT_EQ(second.first_commit, kNoon);
  EXPECT_EQ(second.last_commit, kNoon + Duration::seconds(5));
  EXPECT_EQ(second.min_xid, 700u);
  EXPECT_EQ(second.max_xid, 701u);
  ASSERT_EQ(second.restore_points.size(), 1u);
  EXPECT_EQ(second.to, wal.position());
}

TEST(WalSummary, RefusesDamagedBytes) {
  WalSummary summary;
  summary.restore_points.push_back({"caf\xe9", Lsn{1}, Lsn{2}, kNoon});
  const Bytes good = encode_summary(summary);
  EXPECT_EQ(decode_summary(good).value().restore_points[0].name, "caf\xe9");
  EXPECT_TRUE(decode_summary(good).value().tablespaces_complete);
  EXPECT_EQ(decode_summary(good.view(0, good.size() / 2)).error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(decode_summary(as_bytes("{}")).error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(decode_summary(as_bytes("{\"version\":2}")).error().text(),
            "a WAL record's summary has version 2 (use the holdfast that wrote it, or a newer one)");
  // A position that no 64 bits hold: a conversion of it would have no defined result.
  std::string text(as_text(good));
  const size_t at = text.find("\"from\":") + 7;
  text.replace(at, text.find_first_of(",}", at) - at, "1.04935e+73");
  EXPECT_EQ(decode_summary(as_bytes(text)).error().code(), ErrorCode::kDamaged);
}

}  // namespace
}  // namespace holdfast::postgres
