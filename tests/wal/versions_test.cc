#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "servers/wait.h"
#include "source/postgres/wal_push.h"
#include "source/postgres/wal_reader.h"
#include "wal/wal_server.h"

namespace holdfast::wal_test {
namespace {

using namespace postgres;
using servers::wait_until;

class VersionsTest : public ::testing::TestWithParam<int> {};

// Every version's WAL is understood to the last record: events are where the
// server says, no record fails its CRC or its link.
TEST_P(VersionsTest, ReadsTheServersWal) {
  auto made = WalServer::create(GetParam(), 1, {{"max_prepared_transactions", "4"}, {"wal_compression", "on"}});
  ASSERT_TRUE(made.ok()) << made.error().text();
  WalServer& server = *made.value();
  LiveReceiver receiver(server, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; })) << receiver.state().trouble;
  server.sql("CREATE TABLE public.t (i int, s text)");
  server.sql("INSERT INTO public.t SELECT i, repeat('x', i % 2000) FROM generate_series(1, 3000) i");
  server.sql("SELECT pg_create_restore_point('here')");
  const std::string rolled_back = server.sql(
      "BEGIN; INSERT INTO public.t VALUES (1); SAVEPOINT a; INSERT INTO public.t VALUES (2); ROLLBACK TO a; "
      "SELECT pg_current_xact_id()");  // the session ends: rolled back
  const auto session = server.server().connect();
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(session.value()->exec("BEGIN").ok());
  ASSERT_TRUE(session.value()->exec("CREATE TABLE public.u (i int)").ok());
  const std::string prepared = session.value()->value("SELECT pg_current_xact_id()").value();
  ASSERT_TRUE(session.value()->exec("PREPARE TRANSACTION 'p'").ok());
  ASSERT_TRUE(session.value()->exec("COMMIT PREPARED 'p'").ok());
  server.sql("DROP TABLE public.t");
  server.sql("SELECT pg_switch_wal()");
  server.sql("CHECKPOINT");
  const std::string last = server.sql("CREATE TABLE public.v (i int); SELECT pg_current_xact_id()");
  const Lsn end = server.flushed();
  ASSERT_TRUE(wait_until([&] { return stored_end(server.archive(), 1) >= end; })) << receiver.state().trouble;
  EXPECT_EQ(receiver.stop(), "");

  const WalRange range = server.archive().ranges().value().at(0);
  std::vector<WalEvent> events;
  WalReader reader(range.from, server.identity().segment_bytes,
                   [&](const WalEvent& event) { events.push_back(event); });
  for (Lsn at = range.from; at < range.to; at.value += server.identity().segment_bytes) {
    const Bytes content =
        std::move(*server.archive().fetch(segment_name(1, at, server.identity().segment_bytes)).value());
    reader.feed(content.view(0, std::min<uint64_t>(content.size(), range.to.value - at.value)));
  }
  EXPECT_FALSE(reader.fault()) << reader.fault()->problem;
  EXPECT_EQ(reader.major(), GetParam());
  EXPECT_GE(reader.last_end(), end);
  const auto has = [&](WalEventKind kind, const std::string& xid) {
    return std::any_of(events.begin(), events.end(), [&](const WalEvent& event) {
      return event.kind == kind && (xid.empty() || event.xid == std::stoull(xid));
    });
  };
  EXPECT_TRUE(has(WalEventKind::kAbort, rolled_back));
  EXPECT_TRUE(has(WalEventKind::kCommit, prepared)) << "the xid of a prepared transaction stands behind lists";
  EXPECT_TRUE(has(WalEventKind::kCheckpoint, ""));
  EXPECT_FALSE(has(WalEventKind::kAbort, last));
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const auto& event) { return event.name == "here"; }));
}

// Cases: segment sizes other than 16 MB; archive_command instead of a receiver.
TEST_P(VersionsTest, PushesSegmentsOfEverySize) {
  const std::vector<int> sizes = GetParam() == 15 ? std::vector<int>{1, 4, 16, 64} : std::vector<int>{2};
  for (const int mib : sizes) {
    auto made = WalServer::create(GetParam(), mib);
    ASSERT_TRUE(made.ok()) << made.error().text();
    WalServer& server = *made.value();
    server.sql("CREATE TABLE public.t (i int)");
    const std::string name = server.sql("SELECT pg_walfile_name(pg_switch_wal())");
    server.sql("INSERT INTO public.t VALUES (1)");
    const std::string path = server.server().data_directory() + "/pg_wal/" + name;
    const auto identity = identify_segment(real_file_system(), path);
    ASSERT_TRUE(identity.ok()) << identity.error().text();
    EXPECT_EQ(identity.value().segment_bytes, uint64_t(mib) << 20);
    EXPECT_EQ(identity.value().system_id, server.identity().system_id);
    const auto pushed = wal_push(real_file_system(), server.archive(), path, name);
    ASSERT_TRUE(pushed.ok()) << pushed.error().text();
    EXPECT_TRUE(equal(*server.archive().fetch(name).value(), server.segment_file(name)));
    const auto summary = server.archive().summary(name);
    ASSERT_TRUE(summary.ok());
    EXPECT_FALSE(summary.value()->fault) << summary.value()->fault->problem;
    EXPECT_GT(summary.value()->commits, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, VersionsTest, ::testing::ValuesIn(servers::postgres_majors()),
                         [](const auto& test) { return fmt::format("PostgreSQL{}", test.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VersionsTest);

// Record by record the same as PostgreSQL's own tool sees it.
TEST(WalDump, AgreesWithPgWaldump) {
  const std::string tool = "/usr/lib/postgresql/15/bin/pg_waldump";
  if (!servers::find_postgres(15) || !exists(real_file_system(), tool).value())
    GTEST_SKIP() << "there is no pg_waldump 15 here";
  auto made = WalServer::create(15, 1);
  ASSERT_TRUE(made.ok()) << made.error().text();
  WalServer& server = *made.value();
  const Lsn start = segment_start(server.flushed(), 1 << 20);
  server.sql("CREATE TABLE public.t (i int, s text)");
  for (int i = 0; i < 20; i++)
    server.sql("INSERT INTO public.t SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 100) i");
  const Lsn end = server.flushed();
  const auto dumped = run_command_checked(servers::as_server_user(
      {tool, "-p", server.server().data_directory() + "/pg_wal", "-s", start.text(), "-e", end.text()}));
  ASSERT_TRUE(dumped.ok()) << dumped.error().text();
  std::vector<std::string> expected;  // of records that begin in these segments
  const std::string& text = dumped.value().output;
  size_t commits = 0;
  for (size_t line = 0; line < text.size(); line = text.find('\n', line) + 1) {
    const std::string_view words = std::string_view(text).substr(line, text.find('\n', line) - line);
    const size_t at = words.find("lsn: ");
    if (at == std::string_view::npos) continue;
    expected.emplace_back(words.substr(at + 5, 10));
    if (words.find("desc: COMMIT") != std::string_view::npos) commits++;
  }
  size_t our_commits = 0;
  WalReader reader(start, 1 << 20, [&](const WalEvent& event) { our_commits += event.kind == WalEventKind::kCommit; });
  for (Lsn at = start; at < end; at.value += 1 << 20) {
    const Bytes content = server.segment_file(segment_name(1, at, 1 << 20));
    reader.feed(content.view(0, std::min<uint64_t>(content.size(), end.value - at.value)));
  }
  EXPECT_FALSE(reader.fault()) << reader.fault()->problem;
  EXPECT_EQ(reader.records(), expected.size());
  EXPECT_EQ(our_commits, commits);
  ASSERT_TRUE(reader.last_record());
  EXPECT_EQ(parse_lsn(expected.back()).value(), *reader.last_record());
}

}  // namespace
}  // namespace holdfast::wal_test
