#include "source/redis/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "source/redis/test_content.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::HasSubstr;

const Position kStart{kTestReplid, 1000};
const Time kTaken = Time::from_unix_seconds(1'700'000'000);

template <typename T>
T take(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().text());
  return std::move(result).value();
}

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() {
    auto original = take(rig_.serve("original"));
    auto session = take(original->connect());
    auto filled = fill_with_everything(*session);
    EXPECT_TRUE(filled.ok()) << filled.error().text();
    snapshot_ = take(rig_.snapshot_of(*original, "original", kStart, kTaken));
    digest_ = take(RestoreRig::digest(*original));
    target_ = take(rig_.serve("target"));
    session_ = take(target_->connect());
  }

  Result<LoadReport> load(bool replace, const std::string& commands = "") {
    auto log = take(rig_.store_log(kStart, {{kTaken + Duration::seconds(1), commands}}));
    const ResolvedTarget resolved = take(resolve_target(*log, {snapshot_}, {}));
    LoadOptions options;
    options.server = rig_.address("target");
    options.replace = replace;
    return load_snapshot(rig_.world, rig_.repository(), *log, snapshot_, resolved, {rig_.path("scratch"), ""}, options);
  }

  RestoreRig rig_;
  repo::Snapshot snapshot_;
  std::string digest_;
  std::unique_ptr<PrivateServer> target_;
  std::unique_ptr<ServerSession> session_;
};

// Covers: every type into an empty server; counts by database; libraries; times to live.
TEST_F(LoadTest, AnEmptyServerTakesAll) {
  const LoadReport report = take(load(false));
  EXPECT_EQ(report.keys, 26u);
  EXPECT_EQ(report.keys_of, (std::map<uint32_t, uint64_t>{{0, 18}, {7, 6}, {15, 2}}));
  EXPECT_EQ(report.functions, 1u);
  EXPECT_EQ(take(RestoreRig::digest(*target_)), digest_);
  EXPECT_EQ(take(session_->command({"FCALL", "answer", "0"})).integer, 42);
  ASSERT_TRUE(session_->command({"SELECT", "15"}).ok());
  EXPECT_EQ(take(session_->command({"PEXPIRETIME", "expires"})).integer, std::stoll(kFarAway));
  ASSERT_TRUE(session_->command({"SELECT", "0"}).ok());
  const Reply pending = take(session_->command({"XPENDING", "stream", "group"}));
  EXPECT_EQ(pending.elements.at(0).integer, 1);
}

// Covers: commands after the snapshot are folded in first.
TEST_F(LoadTest, AnInstantBetweenIsFoldedFirst) {
  const LoadReport report = take(load(false, encoded({"SELECT", "3"}) + encoded({"SET", "new", "1"})));
  EXPECT_EQ(report.keys, 27u);
  ASSERT_TRUE(session_->command({"SELECT", "3"}).ok());
  EXPECT_EQ(take(session_->command({"GET", "new"})).text, "1");
  EXPECT_TRUE(take(is_empty_directory(rig_.world.fs, rig_.path("scratch"))));
}

// Covers: a server that holds data is refused, and what it has stays; with the explicit
// word keys of the same names are replaced and others stay.
TEST_F(LoadTest, DataIsReplacedOnlyOnAWord) {
  ASSERT_TRUE(session_->command({"SET", "mine", "1"}).ok());
  ASSERT_TRUE(session_->command({"SET", "embstr", "other"}).ok());
  const auto refused = load(false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
  EXPECT_THAT(refused.error().text(), HasSubstr("it holds 2 keys and 0 function libraries"));
  EXPECT_EQ(take(session_->command({"DBSIZE"})).integer, 2);
  ASSERT_TRUE(load(true).ok());
  EXPECT_EQ(take(session_->command({"GET", "mine"})).text, "1");
  EXPECT_EQ(take(session_->command({"GET", "embstr"})).text, "short");
  EXPECT_EQ(take(session_->command({"DBSIZE"})).integer, 19);
  EXPECT_EQ(take(load(true)).keys, 26u);
}

// Covers: what can't be taken is refused before anything is written.
TEST_F(LoadTest, RefusesWhatDoesNotFit) {
  auto original = take(rig_.serve("large"));
  auto large = take(original->connect());
  auto random = seeded_random(3);
  Bytes value(3 << 20);
  random->fill(value.mutable_view());
  ASSERT_TRUE(large->command({"SET", "large", as_text(value)}).ok());
  const repo::Snapshot before = std::move(snapshot_);
  snapshot_ = take(rig_.snapshot_of(*original, "large", kStart, kTaken));
  for (const char* limit : {"proto-max-bulk-len", "client-query-buffer-limit"}) {
    ASSERT_TRUE(session_->command({"CONFIG", "SET", limit, "1mb"}).ok());
    const auto refused = load(false);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported) << refused.error().text();
    EXPECT_THAT(refused.error().text(), HasSubstr("string 'large' of database 0 is 3.00 MiB long"));
    ASSERT_TRUE(session_->command({"CONFIG", "SET", limit, "512mb"}).ok());
  }
  ASSERT_TRUE(load(false).ok());
  EXPECT_EQ(take(RestoreRig::digest(*target_)), take(RestoreRig::digest(*original)));

  ASSERT_TRUE(session_->command({"FLUSHALL"}).ok());
  auto few = take(rig_.serve("few", false, {"--databases", "4"}));
  snapshot_ = before;
  LoadOptions options;
  options.server = rig_.address("few");
  auto log = take(rig_.store_log(kStart, {}));
  const auto narrow = load_snapshot(rig_.world, rig_.repository(), *log, snapshot_,
                                    take(resolve_target(*log, {snapshot_}, {})), {rig_.path("scratch"), ""}, options);
  ASSERT_FALSE(narrow.ok());
  EXPECT_EQ(narrow.error().code(), ErrorCode::kMismatch) << narrow.error().text();
}

// Covers: a server that has less memory than the data and drops keys instead of refusing them.
TEST_F(LoadTest, KeysThatTheServerEvictsAreAFault) {
  const std::string memory = take(session_->command({"INFO", "memory"})).text;
  const uint64_t room = std::stoull(info_value(memory, "used_memory")) + (12u << 20);
  ASSERT_TRUE(session_->command({"CONFIG", "SET", "maxmemory", std::to_string(room)}).ok());
  ASSERT_TRUE(session_->command({"CONFIG", "SET", "maxmemory-policy", "allkeys-random"}).ok());
  std::string commands;
  for (int i = 0; i < 40; i++) commands += encoded({"SET", "large" + std::to_string(i), std::string(512 << 10, 'x')});
  const LoadReport report = take(load(false, commands));
  ASSERT_EQ(report.faults.size(), 1u);
  EXPECT_NE(report.faults[0].find(" keys while it was loaded, to stay below its maxmemory"), std::string::npos)
      << report.faults[0];
}

// Covers: a value of a module is refused before the keys in front of it are sent.
TEST_F(LoadTest, AServerWithoutModulesIsNotLoadedHalf) {
  snapshot_ = take(rig_.store_rdb(as_bytes(rdb_with_module_value()), kStart, kTaken));
  const auto refused = load(false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().text(),
              HasSubstr("module 'm' of database 0 is of a module (AAAAAAAAB), and unix://" + rig_.path("target")));
  EXPECT_EQ(take(session_->command({"DBSIZE"})).integer, 0);
}

}  // namespace
}  // namespace holdfast::redis
