#include "recovery/discover_redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "recovery/discover.h"
#include "source/redis/private_server.h"
#include "source/scratch_place.h"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DiscoverRedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto program = redis::find_server_program("");
    if (!program.ok()) GTEST_SKIP() << program.error().text();
    redis::PrivateServer::Options options;
    options.program = std::move(program).value();
    options.directory = scratch_.path();
    auto started = redis::PrivateServer::start(world_, options);
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }

  std::string address() const { return "unix://" + scratch_.path() + "/redis.sock"; }
  RedisDiscovery discover() {
    const auto lookup = [this](const char* name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? nullptr : found->second.c_str();
    };
    RedisDiscovery found = discover_redis(real_file_system(), lookup, {scratch_.path()});
    // One of the machine's own may be found besides.
    std::erase_if(found.servers, [this](const FoundRedis& server) { return server.connection != address(); });
    std::erase_if(found.refused, [this](const std::string& text) { return text.find(scratch_.path()) == text.npos; });
    return found;
  }

  source::ScratchPlace scratch_ = source::ScratchPlace::make(real_file_system(), system_clock(), "/tmp").value();
  Progress progress_;
  source::World world_{real_file_system(), system_clock(), progress_};
  std::map<std::string, std::string> variables_;
  std::unique_ptr<redis::PrivateServer> server_;
};

TEST_F(DiscoverRedisTest, AServerIsFoundByItsSocketOnce) {
  variables_["REDIS_URL"] = address() + "?db=1";
  const RedisDiscovery found = discover();
  ASSERT_EQ(found.servers.size(), 1u);
  EXPECT_TRUE(found.servers[0].password.empty());
  EXPECT_FALSE(found.servers[0].version.empty());
  NewStack stack;
  stack.stack = "main";
  stack.repository = "/nowhere";
  stack.passphrase = "env:PASS";
  stack.redis = found.servers;
  const auto parsed = parse_stack(write_stack(stack), "holdfast.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  ASSERT_EQ(parsed->components.size(), 1u);
  EXPECT_EQ(parsed->components[0].kind, "redis");
  EXPECT_EQ(parsed->components[0].name, "cache");
  EXPECT_EQ(parsed->components[0].redis.connection, address());
  const auto asked = server_->connect();
  ASSERT_TRUE(asked.ok());
  const std::string directory = (*asked)->command({"CONFIG", "GET", "dir"}).value().elements.at(1).text;
  EXPECT_FALSE(directory.empty());
  EXPECT_EQ(parsed->components[0].redis.data_directory, directory);
  stack.redis[0].data_directory.clear();
  EXPECT_THAT(write_stack(stack),
              HasSubstr("# data_directory: DIR   # where 'restore' puts it; the server does not say"));
}

TEST_F(DiscoverRedisTest, OneThatWantsAPasswordIsSaidOrAskedWithTheVariables) {
  auto session = server_->connect();
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE((*session)->command({"CONFIG", "SET", "requirepass", "geheim"}).ok());
  const RedisDiscovery refused = discover();
  EXPECT_TRUE(refused.servers.empty());
  ASSERT_EQ(refused.refused.size(), 1u);
  EXPECT_THAT(refused.refused[0], HasSubstr("NOAUTH"));
  variables_["REDIS_PASSWORD"] = "geheim";
  const RedisDiscovery found = discover();
  ASSERT_EQ(found.servers.size(), 1u);
  EXPECT_EQ(found.servers[0].password, "env:REDIS_PASSWORD");
  variables_["REDIS_PASSWORD"] = "wrong";
  ASSERT_EQ(discover().refused.size(), 1u);
  EXPECT_THAT(discover().refused[0], Not(HasSubstr("wrong")));
}

TEST_F(DiscoverRedisTest, APasswordWhereNoneIsWantedIsNoHindrance) {
  variables_["REDIS_PASSWORD"] = "geheim";
  const RedisDiscovery found = discover();
  ASSERT_EQ(found.servers.size(), 1u);
  EXPECT_TRUE(found.servers[0].password.empty());
}

TEST_F(DiscoverRedisTest, APasswordIsRepeatedInNoForm) {
  for (const char* url : {"default:s3cret@cache.invalid:6379", "unix://someone:s3cret@/nowhere",
                          "redis://:s3c?s3cret@h.invalid", "redis://:s3cret@h.invalid:port", "rediss://a:s3cret@"}) {
    const auto lookup = [url](const char* name) { return std::string_view(name) == "REDIS_URL" ? url : nullptr; };
    const RedisDiscovery found = discover_redis(real_file_system(), lookup, {});
    ASSERT_FALSE(found.refused.empty()) << url;
    for (const std::string& refused : found.refused) EXPECT_THAT(refused, Not(HasSubstr("s3c"))) << url;
    const auto asked = ask_redis(url, lookup);
    ASSERT_FALSE(asked.ok());
    EXPECT_THAT(asked.error().text(), Not(HasSubstr("s3c"))) << url;
  }
}

}  // namespace
}  // namespace holdfast::recovery
