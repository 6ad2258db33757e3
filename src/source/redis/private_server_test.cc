#include "source/redis/private_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::HasSubstr;

bool exists(pid_t process) {
  const auto status = read_file(real_file_system(), fmt::format("/proc/{}/stat", process), 4096);
  if (!status.ok()) return false;
  const std::string text(as_text(status.value()));
  return text.substr(text.rfind(')') + 2, 1) != "Z";  // gone, but for whoever has to be told
}

// Covers: holdfast killed while a private server runs: no server is left.
TEST(PrivateServerTest, DiesWithWhoStartedIt) {
  RestoreRig rig;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto server = rig.serve("orphan");
    const pid_t process = server.ok() ? server.value()->process() : 0;
    [[maybe_unused]] const ssize_t written = ::write(ends[1], &process, sizeof process);
    while (true) ::pause();
  }
  pid_t server = 0;
  ASSERT_EQ(::read(ends[0], &server, sizeof server), static_cast<ssize_t>(sizeof server));
  ASSERT_GT(server, 0);
  EXPECT_TRUE(exists(server));
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  for (int i = 0; i < 1000 && exists(server); i++) system_clock().sleep(Duration::milliseconds(20));
  EXPECT_FALSE(exists(server));
  ::close(ends[0]);
  ::close(ends[1]);
}

// Covers: values beyond what a server takes by default, in verify --boot and in the replay.
TEST(PrivateServerTest, TakesValuesOfAnySize) {
  RestoreRig rig;
  auto server = rig.serve("any").value();
  auto session = server->connect().value();
  for (const char* name : {"proto-max-bulk-len", "client-query-buffer-limit"}) {
    const Reply limit = session->command({"CONFIG", "GET", name}).value();
    EXPECT_GE(std::stoull(limit.elements.at(1).text), 1ull << 40) << name;
  }
}

// Covers: what does not load is told with the server's own words.
TEST(PrivateServerTest, SaysWhyItDidNotStart) {
  RestoreRig rig;
  ASSERT_TRUE(make_directories(rig.world.fs, rig.path("bad")).ok());
  ASSERT_TRUE(write_file_durably(rig.world.fs, rig.path("bad/dump.rdb"), as_bytes("REDIS0010 and nonsense")).ok());
  const auto refused = rig.serve("bad");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kServer);
  EXPECT_THAT(refused.error().text(), HasSubstr("its log ends with"));
}

// The variable says where to look; the file's directory may be one of another machine.
TEST(PrivateServerTest, LooksForItsProgram) {
  const auto usual = find_server_program("");
  ASSERT_TRUE(usual.ok()) << usual.error().text();
  const auto elsewhere = find_server_program("/nowhere");
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.error().text();
  EXPECT_EQ(elsewhere->path, usual->path);

  RestoreRig rig;
  const std::string directory = rig.path("old"), old = directory + "/redis-server";
  ASSERT_TRUE(make_directories(rig.world.fs, directory).ok());
  ASSERT_TRUE(
      write_file_durably(rig.world.fs, old, as_bytes("#!/bin/sh\necho Redis server v=6.0.16 sha=0\n"), 0755).ok());
  RdbSummary rdb;
  rdb.version = 10;
  const auto newer = find_program_for(rdb, directory);
  ASSERT_TRUE(newer.ok()) << newer.error().text();
  EXPECT_EQ(newer->path, usual->path);

  ::setenv("HOLDFAST_REDIS_BIN", directory.c_str(), 1);
  EXPECT_EQ(find_server_program("/nowhere").value().path, old);
  EXPECT_EQ(find_program_for(rdb, "").error().code(), ErrorCode::kMismatch);
  ::setenv("HOLDFAST_REDIS_BIN", "", 1);
  EXPECT_EQ(find_server_program("").value().path, usual->path);
  ::setenv("HOLDFAST_REDIS_BIN", "/nowhere", 1);
  const auto absent = find_server_program("");
  ::unsetenv("HOLDFAST_REDIS_BIN");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(
      absent.error().text(),
      "there is no redis-server in /nowhere (install the package redis-server (Debian, Ubuntu) or redis (Red Hat), "
      "or name its directory: bin_directory in holdfast.yaml, or HOLDFAST_REDIS_BIN)");
}

}  // namespace
}  // namespace holdfast::redis
