#include "source/redis/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "source/redis/crc64.h"
#include "source/redis/test_content.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Position kStart{kTestReplid, 1000};
const Time kTaken = Time::from_unix_seconds(1'700'000'000);

template <typename T>
T take(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().text());
  return std::move(result).value();
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    auto server = take(rig_.serve("original"));
    auto session = take(server->connect());
    auto filled = fill_with_everything(*session);
    EXPECT_TRUE(filled.ok()) << filled.error().text();
    // In the file, and gone from any server that loads it.
    EXPECT_TRUE(session->command({"DEBUG", "SET-ACTIVE-EXPIRE", "0"}).ok());
    EXPECT_TRUE(session->command({"SET", "passes", "x", "PX", "1"}).ok());
    snapshot_ = take(rig_.snapshot_of(*server, "original", kStart, kTaken));
    file_ = take(read_file(rig_.world.fs, rig_.path("original/dump.rdb")));
  }

  source::VerifyReport offline(const std::string& commands = "") {
    auto log = take(rig_.store_log(kStart, {{kTaken + Duration::seconds(1), commands}}));
    return take(verify_offline(rig_.world, rig_.repository(), *log, snapshot_));
  }
  source::VerifyReport boot() {
    auto log = take(rig_.store_log(kStart, {}));
    BootOptions options;
    options.scratch_directory = rig_.path("scratch");
    return take(verify_by_booting(rig_.world, rig_.repository(), *log, snapshot_, options));
  }

  RestoreRig rig_;
  repo::Snapshot snapshot_;
  Bytes file_;
};

TEST_F(VerifyTest, OfflineReadsAllOfIt) {
  const auto report = offline(encoded({"SELECT", "0"}) + encoded({"SET", "k", "v"}));
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.details["keys"], 27);
  EXPECT_EQ(report.details["databases"]["15"], 3);
  EXPECT_EQ(report.details["command_bytes"], 50);
}

TEST_F(VerifyTest, OfflineFindsDamage) {
  file_[file_.size() / 2] ^= 1;
  snapshot_ = take(rig_.store_rdb(file_, kStart, kTaken));
  const auto report = offline("this is no command\r\n");
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_EQ(report.findings[0].object, "dump.rdb");
  EXPECT_THAT(report.findings[1].problem, HasSubstr("no command"));
}

// Covers: every key, type, time and value as a real server has it; nothing left behind.
TEST_F(VerifyTest, BootComparesEveryKey) {
  const auto report = boot();
  for (const auto& finding : report.findings) ADD_FAILURE() << finding.object << ": " << finding.problem;
  EXPECT_EQ(report.details["keys"], 26);
  EXPECT_EQ(report.details["expired"], 1);
  EXPECT_TRUE(take(is_empty_directory(rig_.world.fs, rig_.path("scratch"))));
}

// Covers: a file whose checksum is right and whose content no server loads.
TEST_F(VerifyTest, BootSaysWhatTheServerSaidOfAFileItRefuses) {
  std::string records(
      "REDIS0010\xfe\x00\x10\x01h\x04"
      "junk\xff",
      20);
  const uint64_t crc = crc64(0, as_bytes(records));
  for (int i = 0; i < 8; i++) records.push_back(static_cast<char>(crc >> (8 * i)));
  snapshot_ = take(rig_.store_rdb(as_bytes(records), kStart, kTaken));
  EXPECT_THAT(offline().findings, IsEmpty());
  const auto report = boot();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_THAT(report.findings[0].problem, HasSubstr("did not load what was restored"));
  EXPECT_TRUE(take(is_empty_directory(rig_.world.fs, rig_.path("scratch"))));
}

}  // namespace
}  // namespace holdfast::redis
