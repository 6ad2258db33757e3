// Covers: a cluster of every major with a tablespace is captured over the replication protocol,
// whole and by what has changed, and restored.
#include <gtest/gtest.h>

#include "recovery/rig.h"

namespace holdfast::servers {
namespace {

class OverTheProtocol : public ::testing::TestWithParam<int> {};

constexpr const char* kRows =
    "select (select count(*) || ':' || sum(i) from public.t) || '/' || (select count(*) || ':' || sum(i) from "
    "public.s)";

TEST_P(OverTheProtocol, IsCapturedAndRestored) {
  RigOptions options;
  options.postgres.major = GetParam();
  const auto made = Rig::create(options);
  ASSERT_TRUE(made.ok()) << made.error().text();
  Rig& rig = **made;
  // One with files, and one without any.
  ASSERT_TRUE(rig.create_tablespace("space0").ok());
  ASSERT_TRUE(rig.create_tablespace("space1").ok());
  ASSERT_TRUE(rig.server().exec("create table public.t as select i from generate_series(1, 50000) i").ok());
  ASSERT_TRUE(rig.server().exec("create table public.s tablespace space0 as select * from public.t").ok());
  for (const bool full : {true, false}) {
    const auto captured = rig.backup(full, "protocol");
    ASSERT_TRUE(captured.ok()) << captured.error().text();
    ASSERT_TRUE(rig.server().exec("update public.s set i = i + 1 where i % 1000 = 0").ok());
  }
  const auto rows = rig.server().value(kRows);
  ASSERT_TRUE(rows.ok());
  const auto stored = rig.wait_until_stored();
  ASSERT_TRUE(stored.ok()) << stored.error().text();
  auto restored = rig.restore_aside({});
  ASSERT_TRUE(restored.ok()) << restored.error().text();
  const auto started = (*restored)->start_and_promote();
  ASSERT_TRUE(started.ok()) << started.error().text();
  EXPECT_EQ((*restored)->value(kRows).value(), *rows);
  EXPECT_EQ((*restored)->amcheck().value(), "");
}

INSTANTIATE_TEST_SUITE_P(Versions, OverTheProtocol, ::testing::ValuesIn(postgres_majors()),
                         [](const auto& version) { return fmt::format("PostgreSQL{}", version.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OverTheProtocol);

}  // namespace
}  // namespace holdfast::servers
