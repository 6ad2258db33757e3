// Covers: a store that answers late, or never, makes no segment absent: a recovery that asks for
// one waits, or is told of trouble.

#include <gtest/gtest.h>

#include <future>

#include "base/filesystem.h"
#include "servers/scratch.h"
#include "servers/wait.h"
#include "source/postgres/test_log_store.h"
#include "source/postgres/test_wal.h"
#include "source/postgres/wal_get.h"
#include "wal/troubled_log_store.h"

namespace holdfast::wal_test {
namespace {

using namespace postgres;
using servers::wait_until;

constexpr uint64_t kSegment = TestWal::kSegmentBytes;
constexpr Time kNoon = Time::from_unix_seconds(1'800'000'000);
constexpr size_t kMostReads = 20;  // more than one wal_get asks of the store

class SlowReads : public ::testing::Test {
 protected:
  SlowReads() {
    const auto archive = open_archive();
    for (uint32_t i = 0; i < 3; i++) {
      wal_.commit(700 + i, kNoon + Duration::seconds(i));
      wal_.fill_segment();
      wal_.switch_segment();
    }
    EXPECT_TRUE(archive->push(wal_.segment_name(0), wal_.segment(0)).ok());
    EXPECT_TRUE(archive->push_part(1, Lsn{2 * kSegment}, wal_.bytes().subspan(kSegment, 20'000)).ok());
  }
  std::unique_ptr<WalArchive> open_archive() {
    return WalArchive::open(store_, system_clock(), {"db", TestWal::kSystemId, kSegment}).value();
  }
  // As restore_command does, in a process that has read nothing yet.
  std::future<WalGetOutcome> get(const std::string& name) {
    return std::async(std::launch::async, [this, name] {
      WalGetOptions options;
      options.name = name;
      options.destination = scratch_.file("got");
      options.identity = {"db", TestWal::kSystemId, kSegment};
      const auto archive = open_archive();
      const auto report = wal_get(real_file_system(), options, [&]() -> Result<WalArchive*> { return archive.get(); });
      if (report.outcome == WalGetOutcome::kFound) wal_look_ahead(real_file_system(), options, *archive);
      return report.outcome;
    });
  }
  static bool is_done(const std::future<WalGetOutcome>& outcome) {
    return outcome.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  // Whether it waits for an answer; false when it needed no more than those it had.
  bool waits(const std::future<WalGetOutcome>& outcome) {
    EXPECT_TRUE(wait_until([&] { return store_.reads_waiting() > 0 || is_done(outcome); }));
    return !is_done(outcome);
  }
  void clear_spool() { ASSERT_TRUE(remove_tree(real_file_system(), scratch_.file("holdfast.spool")).ok()); }

  servers::ScratchDirectory scratch_ = servers::ScratchDirectory::create().value();
  TestLogStore records_;
  TroubledLogStore store_{records_};
  TestWal wal_;
  const std::vector<std::string> stored_ = {wal_.segment_name(0), wal_.segment_name(1)};
  const std::vector<std::string> absent_ = {wal_.segment_name(2), "00000002.history"};
};

TEST_F(SlowReads, AreWaitedFor) {
  for (const std::string& name : {stored_[0], stored_[1], absent_[0], absent_[1]}) {
    const bool stored = name == stored_[0] || name == stored_[1];
    size_t answered = 0;
    for (; answered < kMostReads; answered++) {
      clear_spool();
      store_.hold_reads_after(answered);
      auto outcome = get(name);
      const bool waited = waits(outcome);
      store_.mend();
      EXPECT_EQ(outcome.get(), stored ? WalGetOutcome::kFound : WalGetOutcome::kAbsent) << name;
      if (!waited) break;
    }
    EXPECT_GT(answered, 0u) << name;
    EXPECT_LT(answered, kMostReads) << name;
  }
}

TEST_F(SlowReads, ThatComeToNothingProveNoAbsence) {
  for (const std::string& name : {stored_[0], stored_[1], absent_[0], absent_[1]}) {
    const bool stored = name == stored_[0] || name == stored_[1];
    for (size_t answered = 0; answered < kMostReads; answered++) {
      clear_spool();
      store_.hold_reads_after(answered);
      auto outcome = get(name);
      const bool waited = waits(outcome);
      store_.fail_reads();
      const WalGetOutcome found = outcome.get();
      store_.mend();
      if (!waited) break;
      // Once it is there, what is read ahead may fail.
      EXPECT_TRUE(found == WalGetOutcome::kTrouble || (stored && found == WalGetOutcome::kFound))
          << name << " after " << answered << " answers";
    }
  }
}

}  // namespace
}  // namespace holdfast::wal_test
