#include "source/redis/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "source/redis/crc64.h"
#include "source/redis/file_sink.h"
#include "source/redis/test_content.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::ElementsAre;
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
    server_ = take(rig_.serve("original", false, {"--databases", "20"}));
    auto session = take(server_->connect());
    auto filled = fill_with_everything(*session);
    EXPECT_TRUE(filled.ok()) << filled.error().text();
    // In the file, and gone from any server that loads it.
    EXPECT_TRUE(session->command({"DEBUG", "SET-ACTIVE-EXPIRE", "0"}).ok());
    EXPECT_TRUE(session->command({"SET", "passes", "x", "PX", "1"}).ok());
    snapshot_ = take(rig_.snapshot_of(*server_, "original", kStart, kTaken));
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

  // What is found when the server has been changed by these commands since it was saved, and
  // is then held against the file. It is as it was before afterwards.
  std::vector<std::string> after(const std::vector<std::vector<std::string_view>>& commands) {
    auto session = take(server_->connect());
    for (const auto& words : commands) take(session->command(words));
    const OpenRdb open = [this]() -> Result<std::unique_ptr<ByteSource>> {
      return std::unique_ptr<ByteSource>(TRY(FileSource::open(rig_.world.fs, rig_.path("original/dump.rdb"))));
    };
    const auto report = take(compare_with_rdb(rig_.world, *session, open, take(survey_rdb(open))));
    std::vector<std::string> found;
    for (const auto& finding : report.findings) found.push_back(finding.object + ": " + finding.problem);
    take(session->command({"DEBUG", "RELOAD", "NOSAVE"}));
    return found;
  }

  RestoreRig rig_;
  std::unique_ptr<PrivateServer> server_;
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

// Covers: what a server may hold otherwise than the file, each found and named.
TEST_F(VerifyTest, EveryDifferenceFromTheFileIsNamed) {
  const std::string other_groups =
      "stream 'stream' of database 0: the server has other groups, consumers, pending entries or ids of it than the "
      "file";
  EXPECT_THAT(after({}), IsEmpty());
  EXPECT_THAT(after({{"SET", "raw", "changed"}}),
              ElementsAre("string 'raw' of database 0: the server has another value than the file"));
  EXPECT_THAT(after({{"DEL", "int"}}), ElementsAre("string 'int' of database 0: the server did not load it"));
  EXPECT_THAT(after({{"SELECT", "3"}, {"SET", "more", "x"}}),
              ElementsAre("database 3: the server has 1 key, the file 0"));
  EXPECT_THAT(after({{"SELECT", "15"}, {"PEXPIREAT", "expires", "4102444800124"}}),
              ElementsAre("string 'expires' of database 15: it expires at 4102444800124 ms in the server, at "
                          "4102444800123 ms in the file"));
  EXPECT_THAT(
      after({{"PEXPIREAT", "int", kFarAway}}),
      ElementsAre(HasSubstr("string 'int' of database 0: it expires at 4102444800123 ms in the server, at -1")));
  EXPECT_THAT(after({{"XGROUP", "DESTROY", "stream", "group"}}), ElementsAre(other_groups));
  EXPECT_THAT(after({{"XGROUP", "DELCONSUMER", "stream", "group", "idle"}}), ElementsAre(other_groups));
  EXPECT_THAT(after({{"XACK", "stream", "group", "1-1"}}), ElementsAre(other_groups));
  EXPECT_THAT(after({{"XSETID", "stream", "9-9"}}), ElementsAre(other_groups));
  EXPECT_THAT(after({{"FUNCTION", "FLUSH"}}), ElementsAre("function library 'lib': the server did not load it"));
  EXPECT_THAT(after({{"FUNCTION", "LOAD", "REPLACE",
                      "#!lua name=lib\nredis.register_function('answer', function() return 43 end)"}}),
              ElementsAre("function library 'lib': the server has other code than the file"));
  EXPECT_THAT(
      after({{"FUNCTION", "LOAD", "#!lua name=more\nredis.register_function('more', function() return 1 end)"}}),
      ElementsAre("function library 'more': the server has it, the file has not"));
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
