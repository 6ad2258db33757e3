#include "source/redis/materialise.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include "source/redis/append_only.h"
#include "source/redis/test_content.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Position kStart{kTestReplid, 1000};
const Time kTaken = Time::from_unix_seconds(1'700'000'000);
Time after(int64_t milliseconds) { return kTaken + Duration::milliseconds(milliseconds); }

class MaterialiseTest : public ::testing::Test {
 protected:
  // A server with everything, its snapshot and its digest.
  void capture() {
    server_ = take(rig_.serve("original"));
    session_ = take(server_->connect());
    const auto filled = fill_with_everything(*session_);
    EXPECT_TRUE(filled.ok()) << filled.error().text();
    snapshot_ = take(rig_.snapshot_of(*server_, "original", kStart, kTaken));
    digest_ = take(RestoreRig::digest(*server_));
  }

  template <typename T>
  T take(Result<T> result) {
    EXPECT_TRUE(result.ok()) << result.error().text();
    if (!result.ok()) throw std::runtime_error(result.error().text());
    return std::move(result).value();
  }

  ResolvedTarget resolve(CommandLog& log, std::optional<Time> time) {
    source::RestoreTarget target;
    target.time = time;
    return take(resolve_target(log, {snapshot_}, target));
  }

  Result<MaterialiseReport> materialise_to(const std::string& name, CommandLog& log, const ResolvedTarget& target,
                                           MaterialiseOptions options = {}) {
    options.to = rig_.path(name);
    return materialise(rig_.world, rig_.repository(), log, snapshot_, target, options);
  }

  std::vector<std::string> files_in(const std::string& name) {
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : take(rig_.world.fs.list(rig_.path(name)))) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    return names;
  }

  // What a restore says of files that it is about to place.
  std::string marker(const std::string& directory, const std::vector<std::string>& names) {
    std::string lines;
    for (const std::string& name : names) {
      const struct stat status = take(rig_.world.fs.stat(rig_.path(directory + "/" + name)));
      lines += fmt::format("{} {} {} {}\n", name, status.st_ino, status.st_size,
                           status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec);
    }
    return lines;
  }

  std::string digest_of(const std::string& name, bool append_only) {
    auto server = take(rig_.serve(name, append_only));
    return take(RestoreRig::digest(*server));
  }

  // Runs on the original what the log has, and gives its digest afterwards.
  std::string digest_after(const std::vector<std::vector<std::string_view>>& commands) {
    for (const auto& words : commands) {
      const auto reply = session_->command(words);
      EXPECT_TRUE(reply.ok()) << words[0] << ": " << (reply.ok() ? "" : reply.error().text());
    }
    return take(RestoreRig::digest(*server_));
  }

  RestoreRig rig_;
  std::unique_ptr<PrivateServer> server_;
  std::unique_ptr<ServerSession> session_;
  repo::Snapshot snapshot_;
  std::string digest_;
};

// Covers: a snapshot as it is, started from with and without an AOF.
TEST_F(MaterialiseTest, SnapshotStartsEitherWay) {
  capture();
  auto log = take(rig_.store_log(kStart, {}));
  const auto report = take(materialise_to("restored", *log, resolve(*log, std::nullopt)));
  EXPECT_EQ(report.rdb.keys, 26u);
  EXPECT_EQ(report.commands, 0u);
  EXPECT_THAT(files_in("restored"), ElementsAre("appendonlydir", "dump.rdb"));
  EXPECT_EQ(digest_of("restored", false), digest_);
  EXPECT_EQ(digest_of("restored", true), digest_);
}

// Covers: an instant between: commands in several databases, a transaction, what is left
// out, an expiry that has passed since.
TEST_F(MaterialiseTest, CommandsAreFoldedInUpToTheInstant) {
  capture();
  const std::string first = encoded({"PING"}) + encoded({"SELECT", "7"}) + encoded({"SET", "new", "1"});
  const std::string second = encoded({"MULTI"}) + encoded({"SELECT", "0"}) + encoded({"INCR", "int"}) +
                             encoded({"REPLCONF", "GETACK", "*"}) + encoded({"DEL", "lzf"}) + encoded({"EXEC"}) +
                             encoded({"PUBLISH", "channel", "news"}) +
                             encoded({"SET", "passed", "x", "PXAT", "1700000000500"});
  const std::string third = encoded({"FLUSHALL"});
  auto log = take(rig_.store_log(kStart, {{after(10), first}, {after(20), second}, {after(30), third}}));

  const ResolvedTarget target = resolve(*log, after(20));
  EXPECT_EQ(target.to, kStart.offset + first.size() + second.size());
  const auto report = take(materialise_to("folded", *log, target));
  EXPECT_THAT(report.faults, IsEmpty());
  // All but PING, REPLCONF and PUBLISH.
  EXPECT_EQ(report.commands, 8u);
  // The key whose time has passed is in the file: what a server does with it is its matter.
  EXPECT_EQ(report.rdb.keys, 27u);
  EXPECT_THAT(files_in("folded"), ElementsAre("appendonlydir", "dump.rdb"));

  MaterialiseOptions apart;
  apart.folding = Folding::kNever;
  const auto unfolded = take(materialise_to("unfolded", *log, target, apart));
  EXPECT_THAT(files_in("unfolded"), ElementsAre("appendonlydir"));
  EXPECT_THAT(unfolded.notes, ElementsAre(HasSubstr("start the server with 'appendonly yes'")));

  const std::string expected =
      digest_after({{"SELECT", "7"}, {"SET", "new", "1"}, {"SELECT", "0"}, {"INCR", "int"}, {"DEL", "lzf"}});
  EXPECT_NE(expected, digest_);
  EXPECT_EQ(digest_of("folded", false), expected);
  // An AOF is loaded with all its keys, and one of them goes right after.
  for (const char* name : {"folded", "unfolded"}) {
    auto server = take(rig_.serve(name, true));
    auto session = take(server->connect());
    ASSERT_TRUE(session->command({"EXISTS", "passed"}).ok());
    EXPECT_EQ(take(RestoreRig::digest(*server)), expected) << name;
  }
}

// Covers: an instant within a transaction, or within a command, is before it.
TEST_F(MaterialiseTest, NeverHalfATransaction) {
  capture();
  const std::string select = encoded({"SELECT", "0"});
  const std::string begun = encoded({"MULTI"}) + encoded({"SET", "half", "1"});
  const std::string rest = encoded({"SET", "other", "1"}) + encoded({"EXEC"});
  const std::string cut = encoded({"SET", "cut", "in two"});
  auto log = take(rig_.store_log(
      kStart, {{after(10), select + begun}, {after(20), rest + cut.substr(0, 9)}, {after(30), cut.substr(9)}}));
  EXPECT_EQ(resolve(*log, after(10)).to, kStart.offset + select.size());
  EXPECT_EQ(resolve(*log, after(19)).to, kStart.offset + select.size());
  EXPECT_EQ(resolve(*log, after(20)).to, kStart.offset + (select + begun + rest).size());
  EXPECT_EQ(resolve(*log, after(30)).to, kStart.offset + (select + begun + rest + cut).size());
  EXPECT_EQ(resolve(*log, std::nullopt).to, resolve(*log, after(30)).to);
  const auto report = take(materialise_to("before", *log, resolve(*log, after(15))));
  EXPECT_EQ(digest_of("before", false), digest_);
}

// Covers: instants that nothing leads to, with the window.
TEST_F(MaterialiseTest, RefusesInstantsOutsideTheWindow) {
  capture();
  auto log = take(rig_.store_log(kStart, {{after(10), encoded({"SELECT", "0"})}}));
  for (const Time time : {after(-1000), after(5000)}) {
    source::RestoreTarget target;
    target.time = time;
    const auto resolved = resolve_target(*log, {snapshot_}, target);
    ASSERT_FALSE(resolved.ok());
    EXPECT_EQ(resolved.error().code(), ErrorCode::kUnreachableTarget);
    EXPECT_THAT(resolved.error().text(), HasSubstr("the recovery window is"));
  }
  source::RestoreTarget lsn;
  lsn.lsn = "0/1";
  EXPECT_EQ(resolve_target(*log, {snapshot_}, lsn).error().code(), ErrorCode::kUsage);
}

// Covers: refusals before anything is written.
TEST_F(MaterialiseTest, RefusesWhatIsInUse) {
  capture();
  auto log = take(rig_.store_log(kStart, {}));
  const ResolvedTarget target = resolve(*log, std::nullopt);
  auto running = materialise_to("original", *log, target);
  ASSERT_FALSE(running.ok());
  EXPECT_EQ(running.error().code(), ErrorCode::kTargetRunning);
  EXPECT_THAT(running.error().text(), HasSubstr(std::to_string(server_->process())));
  server_->stop();
  auto used = materialise_to("original", *log, target);
  ASSERT_FALSE(used.ok());
  EXPECT_EQ(used.error().code(), ErrorCode::kTargetNotEmpty);

  const std::string staging = rig_.path("half/" + std::string(kRestoreFolder));
  ASSERT_TRUE(make_directories(rig_.world.fs, staging).ok());
  const int other = ::open(staging.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  auto busy = materialise_to("half", *log, target);
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code(), ErrorCode::kLocked);
  ::close(other);
}

// Covers: what a restore that was interrupted has left goes, and nothing else: not what a
// server made there since, whether the restore had begun to put files in place or not.
TEST_F(MaterialiseTest, RepeatsAnInterruptedRestoreOverItsOwnRemainsAlone) {
  capture();
  auto log = take(rig_.store_log(kStart, {}));
  const ResolvedTarget target = resolve(*log, std::nullopt);
  const std::string staging = rig_.path("half/" + std::string(kRestoreFolder));
  const auto write = [&](const std::string& path, const std::string& content) {
    ASSERT_TRUE(write_file_durably(rig_.world.fs, path, as_bytes(content)).ok());
  };
  const auto expect_refused = [&] {
    const auto refused = materialise_to("half", *log, target);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
    EXPECT_THAT(refused.error().text(), HasSubstr("it holds dump.rdb"));
    EXPECT_EQ(as_text(take(read_file(rig_.world.fs, rig_.path("half/dump.rdb")))), "live data");
  };
  // It ended while all was in its own folder.
  ASSERT_TRUE(make_directories(rig_.world.fs, staging + "/fold").ok());
  write(rig_.path("half/dump.rdb"), "live data");
  expect_refused();
  // It ended when dump.rdb had its turn next, or when there was to be none.
  write(staging + "/dump.rdb", "restored");
  write(staging + "/placing", marker("half", {"dump.rdb"}));
  expect_refused();
  write(staging + "/placing", "");
  ASSERT_TRUE(remove_tree(rig_.world.fs, staging + "/dump.rdb").ok());
  expect_refused();
  // dump.rdb is its own.
  write(staging + "/placing", marker("half", {"dump.rdb"}));
  ASSERT_TRUE(materialise_to("half", *log, target).ok());
  EXPECT_THAT(files_in("half"), ElementsAre("appendonlydir", "dump.rdb"));
  EXPECT_EQ(digest_of("half", false), digest_);
}

// Covers: a restore that ended when all had its place, or when it took that away again; a server
// that somebody started there since.
TEST_F(MaterialiseTest, ARepeatedRestoreLeavesWhatAServerMadeOfItsFiles) {
  capture();
  auto log = take(rig_.store_log(kStart, {}));
  const ResolvedTarget target = resolve(*log, std::nullopt);
  const std::string append = "appendonlydir/";
  const std::vector<std::string> placed = {append + kAppendBase, append + kAppendManifest, "dump.rdb"};
  const auto write = [&](const std::string& path, const std::string& content) {
    ASSERT_TRUE(write_file_durably(rig_.world.fs, rig_.path("half/" + path), as_bytes(content)).ok());
  };
  const auto restore_and_end_early = [&] {
    ASSERT_TRUE(materialise_to("half", *log, target).ok());
    ASSERT_TRUE(make_directories(rig_.world.fs, rig_.path("half/" + std::string(kRestoreFolder))).ok());
    write(std::string(kRestoreFolder) + "/placing", marker("half", placed));
  };
  const auto expect_refused = [&](const std::string& path) {
    const auto refused = materialise_to("half", *log, target);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
    EXPECT_THAT(refused.error().text(), HasSubstr("it holds " + path));
    EXPECT_EQ(as_text(take(read_file(rig_.world.fs, rig_.path("half/" + path)))), "live data");
    ASSERT_TRUE(rig_.world.fs.remove_file(rig_.path("half/" + path)).ok());
  };
  restore_and_end_early();
  write("dump.rdb", "live data");
  expect_refused("dump.rdb");
  write(append + kAppendManifest, "live data");
  expect_refused(append + kAppendManifest);
  write(append + append_part_name(1), "live data");
  expect_refused(append + append_part_name(1));
  // What is left is its own, though not all of it is there.
  restore_and_end_early();
  ASSERT_TRUE(materialise_to("half", *log, target).ok());
  EXPECT_THAT(files_in("half"), ElementsAre("appendonlydir", "dump.rdb"));
  EXPECT_EQ(digest_of("half", true), digest_);
}

// What happens elsewhere while a restore waits for its private server.
class MeddlingClock : public Clock {
 public:
  Time now() override { return system_clock().now(); }
  Duration monotonic() override {
    if (meddle) std::exchange(meddle, nullptr)();
    return system_clock().monotonic();
  }
  void sleep(Duration duration) override { system_clock().sleep(duration); }
  std::function<void()> meddle;
};

// Covers: what a server makes in the directory during the restore is not replaced.
TEST_F(MaterialiseTest, PutsNothingOverWhatAppearedMeanwhile) {
  capture();
  auto log = take(rig_.store_log(kStart, {{after(10), encoded({"SELECT", "0"}) + encoded({"SET", "new", "1"})}}));
  for (const std::string name : {"dump.rdb", "appendonlydir"}) {
    const std::string path = rig_.path("taken-" + name + "/" + name);
    MeddlingClock clock;
    clock.meddle = [&] { ASSERT_TRUE(write_file_durably(rig_.world.fs, path, as_bytes("live data")).ok()); };
    source::World world{rig_.world.fs, clock, rig_.progress};
    MaterialiseOptions options;
    options.to = parent_path(path);
    const auto refused = materialise(world, rig_.repository(), *log, snapshot_, resolve(*log, std::nullopt), options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kTargetNotEmpty);
    EXPECT_THAT(files_in("taken-" + name), ::testing::UnorderedElementsAre(kRestoreFolder, name));
    EXPECT_EQ(as_text(take(read_file(rig_.world.fs, path))), "live data");
  }
}

// Covers: a damaged RDB is no restore, and leaves no dump.rdb behind.
TEST_F(MaterialiseTest, RefusesADamagedFile) {
  capture();
  Bytes file = take(read_file(rig_.world.fs, rig_.path("original/dump.rdb")));
  file[file.size() / 2] ^= 1;
  snapshot_ = take(rig_.store_rdb(file, kStart, kTaken));
  auto log = take(rig_.store_log(kStart, {}));
  const auto restored = materialise_to("damaged", *log, resolve(*log, std::nullopt));
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.error().code(), ErrorCode::kInvalidData) << restored.error().text();
  EXPECT_THAT(files_in("damaged"), ElementsAre(kRestoreFolder));
}

// Covers: what a replay refuses is told.
TEST_F(MaterialiseTest, TellsWhatTheReplayRefused) {
  capture();
  auto log = take(rig_.store_log(kStart, {{after(10), encoded({"SELECT", "0"}) + encoded({"INCR", "embstr"})}}));
  const auto report = take(materialise_to("refused", *log, resolve(*log, std::nullopt)));
  EXPECT_THAT(report.faults, ElementsAre(HasSubstr("ERR:count=1")));
}

// Covers: a server before Redis 7 wants its AOF in one file.
TEST_F(MaterialiseTest, OlderServersGetOneAppendOnlyFile) {
  // An RDB of version 9, as Redis 6 writes it: one string in database 0.
  const std::string records("REDIS0009\xfe\x00\x00\x01k\x01v\xff", 17);
  snapshot_ = take(rig_.store_rdb(as_bytes(records + std::string(8, '\0')), kStart, kTaken));
  auto log = take(rig_.store_log(kStart, {{after(10), encoded({"SELECT", "0"}) + encoded({"APPEND", "k", "w"})}}));
  const auto report = take(materialise_to("older", *log, resolve(*log, std::nullopt)));
  EXPECT_THAT(files_in("older"), ElementsAre("appendonly.aof", "dump.rdb"));
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("RDB version 10")));
  const Bytes single = take(read_file(rig_.world.fs, rig_.path("older/appendonly.aof")));
  EXPECT_THAT(std::string(as_text(single)), ::testing::StartsWith(records));
  EXPECT_THAT(std::string(as_text(single)), HasSubstr("APPEND"));
}

// Covers: what modules keep comes out byte for byte, with the word that a server needs them,
// and commands behind it are not folded by one that has not.
TEST_F(MaterialiseTest, DataOfModulesIsForAServerThatHasThem) {
  const std::string rdb = rdb_with_module_value();
  snapshot_ = take(rig_.store_rdb(as_bytes(rdb), kStart, kTaken));
  auto none = take(rig_.store_log(kStart, {}));
  const auto plain = take(materialise_to("plain", *none, resolve(*none, std::nullopt)));
  const std::string note = "it holds data of modules (AAAAAAAAB): a server starts on it only with these loaded";
  EXPECT_THAT(plain.notes, ElementsAre(note));
  EXPECT_EQ(as_text(take(read_file(rig_.world.fs, rig_.path("plain/dump.rdb")))), rdb);

  auto log = take(rig_.store_log(kStart, {{after(10), encoded({"SELECT", "0"}) + encoded({"APPEND", "a", "w"})}}));
  const auto replayed = take(materialise_to("replayed", *log, resolve(*log, std::nullopt)));
  EXPECT_THAT(replayed.notes, ElementsAre(note, HasSubstr("there is no dump.rdb")));
  EXPECT_THAT(files_in("replayed"), ElementsAre("appendonlydir"));
  MaterialiseOptions options;
  options.folding = Folding::kRequired;
  const auto required = materialise_to("required", *log, resolve(*log, std::nullopt), options);
  ASSERT_FALSE(required.ok());
  EXPECT_THAT(required.error().text(),
              HasSubstr("it holds data of the module AAAAAAAAB, which a private redis-server"));
}

}  // namespace
}  // namespace holdfast::redis
