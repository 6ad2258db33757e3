// Covers: every PostgreSQL major that is here starts, is killed, recovers, stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servers/private_postgres.h"
#include "servers/scratch.h"
#include "servers/shared_memory.h"
#include "servers/wait.h"

namespace holdfast::servers {
namespace {

class EachMajor : public testing::TestWithParam<int> {};

TEST_P(EachMajor, StartsIsKilledRecoversAndStops) {
  auto scratch = ScratchDirectory::create();
  ASSERT_TRUE(scratch.ok()) << scratch.error().text();
  PostgresOptions options;
  options.major = GetParam();
  auto created = PrivatePostgres::create(scratch->file("data"), options);
  ASSERT_TRUE(created.ok()) << created.error().text();
  PrivatePostgres& server = **created;

  auto started = server.start();
  ASSERT_TRUE(started.ok()) << started.error().text();
  auto made = server.exec("create table public.t as select generate_series(1, 1000) as i");
  ASSERT_TRUE(made.ok()) << made.error().text();
  const SharedMemory shared = SharedMemory::of({server.pid()});
  EXPECT_GT(shared.left(), 0U);
  server.kill();
  EXPECT_FALSE(server.running());
  EXPECT_EQ(shared.left(), 0U) << "it would stay when the directory goes";

  started = server.start();
  ASSERT_TRUE(started.ok()) << started.error().text();
  auto count = server.value("select count(*) from public.t");
  ASSERT_TRUE(count.ok()) << count.error().text();
  EXPECT_EQ(*count, "1000");
  auto version = server.value("show server_version_num");
  ASSERT_TRUE(version.ok()) << version.error().text();
  EXPECT_EQ(std::stoi(*version) / 10000, GetParam());
  auto damage = server.amcheck();
  ASSERT_TRUE(damage.ok()) << damage.error().text();
  EXPECT_EQ(*damage, "");
  auto stopped = server.stop();
  EXPECT_TRUE(stopped.ok()) << stopped.error().text();
}

INSTANTIATE_TEST_SUITE_P(Postgres, EachMajor, testing::ValuesIn(postgres_majors()),
                         [](const auto& parameter) { return std::to_string(parameter.param); });

TEST(Servers, SaysWhyItDidNotStart) {
  auto scratch = ScratchDirectory::create();
  ASSERT_TRUE(scratch.ok()) << scratch.error().text();
  PostgresOptions options;
  options.settings = {{"shared_buffers", "nonsense"}};
  auto created = PrivatePostgres::create(scratch->file("data"), options);
  ASSERT_TRUE(created.ok()) << created.error().text();
  auto started = (*created)->start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().text(), testing::HasSubstr("invalid value for parameter \"shared_buffers\""));
}

}  // namespace
}  // namespace holdfast::servers
