#include "source/postgres/wal_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "repo/test_clock.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/wal_push.h"

namespace holdfast::postgres {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSegment = TestWal::kSegmentBytes;
constexpr Time kNoon = Time::from_unix_seconds(1'800'000'000);

class WalGetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "walget.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    ASSERT_TRUE(fs_.make_directory(directory_ + "/pg_wal", 0700).ok());
    for (uint32_t i = 0; i < 6; i++) {
      wal_.commit(700 + i, kNoon + Duration::seconds(i));
      wal_.fill_segment();
      wal_.switch_segment();
    }
    for (size_t i = 0; i < 5; i++) ASSERT_TRUE(archive_->push(wal_.segment_name(i), wal_.segment(i)).ok());
    ASSERT_TRUE(archive_->push_part(1, Lsn{6 * kSegment}, wal_.bytes().subspan(5 * kSegment, 20'000)).ok());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  WalGetReport get(const std::string& name) {
    WalGetOptions options;
    options.name = name;
    options.destination = destination();
    options.look_ahead = 3;
    options.identity = {"db", TestWal::kSystemId, kSegment};
    opened_ = false;
    auto report = wal_get(fs_, options, [&]() -> Result<WalArchive*> {
      opened_ = true;
      if (closed_) return closed_->clone();
      return archive_.get();
    });
    if (report.outcome == WalGetOutcome::kFound && opened_) wal_look_ahead(fs_, options, *archive_);
    return report;
  }
  std::string destination() const { return directory_ + "/pg_wal/RECOVERYXLOG"; }
  void expect_segment(size_t number) {
    const auto content = read_file(fs_, destination());
    ASSERT_TRUE(content.ok());
    EXPECT_TRUE(equal(content.value(), wal_.segment(number))) << number;
    ASSERT_TRUE(fs_.remove_file(destination()).ok());
  }
  std::vector<std::string> spooled() {
    std::vector<std::string> names;
    const auto entries = fs_.list(directory_ + "/pg_wal/holdfast.spool");
    if (!entries.ok()) return names;
    for (const auto& entry : entries.value()) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    return names;
  }

  FileSystem& fs_ = real_file_system();
  std::string directory_;
  TestLogStore store_;
  repo::TestClock clock_;
  std::unique_ptr<WalArchive> archive_ = WalArchive::open(store_, clock_, {"db", TestWal::kSystemId, kSegment}).value();
  TestWal wal_;
  bool opened_ = false;
  std::optional<Error> closed_;
};

TEST_F(WalGetTest, ReadsAheadAndServesFromTheSpool) {
  EXPECT_EQ(get(wal_.segment_name(0)).outcome, WalGetOutcome::kFound);
  EXPECT_TRUE(opened_);
  expect_segment(0);
  ASSERT_EQ(spooled().size(), 3u);
  closed_ = make_error(ErrorCode::kUnavailable, "the store is away");
  for (size_t i = 1; i <= 3; i++) {
    const auto report = get(wal_.segment_name(i));
    EXPECT_EQ(report.outcome, WalGetOutcome::kFound);
    EXPECT_TRUE(report.from_spool);
    EXPECT_FALSE(opened_) << "neither keys nor store are needed";
    expect_segment(i);
  }
  // Not in the spool, and the store is away: trouble, not absence.
  const auto report = get(wal_.segment_name(4));
  EXPECT_EQ(report.outcome, WalGetOutcome::kTrouble);
  EXPECT_EQ(report.error->text(), "fetching 000000010000000000000005: the store is away");
  EXPECT_FALSE(exists(fs_, destination()).value());
  closed_.reset();
  EXPECT_EQ(get(wal_.segment_name(4)).outcome, WalGetOutcome::kFound);
  expect_segment(4);
  EXPECT_TRUE(spooled().empty()) << "the next one is not whole yet, so it is not read ahead";
  EXPECT_EQ(get(wal_.segment_name(5)).outcome, WalGetOutcome::kFound);
}

// PostgreSQL puts what it gets over its own copy: a standby that was stopped before the
// end of its log was stored would lose that end.
TEST_F(WalGetTest, TakesNothingFromASegmentThatTheServerHasMoreOf) {
  const std::string local = directory_ + "/pg_wal/" + wal_.segment_name(5);
  ASSERT_TRUE(write_file_durably(fs_, local, wal_.segment(5)).ok());
  EXPECT_EQ(get(wal_.segment_name(5)).outcome, WalGetOutcome::kFound);
  expect_segment(5);
  // A copy that says otherwise is of another history.
  Bytes other = Bytes::copy_of(wal_.segment(5));
  other[10'000] ^= 1;
  ASSERT_TRUE(write_file_durably(fs_, local, other).ok());
  EXPECT_EQ(get(wal_.segment_name(5)).outcome, WalGetOutcome::kFound);
  const auto content = read_file(fs_, destination());
  ASSERT_TRUE(content.ok());
  EXPECT_TRUE(equal(content.value().view(0, 20'000), ByteView(wal_.segment(5)).first(20'000)));
  EXPECT_TRUE(all_zero(content.value().view(20'000, kSegment - 20'000)));
}

TEST_F(WalGetTest, FetchesTheSameSegmentTwice) {
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(get(wal_.segment_name(1)).outcome, WalGetOutcome::kFound);
    expect_segment(1);
  }
}

TEST_F(WalGetTest, CallsAbsentOnlyWhatIsProvenAbsent) {
  EXPECT_EQ(get("000000010000000000000007").outcome, WalGetOutcome::kAbsent);
  EXPECT_EQ(get("00000002.history").outcome, WalGetOutcome::kAbsent);
  for (const ErrorCode code : {ErrorCode::kUnavailable, ErrorCode::kDamaged, ErrorCode::kPermission,
                               ErrorCode::kTimeout, ErrorCode::kNotFound})
    for (const char* name : {"000000010000000000000007", "000000010000000000000001", "00000002.history"}) {
      store_.break_down(make_error(code, "broken"));
      if (code != ErrorCode::kNotFound) {
        EXPECT_EQ(get(name).outcome, WalGetOutcome::kTrouble) << error_name(code) << " " << name;
      }
      store_.mend();
      closed_ = make_error(code, "no key opens with the passphrase");
      EXPECT_EQ(get(name).outcome, WalGetOutcome::kTrouble) << error_name(code) << " " << name;
      closed_.reset();
    }
  EXPECT_EQ(get("pg_hba.conf").outcome, WalGetOutcome::kTrouble);
}

// Where nothing of the cluster is stored, its component has another name or the repository is
// another: to call a segment absent would end recovery early.
TEST_F(WalGetTest, ProvesNoAbsenceFromAnEmptyLog) {
  // A history alone is no log: all WAL was removed.
  Bytes history = Bytes::copy_of(as_bytes("1\t0/3000000\tno recovery target specified\n"));
  ASSERT_TRUE(store_.put("db.12345", {"00000003.history", {}, std::move(history)}).ok());
  for (const WalArchive::Identity& identity :
       {WalArchive::Identity{"dbb", TestWal::kSystemId, kSegment}, WalArchive::Identity{"db", 12345, kSegment}}) {
    archive_ = WalArchive::open(store_, clock_, identity).value();
    for (const char* name : {"000000010000000000000007", "000000010000000000000001", "00000002.history"}) {
      const auto report = get(name);
      EXPECT_EQ(report.outcome, WalGetOutcome::kTrouble) << name;
      ASSERT_TRUE(report.error) << name;
      EXPECT_THAT(report.error->text(), HasSubstr("the repository holds no WAL of component")) << name;
    }
  }
}

// Case: prefetched WAL is read while it is still downloading, or after a crash has torn it.
TEST_F(WalGetTest, UsesNoSpooledFileThatIsNotWholeAndRight) {
  ASSERT_EQ(get(wal_.segment_name(0)).outcome, WalGetOutcome::kFound);
  const std::string spool = directory_ + "/pg_wal/holdfast.spool/";
  const auto names = spooled();
  ASSERT_EQ(names.size(), 3u);
  // The first: zeros where data was. The second: short. The third: still being written.
  Bytes zeroed = wal_.segment(1);
  std::fill(zeroed.begin() + 500'000, zeroed.end(), uint8_t{0});
  ASSERT_TRUE(write_file_durably(fs_, spool + names[0], zeroed).ok());
  ASSERT_TRUE(write_file_durably(fs_, spool + names[1], wal_.segment(2).view(0, 100'000)).ok());
  ASSERT_TRUE(fs_.rename(spool + names[2], spool + names[2] + ".tmp").ok());
  for (size_t i = 1; i <= 3; i++) {
    const auto report = get(wal_.segment_name(i));
    EXPECT_EQ(report.outcome, WalGetOutcome::kFound);
    EXPECT_FALSE(i == 1 && report.from_spool);
    expect_segment(i);
  }
}

TEST_F(WalGetTest, UsesNoSpooledFileOfAnotherPlaceTimelineOrCluster) {
  ASSERT_EQ(get(wal_.segment_name(0)).outcome, WalGetOutcome::kFound);
  const std::string spool = directory_ + "/pg_wal/holdfast.spool/";
  const auto names = spooled();
  // The second segment's content under the first's name, its checksum being right.
  ASSERT_TRUE(fs_.rename(spool + names[1], spool + names[0].substr(0, 24) + names[1].substr(24)).ok());
  ASSERT_TRUE(fs_.remove_file(spool + names[0]).ok());
  EXPECT_FALSE(get(wal_.segment_name(1)).from_spool);
  expect_segment(1);
  // Timeline 2's segment is not to be had from timeline 1's.
  EXPECT_EQ(get("000000020000000000000003").outcome, WalGetOutcome::kAbsent);
}

TEST_F(WalGetTest, LooksAheadPastNothing) {
  // One failing segment must not hide behind those that are read ahead, nor fail them.
  ASSERT_TRUE(archive_->expire({.from = Lsn{2 * kSegment}, .bases = {}}, false).ok());
  EXPECT_EQ(get(wal_.segment_name(0)).outcome, WalGetOutcome::kAbsent);
  ASSERT_TRUE(store_.remove(fmt::format("db.{}", TestWal::kSystemId), wal_.segment_name(2)).ok());
  EXPECT_EQ(get(wal_.segment_name(1)).outcome, WalGetOutcome::kFound);
  expect_segment(1);
  const auto report = get(wal_.segment_name(2));
  EXPECT_EQ(report.outcome, WalGetOutcome::kTrouble);
  EXPECT_THAT(report.error->text(), HasSubstr("the log has a gap"));
}

TEST_F(WalGetTest, LeavesNoSpoolBehindWhenRecoveryEnds) {
  ASSERT_EQ(get(wal_.segment_name(0)).outcome, WalGetOutcome::kFound);
  ASSERT_EQ(spooled().size(), 3u);
  EXPECT_EQ(get("00000002.history").outcome, WalGetOutcome::kAbsent);
  EXPECT_FALSE(exists(fs_, directory_ + "/pg_wal/holdfast.spool").value());
}

TEST_F(WalGetTest, PushesAFileAndKnowsWhoseItIs) {
  const std::string path = directory_ + "/pg_wal/" + wal_.segment_name(5);
  ASSERT_TRUE(write_file_durably(fs_, path, wal_.segment(5)).ok());
  const auto identity = identify_segment(fs_, path);
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity.value().system_id, TestWal::kSystemId);
  EXPECT_EQ(identity.value().segment_bytes, kSegment);
  EXPECT_EQ(identity.value().major, 15);
  EXPECT_TRUE(wal_push(fs_, *archive_, path, wal_.segment_name(5)).ok());
  EXPECT_TRUE(wal_push(fs_, *archive_, path, wal_.segment_name(5)).ok());
  EXPECT_TRUE(archive_->fetch_whole(wal_.segment_name(5)).value());
  EXPECT_EQ(wal_push(fs_, *archive_, path + "x", wal_.segment_name(5)).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace holdfast::postgres
