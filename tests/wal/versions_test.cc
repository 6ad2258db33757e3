#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "base/filesystem.h"
#include "base/subprocess.h"
#include "servers/wait.h"
#include "source/postgres/block_map.h"
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

// A block of a main fork.
using Block = std::tuple<uint64_t, uint64_t, uint64_t>;  // database, relation, block

// Work that makes records of every resource manager that refers to blocks.
void work_of_all_kinds(WalServer& server) {
  server.sql("CREATE TABLE public.r (i int, s text, b box)");
  server.sql("CREATE INDEX ON public.r USING btree (i)");
  server.sql("CREATE INDEX ON public.r USING gin (string_to_array(s, '0'))");
  server.sql("CREATE INDEX ON public.r USING gist (b)");
  server.sql("CREATE INDEX ON public.r USING hash (i)");
  server.sql("CREATE INDEX ON public.r USING spgist (s)");
  server.sql("CREATE INDEX ON public.r USING brin (i)");
  for (int i = 0; i < 4; i++)
    server.sql(
        "INSERT INTO public.r SELECT i, md5(i::text), box(point(i, i), point(i, 1)) FROM generate_series(1, 3000) i");
  server.sql("CHECKPOINT");
  server.sql("UPDATE public.r SET s = md5(s) WHERE i % 3 = 0");
  server.sql("DELETE FROM public.r WHERE i > 1500");
  server.sql("VACUUM public.r");
  server.sql("CREATE SEQUENCE public.q");
  server.sql("SELECT nextval('public.q')");
  server.sql("CREATE TABLE public.large AS SELECT repeat(md5(i::text), 3000) FROM generate_series(1, 50) i");
  server.sql("CREATE INDEX built_later ON public.r (s)");
  server.sql("VACUUM FULL public.r");
  server.sql("TRUNCATE public.large");
}

// What PostgreSQL's own tools say that the records from `start` to `end` refer to; empty
// when there are no such tools of this version here.
std::optional<std::set<Block>> blocks_by_server(WalServer& server, int major, Lsn start, Lsn end) {
  std::set<Block> blocks;
  const std::string tool = "/usr/lib/postgresql/15/bin/pg_waldump";
  std::string text;
  if (major >= 16) {
    server.sql("CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA public");
    text =
        server.sql(fmt::format("SELECT string_agg(DISTINCT format('rel %s/%s/%s blk %s', reltablespace, reldatabase, "
                               "relfilenode, relblocknumber), "
                               "', ') FROM public.pg_get_wal_block_info('{}', '{}') WHERE relforknumber = 0",
                               start.text(), end.text()));
  } else if (major == 15 && exists(real_file_system(), tool).value()) {
    // All of it is more than a command's output may be.
    const std::string line = fmt::format("{} -p {}/pg_wal -s {} -e {} | grep -o 'rel [0-9/]* blk [0-9]*' | sort -u",
                                         tool, server.server().data_directory(), start.text(), end.text());
    auto outcome = run_command_checked(servers::as_server_user({"sh", "-c", line}));
    EXPECT_TRUE(outcome.ok()) << outcome.error().text();
    if (outcome.ok()) text = outcome->output;
  } else {
    return std::nullopt;
  }
  const std::regex pattern("rel ([0-9]+)/([0-9]+)/([0-9]+) blk ([0-9]+)");  // other forks have their name between
  for (std::sregex_iterator at(text.begin(), text.end(), pattern); at != std::sregex_iterator(); ++at)
    blocks.emplace(std::stoull((*at)[2]), std::stoull((*at)[3]), std::stoull((*at)[4]));
  return blocks;
}

TEST_P(VersionsTest, FindsTheBlocksThatRecordsReferTo) {
  auto made = WalServer::create(GetParam(), 4, {{"wal_keep_size", "1GB"}, {"autovacuum", "off"}});
  ASSERT_TRUE(made.ok()) << made.error().text();
  WalServer& server = *made.value();
  server.sql("SELECT pg_switch_wal()");
  const Lsn start = segment_start(server.flushed(), 4 << 20);
  work_of_all_kinds(server);
  const Lsn end = server.flushed();
  BlockMapBuilder builder;
  WalReader* reading = nullptr;
  WalReader reader(
      start, 4 << 20, [](const WalEvent&) {},
      [&](const WalRecordHeader& header, ByteView prefix) { builder.add(header, prefix, reading->major()); });
  reading = &reader;
  for (Lsn at = start; at < end; at.value += 4 << 20) {
    const Bytes content = server.segment_file(segment_name(1, at, 4 << 20));
    reader.feed(content.view(0, std::min<uint64_t>(content.size(), end.value - at.value)));
  }
  ASSERT_FALSE(reader.fault()) << reader.fault()->problem;
  ASSERT_EQ(reader.last_end(), end);
  const BlockMap map = builder.take();
  EXPECT_EQ(map.untold, "");
  std::set<Block> ours;
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> all_from;
  for (const auto& relation : map.relations) {
    if (relation.all_from) all_from[{relation.database, relation.relation}] = *relation.all_from;
    for (const uint32_t block : relation.blocks) ours.emplace(relation.database, relation.relation, block);
  }
  EXPECT_GT(ours.size() + all_from.size(), 10u);
  auto expected = blocks_by_server(server, GetParam(), start, end);
  if (!expected) GTEST_SKIP() << "no tool of PostgreSQL " << GetParam() << " here to compare with";
  EXPECT_GT(expected->size(), 500u);
  std::erase_if(*expected, [&](const Block& block) {
    const auto limit = all_from.find({std::get<0>(block), std::get<1>(block)});
    return limit != all_from.end() && std::get<2>(block) >= limit->second;
  });
  EXPECT_EQ(ours, *expected);
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
