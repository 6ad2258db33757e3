// What has broken other tools while they copied a live cluster, one test each.

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/subprocess.h"
#include "repo/tree.h"
#include "source/postgres/capture.h"
#include "source/postgres/control_file.h"
#include "source/postgres/crc32c.h"
#include "source/postgres/page.h"
#include "source/postgres/region_reader.h"
#include "source/postgres/test_meddling.h"
#include "source/postgres/test_rig.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {
namespace {

// A relation file that no catalog knows: ours to play with.
constexpr const char* kName = "base/1/999999";

// A heap page without rows.
Bytes make_page(uint32_t block, uint64_t lsn, uint8_t filler) {
  Bytes page = Bytes::zeros(kPageBytes);
  const uint32_t words[] = {static_cast<uint32_t>(lsn >> 32), static_cast<uint32_t>(lsn)};
  std::memcpy(page.data(), words, 8);
  const uint16_t header[] = {0, 0, 24, 4096, 8192, 8192 | 4};
  std::memcpy(page.data() + 8, header, sizeof header);
  std::memset(page.data() + 4096, filler, 4096);
  const uint16_t sum = page_checksum(page.data(), block);
  std::memcpy(page.data() + 8, &sum, 2);
  return page;
}

Result<void> run_program(std::vector<std::string> argv) {
  CommandOptions command;
  command.argv = std::move(argv);
  command.deadline = Duration::seconds(120);
  TRY(run_command_checked(command));
  return {};
}

class CaptureCases : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SERVER();
    auto made = TestCluster::create();
    ASSERT_OK(made);
    cluster_ = std::move(made).value();
    rig_ = std::make_unique<TestRig>(fs_);
  }
  std::string path(const std::string& name = kName) const { return cluster_->data() + "/" + name; }
  void write_pages(uint32_t count, uint64_t lsn, uint8_t filler, const std::string& name = kName) {
    std::ofstream out(path(name), std::ios::binary | std::ios::trunc);
    for (uint32_t block = 0; block < count; block++) {
      const Bytes page = make_page(block, lsn, filler);
      out.write(reinterpret_cast<const char*>(page.data()), kPageBytes);
    }
  }
  std::map<std::string, repo::Entry> entries(const repo::Snapshot& snapshot) {
    std::map<std::string, repo::Entry> all;
    auto reader = repo::TreeReader::open(rig_->repository(), snapshot.root);
    EXPECT_TRUE(reader.ok());
    while (true) {
      auto entry = reader.value()->next();
      EXPECT_TRUE(entry.ok());
      if (!entry.ok() || !entry.value()) return all;
      all[entry.value()->path] = *entry.value();
    }
  }
  Bytes content(const repo::Entry& entry) {
    std::vector<repo::Extent> extents;
    EXPECT_TRUE(repo::for_each_extent(rig_->repository(), entry.content,
                                      [&](uint64_t, const repo::Extent& extent) -> Result<void> {
                                        extents.push_back(extent);
                                        return {};
                                      })
                    .ok());
    Bytes bytes(entry.size_bytes);
    const auto read = RegionReader(rig_->repository()).read(extents, bytes.mutable_view());
    EXPECT_TRUE(read.ok()) << read.error().text();
    return bytes;
  }
  // An old LSN: pages that carry it count as unchanged since any snapshot.
  static constexpr uint64_t kOldLsn = 0x1000028;

  MeddlingFileSystem fs_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<TestRig> rig_;
};

// Case 1. A file written within one tick of its timestamp, before and after
// it was read, looks the same: it is not believed until the tick is well past.
TEST_F(CaptureCases, Case01ChangesWithinOneTimestampTickAreSeen) {
  write_pages(16, 0x7fffffffff, 'a', "base/1/999999_fsm");
  // However long the capture takes, it reads the file within the tick.
  const int64_t tick = system_clock().now().ns / 1'000'000'000 + 3600;
  const struct timespec ahead[] = {{tick, 0}, {tick, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("base/1/999999_fsm").c_str(), ahead, 0), 0);
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  struct stat before{};
  ASSERT_EQ(::stat(path("base/1/999999_fsm").c_str(), &before), 0);
  const repo::Entry entry = entries(first.value())["base/1/999999_fsm"];
  // The snapshot's times are those on disk, yet the file is read again.
  ASSERT_EQ(entry.modified.ns, before.st_mtim.tv_sec * 1'000'000'000 + before.st_mtim.tv_nsec);
  std::atomic<bool> opened = false;
  fs_.before_open = [&](const std::string& opening) {
    if (opening == path("base/1/999999_fsm")) opened = true;
  };
  auto second = rig_->capture(*cluster_, &first.value());
  ASSERT_OK(second);
  EXPECT_TRUE(opened);
}

TEST_F(CaptureCases, SettledFilesAreTakenOverUnread) {
  write_pages(16, kOldLsn, 'a');
  const struct timespec long_ago[] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path().c_str(), long_ago, 0), 0);
  struct stat status{};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  while (system_clock().now() < Time::from_unix_seconds(status.st_ctim.tv_sec + 4))
    system_clock().sleep(Duration::milliseconds(50));
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  std::atomic<bool> opened = false;
  fs_.before_open = [&](const std::string& opening) {
    if (opening == path()) opened = true;
  };
  auto second = rig_->capture(*cluster_, &first.value());
  ASSERT_OK(second);
  EXPECT_FALSE(opened);
  EXPECT_LT(second.value().read_bytes, first.value().read_bytes / 2);
  EXPECT_TRUE(equal(content(entries(second.value())[kName]), content(entries(first.value())[kName])));
}

// Case 2.
TEST_F(CaptureCases, Case02FilesThatGrowShrinkOrVanishMeanwhile) {
  write_pages(8, kOldLsn, 'g', "base/1/999991");
  write_pages(8, kOldLsn, 's', "base/1/999992");
  write_pages(8, kOldLsn, 'v', "base/1/999993");
  fs_.before_open = [&](const std::string& opening) {
    if (opening == path("base/1/999991")) {
      std::ofstream(opening, std::ios::binary | std::ios::app) << std::string(3 * kPageBytes, '\0');
    } else if (opening == path("base/1/999992")) {
      EXPECT_EQ(::truncate(opening.c_str(), 3 * kPageBytes), 0);
    } else if (opening == path("base/1/999993")) {
      ::unlink(opening.c_str());
    }
  };
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  EXPECT_TRUE(snapshot.value().faults.empty());
  auto all = entries(snapshot.value());
  EXPECT_EQ(all["base/1/999991"].size_bytes, 8 * kPageBytes);
  EXPECT_EQ(all["base/1/999992"].size_bytes, 3 * kPageBytes);
  EXPECT_FALSE(all.contains("base/1/999993"));
}

// Case 3. A file made again under the same name brings pages whose LSNs
// say nothing about the file before.
TEST_F(CaptureCases, Case03RelationDroppedAndMadeAgainBetweenIncrementals) {
  write_pages(40, kOldLsn, 'a');
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  ASSERT_EQ(::unlink(path().c_str()), 0);
  write_pages(40, kOldLsn, 'b');
  auto second = rig_->capture(*cluster_, &first.value());
  ASSERT_OK(second);
  EXPECT_TRUE(second.value().incremental);
  const Bytes bytes = content(entries(second.value())[kName]);
  for (uint32_t block = 0; block < 40; block++) EXPECT_EQ(bytes[block * kPageBytes + 5000], 'b') << block;
}

// Case 13. HOLDFAST_MANY_FILES=N takes another number.
TEST_F(CaptureCases, Case13NoFileOfALongListIsLost) {
  const char* wanted = std::getenv("HOLDFAST_MANY_FILES");
  const int files = wanted != nullptr ? std::atoi(wanted) : 20'000;
  for (int i = 0; i < files; i++) std::ofstream(path("base/1/" + std::to_string(1'000'000 + i)));
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  auto all = entries(snapshot.value());
  for (int i = 0; i < files; i++) ASSERT_TRUE(all.contains("base/1/" + std::to_string(1'000'000 + i))) << i;
}

// Case 15.
TEST_F(CaptureCases, Case15TheFirstSnapshotOfANewRepositoryLeavesNoHoleInTheWal) {
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  auto source = snapshot_source(snapshot.value());
  ASSERT_OK(source);
  auto archive = rig_->archive(snapshot.value());
  ASSERT_OK(archive);
  auto gaps = archive.value()->gaps(source.value().timeline, source.value().start, source.value().stop);
  ASSERT_OK(gaps);
  EXPECT_TRUE(gaps.value().empty());
}

// Case 16.
TEST_F(CaptureCases, Case16BadPagesAreReportedByRelationAndBlockEachTime) {
  write_pages(20, kOldLsn, 'x');
  const auto spoil = [&](uint32_t block, size_t offset, uint16_t value) {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(block * kPageBytes + offset));
    file.write(reinterpret_cast<const char*>(&value), 2);
  };
  spoil(3, 8, 0);           // checksum 0
  spoil(7, 12, 9000);       // header
  spoil(11, 6000, 0x1234);  // content
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot.value().faults,
            (std::vector<std::string>{"bad page: base/1/999999, block 3: checksum is wrong",
                                      "bad page: base/1/999999, block 7: header is not valid",
                                      "bad page: base/1/999999, block 11: checksum is wrong"}));
  EXPECT_EQ(snapshot.value().source["bad_pages"][1],
            nlohmann::json({{"path", kName}, {"relation", 999999}, {"block", 7}, {"problem", "header is not valid"}}));
  EXPECT_EQ(snapshot.value().source["bad_page_count"], 3);
  auto again = rig_->capture(*cluster_, &snapshot.value());
  ASSERT_OK(again);
  EXPECT_EQ(again.value().faults.size(), 3u);
  auto verified = verify_offline(rig_->world, rig_->repository(), again.value());
  ASSERT_OK(verified);
  ASSERT_EQ(verified.value().findings.size(), 3u);
  EXPECT_EQ(verified.value().findings[1].object, "base/1/999999, block 7");
}

// Each page could be in the middle of being written; all of them can't be.
TEST_F(CaptureCases, AFileOfBadPagesDoesNotHoldTheCaptureUp) {
  constexpr uint32_t kPages = 300;
  write_pages(kPages, kOldLsn, 'x');
  std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
  for (uint32_t block = 0; block < kPages; block++) {
    file.seekp(static_cast<std::streamoff>(block * kPageBytes + 6000));
    file << 'y';
  }
  file.close();
  std::atomic<uint32_t> reads = 0;
  fs_.after_read = [&](const std::string& reading, uint64_t, MutableByteView read) {
    if (reading == path() && read.size() == kPageBytes) reads++;
  };
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot.value().source["bad_pages"].size(), kPages);
  EXPECT_LT(reads, 25u * 200 + kPages * 5);
  EXPECT_GT(reads, 10u * 200) << "those that are first are waited for";
}

// Case 17. A page caught in the middle of being written is read again.
TEST_F(CaptureCases, Case17TornPagesAreReadAgainUntilTheyAreWhole) {
  write_pages(20, kOldLsn, 'x');
  std::atomic<int> torn_reads = 2;
  fs_.after_read = [&](const std::string& reading, uint64_t offset, MutableByteView read) {
    const uint64_t at = 5 * kPageBytes + 4096;
    if (reading != path() || offset > at || at >= offset + read.size() || torn_reads == 0) return;
    torn_reads--;
    std::memset(read.data() + (at - offset), 'y', 512);
  };
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  EXPECT_EQ(torn_reads, 0);
  EXPECT_TRUE(snapshot.value().faults.empty());
  EXPECT_EQ(content(entries(snapshot.value())[kName])[5 * kPageBytes + 5000], 'x');
}

// Its bytes keep changing and its LSN says that it was written since the start:
// the WAL has it whole.
TEST_F(CaptureCases, Case17APageThatKeepsChangingIsLeftToTheWalOnlyIfItIsNew) {
  write_pages(20, kOldLsn, 'n', "base/1/999991");
  write_pages(20, 0x7f00000000, 'l', "base/1/999993");
  write_pages(20, kOldLsn, 'o', "base/1/999992");
  write_pages(20, 0x7f00000000, 's', "base/1/999994");
  // Once the capture has begun: an LSN of now.
  fs_.before_open = [&](const std::string& opening) {
    if (opening != path("base/1/999991")) return;
    auto now = cluster_->sql("select pg_current_wal_insert_lsn()");
    EXPECT_TRUE(now.ok());
    if (now.ok()) write_pages(20, parse_lsn(now.value()).value().value, 'n', "base/1/999991");
  };
  std::atomic<uint8_t> count = 0;
  fs_.after_read = [&](const std::string& reading, uint64_t offset, MutableByteView read) {
    const uint64_t at = 5 * kPageBytes + 4096;
    if (offset > at || at >= offset + read.size()) return;
    // Never the byte that stands there, which would make the page whole.
    const bool changing = reading >= path("base/1/999991") && reading <= path("base/1/999993");
    if (changing) read[at - offset] = static_cast<uint8_t>(0x80 | (++count % 64));
    if (reading == path("base/1/999994")) read[at - offset] = 'z';
  };
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  // The last one says that it was written later than the capture ended.
  EXPECT_EQ(snapshot.value().faults, (std::vector<std::string>{"bad page: base/1/999992, block 5: checksum is wrong",
                                                               "bad page: base/1/999994, block 5: checksum is wrong",
                                                               "bad page: base/1/999993, block 5: checksum is wrong"}));
  EXPECT_EQ(snapshot.value().source["torn_pages"].size(), 1u);
  EXPECT_EQ(snapshot.value().source["torn_pages"][0]["path"], "base/1/999991");
}

TEST_F(CaptureCases, AServerThatStandsBeforeThePreviousSnapshotIsReadInFull) {
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  repo::Snapshot ahead = first.value();
  ahead.source["stop_lsn"] = "FF/0";
  auto second = rig_->capture(*cluster_, &ahead);
  ASSERT_OK(second);
  EXPECT_FALSE(second.value().incremental);
}

// As in Debian, whose settings are in /etc.
TEST_F(CaptureCases, SettingsOutsideOfTheDataDirectoryAreStoredOrNamed) {
  const std::string hba = cluster_->scratch() + "/pg_hba.conf";
  ASSERT_OK(run_program({"mv", path("pg_hba.conf"), hba}));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(cluster_->append_configuration("hba_file = '" + hba + "'\n"));
  ASSERT_OK(cluster_->start());
  auto by_files = rig_->capture(*cluster_);
  ASSERT_OK(by_files);
  EXPECT_TRUE(by_files.value().faults.empty());
  EXPECT_EQ(by_files.value().source["settings_left_out"], nlohmann::json::array());
  EXPECT_TRUE(entries(by_files.value()).contains(".holdfast/config/pg_hba.conf"));
  auto restored = rig_->restore(by_files.value());
  ASSERT_OK(restored);
  EXPECT_TRUE(exists(real_file_system(), restored.value()->data() + "/pg_hba.conf").value());
  auto by_protocol = rig_->capture(*cluster_, nullptr, CaptureMethod::kProtocol);
  ASSERT_OK(by_protocol);
  EXPECT_TRUE(by_protocol.value().faults.empty());
  EXPECT_EQ(by_protocol.value().source["settings_left_out"], nlohmann::json({hba}));
}

TEST_F(CaptureCases, AServerThatWasPromotedIsReadInFull) {
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(write_file_durably(fs_, path("standby.signal"), Bytes(), 0600));
  cluster_->own(path("standby.signal"));
  ASSERT_OK(cluster_->start());
  ASSERT_OK(cluster_->sql("select pg_promote()"));
  ASSERT_OK(TestRig::wait_for_promotion(*cluster_));
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    auto second = rig_->capture(*cluster_, &first.value(), method);
    ASSERT_OK(second);
    EXPECT_EQ(second.value().source["timeline"], 2);
    EXPECT_FALSE(second.value().incremental);
    EXPECT_EQ(second.value().source["incremental"], "");
  }
}

TEST_F(CaptureCases, AClusterWhoseChecksumsWereSwitchedIsReadInFull) {
  auto before = rig_->capture(*cluster_);
  ASSERT_OK(before);
  for (const std::string change : {"--disable", "--enable"}) {
    ASSERT_OK(cluster_->stop());
    ASSERT_OK(cluster_->run({"pg_checksums", change, "-D", cluster_->data()}));
    ASSERT_OK(cluster_->start());
    auto after = rig_->capture(*cluster_, &before.value());
    ASSERT_OK(after);
    EXPECT_EQ(after.value().source["checksums"], change == "--enable");
    EXPECT_FALSE(after.value().incremental);
    EXPECT_EQ(after.value().source["incremental"], "");
    before = std::move(after);
  }
}

// Garbage comes over a connection as it is; it is no page that was being written.
TEST_F(CaptureCases, GarbageIsNoTornPage) {
  write_pages(20, kOldLsn, 'x');
  std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(3 * kPageBytes);
  file << std::string(kPageBytes, '\x9c');
  file.close();
  auto snapshot = rig_->capture(*cluster_, nullptr, CaptureMethod::kProtocol);
  ASSERT_OK(snapshot);
  ASSERT_EQ(snapshot.value().faults.size(), 1u);
  EXPECT_TRUE(snapshot.value().faults[0].starts_with("bad page: base/1/999999, block 3: "));
}

// Who repairs a page puts an old one in its place.
TEST_F(CaptureCases, ARepairedPageIsTakenAnew) {
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    write_pages(20, kOldLsn, 'x');
    std::fstream(path(), std::ios::binary | std::ios::in | std::ios::out).seekp(3 * kPageBytes + 6000) << "spoilt";
    auto first = rig_->capture(*cluster_, nullptr, method);
    ASSERT_OK(first);
    EXPECT_EQ(first.value().faults.size(), 1u);
    const Bytes page = make_page(3, kOldLsn, 'x');
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(3 * kPageBytes);
    file.write(reinterpret_cast<const char*>(page.data()), kPageBytes);
    file.close();
    auto second = rig_->capture(*cluster_, &first.value(), method);
    ASSERT_OK(second);
    EXPECT_TRUE(second.value().incremental);
    EXPECT_TRUE(second.value().faults.empty());
    const Bytes stored = content(entries(second.value())[kName]);
    EXPECT_TRUE(equal(stored.view(3 * kPageBytes, kPageBytes), page));
  }
}

// The machine went back to an earlier state and lived on: pages of both histories have the
// same LSNs.
TEST_F(CaptureCases, AServerThatWasSetBackGivesItsOwnPages) {
  const std::string old = cluster_->scratch() + "/old";
  const auto go_on = [&](int segments) {
    for (int i = 0; i < segments; i++)
      ASSERT_OK(cluster_->sql("select pg_logical_emit_message(false, '', ''), pg_switch_wal()"));
  };
  const auto live = [&](const std::string& word) {
    ASSERT_OK(cluster_->sql("update t set word = '" + word + "'"));
    ASSERT_OK(cluster_->sql("checkpoint"));
    go_on(3);  // before the next snapshot begins
  };
  // Too large to be counted, which would set hints and by them new LSNs.
  ASSERT_OK(
      cluster_->sql("create table t as select g, 'aaa' as word, repeat('x', 90) from generate_series(1, 100000) g"));
  ASSERT_OK(cluster_->sql("vacuum t"));
  for (const CaptureMethod method : {CaptureMethod::kFiles, CaptureMethod::kProtocol}) {
    ASSERT_OK(cluster_->stop());
    ASSERT_OK(run_program({"cp", "-a", cluster_->data(), old}));
    ASSERT_OK(cluster_->start());
    live("bbb");
    auto first = rig_->capture(*cluster_, nullptr, method);
    ASSERT_OK(first);
    ASSERT_OK(cluster_->stop());
    ASSERT_OK(run_program({"rm", "-r", cluster_->data() + "/pg_wal"}));
    ASSERT_OK(run_program({"cp", "-a", old + "/.", cluster_->data()}));  // in place: the files are the same ones
    ASSERT_OK(cluster_->start());
    live("ccc");
    go_on(9);
    auto second = rig_->capture(*cluster_, &first.value(), method);
    ASSERT_OK(second);
    EXPECT_TRUE(second.value().incremental);
    auto restored = rig_->restore(second.value());
    ASSERT_OK(restored);
    EXPECT_EQ(restored.value()->sql("select string_agg(distinct word, ' ') from t").value(), "ccc");
    ASSERT_OK(run_program({"rm", "-r", old}));
  }
}

// As above, but the log of the life it lost is stored, and fits to that of the new one by its links.
TEST_F(CaptureCases, AServerThatWasSetBackDoesNotGoByTheLogOfTheLifeItLost) {
  const std::string old = cluster_->scratch() + "/old";
  ASSERT_OK(cluster_->append_configuration("wal_keep_size = '1GB'\n"));
  ASSERT_OK(cluster_->sql("create table t as select g, 'aaa' as word from generate_series(1, 1000) g"));
  ASSERT_OK(cluster_->sql("vacuum t"));
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(run_program({"cp", "-a", cluster_->data(), old}));
  ASSERT_OK(cluster_->start());
  ASSERT_OK(cluster_->sql("update t set word = 'bbb'"));
  auto first = rig_->capture(*cluster_);
  ASSERT_OK(first);
  const uint64_t size = snapshot_source(first.value()).value().segment_bytes;
  Lsn end = segment_start(parse_lsn(cluster_->sql("select pg_current_wal_insert_lsn()").value()).value(), size);
  auto archive = rig_->archive(first.value());
  ASSERT_OK(archive);
  for (int i = 0; i < 3; i++, end.value += size) {
    ASSERT_OK(cluster_->sql("select pg_logical_emit_message(false, '', ''), pg_switch_wal()"));
    const std::string name = segment_name(1, end, size);
    const auto content = read_file(real_file_system(), path("pg_wal/" + name), size);
    ASSERT_OK(content);
    ASSERT_OK(archive.value()->push(name, content.value()));
  }
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(run_program({"rm", "-r", cluster_->data() + "/pg_wal"}));
  ASSERT_OK(run_program({"cp", "-a", old + "/.", cluster_->data()}));
  ASSERT_OK(cluster_->start());
  ASSERT_OK(cluster_->sql("update t set word = 'ccc'"));
  while (parse_lsn(cluster_->sql("select pg_current_wal_insert_lsn()").value()).value().value < end.value + 2 * size)
    ASSERT_OK(cluster_->sql("select pg_logical_emit_message(false, '', ''), pg_switch_wal()"));
  auto second = rig_->capture(*cluster_, &first.value());
  ASSERT_OK(second);
  EXPECT_EQ(second.value().source["incremental"], "pages");
  auto restored = rig_->restore(second.value());
  ASSERT_OK(restored);
  EXPECT_EQ(restored.value()->sql("select string_agg(distinct word, ' ') from t").value(), "ccc");
}

// A directory of the same cluster whose server may have been started in the same second.
TEST_F(CaptureCases, ADirectoryOfAnotherServerOfTheClusterIsNotTaken) {
  const std::string copy = cluster_->scratch() + "/copy";
  ASSERT_OK(cluster_->stop());
  ASSERT_OK(run_program({"cp", "-a", cluster_->data(), copy}));
  ASSERT_OK(cluster_->start());
  ASSERT_OK(run_program({"cp", cluster_->data() + "/postmaster.pid", copy}));
  auto session = repo::WriteSession::begin(rig_->repository(), {});
  ASSERT_OK(session);
  CaptureOptions options;
  options.component = "db";
  options.connection = &cluster_->connection();
  options.data_directory = copy;
  options.method = CaptureMethod::kFiles;
  const auto primary = capture(rig_->world, *session.value(), options, nullptr);
  ASSERT_FALSE(primary.ok());
  EXPECT_EQ(primary.error().code(), ErrorCode::kMismatch);
  EXPECT_NE(primary.error().text().find("is before the one with which the backup began"), std::string::npos);

  const std::string control = copy + "/global/pg_control";
  Bytes bytes = read_file(real_file_system(), control).value();
  const uint32_t in_recovery = 5;
  const auto crc_offset = static_cast<size_t>(parse_control_file(bytes).value().crc_offset);
  std::memcpy(bytes.data() + 16, &in_recovery, sizeof in_recovery);
  const uint32_t crc = crc32c_finish(crc32c_update(kCrc32cStart, bytes.view(0, crc_offset)));
  std::memcpy(bytes.data() + crc_offset, &crc, sizeof crc);
  ASSERT_OK(write_file_durably(real_file_system(), control, bytes, 0600));
  const auto standby = capture(rig_->world, *session.value(), options, nullptr);
  ASSERT_FALSE(standby.ok());
  EXPECT_NE(standby.error().text().find("is that of a standby"), std::string::npos) << standby.error().text();
}

TEST_F(CaptureCases, EmptyAndFullyZeroFilesAreHoles) {
  const std::ofstream empty(path("base/1/999991"));
  std::ofstream(path("base/1/999992"), std::ios::binary) << std::string(100 * kPageBytes, '\0');
  auto snapshot = rig_->capture(*cluster_);
  ASSERT_OK(snapshot);
  auto all = entries(snapshot.value());
  EXPECT_EQ(all["base/1/999991"].size_bytes, 0u);
  ASSERT_EQ(all["base/1/999992"].content.extents.size(), 1u);
  EXPECT_FALSE(all["base/1/999992"].content.extents[0].block);
}

}  // namespace
}  // namespace holdfast::postgres
