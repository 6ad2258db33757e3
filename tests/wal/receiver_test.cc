#include "source/postgres/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "base/filesystem.h"
#include "servers/wait.h"
#include "source/postgres/timeline.h"
#include "source/postgres/wal_get.h"
#include "wal/troubled_log_store.h"
#include "wal/wal_server.h"

namespace holdfast::wal_test {
namespace {

using namespace postgres;
using servers::wait_until;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReceiverTest : public ::testing::Test {
 protected:
  void start(const std::map<std::string, std::string>& settings = {}) {
    auto made = WalServer::create(major_, 1, settings);
    ASSERT_TRUE(made.ok()) << made.error().text();
    server_ = std::move(made).value();
    server_->sql("CREATE TABLE public.t (i bigserial PRIMARY KEY, s text)");
  }
  void SetUp() override {
    if (!servers::find_postgres(15)) GTEST_SKIP() << "there is no PostgreSQL 15 here";
  }
  void insert(int rows) {
    server_->sql(
        fmt::format("INSERT INTO public.t (s) SELECT repeat(md5(i::text), 20) FROM generate_series(1, {}) i", rows));
  }
  bool wait_until_stored(Lsn lsn, uint32_t timeline = 1) {
    return wait_until([&] { return stored_end(server_->archive(), timeline) >= lsn; });
  }
  // As restore_command asks for it, in a process of its own.
  WalGetOutcome wal_get_of(const std::string& name) {
    WalGetOptions options;
    options.name = name;
    options.destination = server_->scratch().file("got");
    options.look_ahead = 0;
    options.identity = server_->identity();
    const auto archive = server_->another_archive();
    return wal_get(real_file_system(), options, [&]() -> Result<WalArchive*> { return archive.get(); }).outcome;
  }
  // Every byte that the archive has of the timeline is what the server wrote.
  void expect_same_bytes(uint32_t timeline) {
    const uint64_t segment_bytes = server_->identity().segment_bytes;
    for (const WalRange& range : server_->archive().ranges().value()) {
      if (range.timeline != timeline) continue;
      for (Lsn at = range.from; at < range.to; at.value += segment_bytes) {
        const std::string name = segment_name(timeline, at, segment_bytes);
        const std::string path = server_->server().data_directory() + "/pg_wal/" + name;
        if (!exists(real_file_system(), path).value()) continue;  // recycled by now
        const Bytes file = server_->segment_file(name);
        const auto stored = server_->archive().fetch(name);
        ASSERT_TRUE(stored.ok() && stored.value()) << name;
        const size_t size = std::min(segment_bytes, range.to.value - at.value);
        EXPECT_TRUE(equal(file.view(0, size), stored.value()->view(0, size))) << name;
      }
    }
  }

  // Everything that the server has by now is stored, and nobody receives any more.
  void receive_all() {
    LiveReceiver receiver(*server_, receiver_options());
    ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
    ASSERT_EQ(receiver.stop(), "");
  }
  std::string outcome_of_receiving() {
    LiveReceiver receiver(*server_, receiver_options());
    EXPECT_TRUE(wait_until([&] { return receiver.ended(); })) << receiver.state().trouble;
    return receiver.stop();
  }

  int major_ = 15;
  std::unique_ptr<WalServer> server_;
};

TEST_F(ReceiverTest, ReceivesAllAndGoesOnWithinASegment) {
  start();
  Lsn first;
  for (int round = 0; round < 3; round++) {
    LiveReceiver receiver(*server_, receiver_options());
    insert(500);
    if (round == 0)
      first = server_->archive().ranges().value().empty() ? Lsn{} : server_->archive().ranges().value()[0].from;
    insert(700);
    const Lsn end = server_->flushed();
    ASSERT_TRUE(wait_until_stored(end)) << receiver.state().trouble;
    EXPECT_EQ(receiver.stop(), "");
  }
  const auto ranges = server_->archive().ranges().value();
  ASSERT_EQ(ranges.size(), 1u) << "no gap";
  EXPECT_GE(ranges[0].to.value - ranges[0].from.value, 2 * server_->identity().segment_bytes);
  EXPECT_TRUE(ranges[0].last_commit);
  expect_same_bytes(1);
}

TEST_F(ReceiverTest, TakesWhatIsOnItsWayWhenItIsStopped) {
  start();
  LiveReceiver receiver(*server_, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; }));
  insert(2000);
  const std::string time = server_->sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  const Lsn end = server_->flushed();
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_GE(stored_end(server_->archive(), 1), end);
  const auto ranges = server_->archive().ranges().value();
  ASSERT_TRUE(ranges.back().covered_until) << "it leaves a mark";
  EXPECT_GE(ranges.back().covered_until->ns / 1000, std::stoll(time));
}

TEST_F(ReceiverTest, MarksAnIdleServer) {
  start();
  LiveReceiver receiver(*server_, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().proven_until.has_value(); }));
  const Time first = *receiver.state().proven_until;
  ASSERT_TRUE(wait_until([&] { return *receiver.state().proven_until > first; }));
  EXPECT_EQ(receiver.stop(), "");
  for (const WalMark& mark : server_->archive().marks().value()) EXPECT_LE(mark.lsn, stored_end(server_->archive(), 1));
}

// What a client was told is committed is in the archive, whenever the server dies.
TEST_F(ReceiverTest, LosesNothingThatASynchronousServerAcknowledged) {
  start();
  ReceiverOptions options = receiver_options();
  options.synchronous = true;
  options.application_name = "holdfast_sync";
  LiveReceiver receiver(*server_, options);
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; }));
  server_->sql("ALTER SYSTEM SET synchronous_standby_names = 'holdfast_sync'");
  server_->sql("SELECT pg_reload_conf()");
  ASSERT_TRUE(wait_until([&] { return server_->sql("SELECT sync_state FROM pg_stat_replication") == "sync"; }));
  std::vector<uint32_t> acknowledged;
  std::mutex mutex;
  std::vector<std::jthread> writers;
  std::atomic<bool> killed{false};
  for (int i = 0; i < 3; i++)
    writers.emplace_back([&] {
      auto session = server_->server().connect();
      if (!session.ok()) return;
      while (!killed) {
        const auto xid =
            session.value()->value("INSERT INTO public.t (s) VALUES ('x') RETURNING pg_current_xact_id()::xid");
        if (!xid.ok()) return;
        std::lock_guard lock(mutex);
        acknowledged.push_back(static_cast<uint32_t>(std::stoul(xid.value())));
      }
    });
  ASSERT_TRUE(wait_until([&] {
    std::lock_guard lock(mutex);
    return acknowledged.size() > 300;
  }));
  server_->server().kill();
  killed = true;
  writers.clear();
  EXPECT_EQ(receiver.stop(), "");
  const auto ranges = server_->archive().ranges().value();
  ASSERT_EQ(ranges.size(), 1u);
  auto stored = stored_commits(server_->archive(), 1, ranges[0].from);
  std::sort(stored.begin(), stored.end());
  for (const uint32_t xid : acknowledged) EXPECT_TRUE(std::binary_search(stored.begin(), stored.end(), xid)) << xid;
}

// Cases: an old timeline served after a switch; a history file that is never tried again.
TEST_F(ReceiverTest, FollowsAPromotionWhileItStreams) {
  start();
  {
    LiveReceiver receiver(*server_, receiver_options());
    insert(100);
    ASSERT_TRUE(wait_until_stored(server_->flushed()));
    EXPECT_EQ(receiver.stop(), "");
  }
  ASSERT_TRUE(server_->server().stop().ok());
  const std::string signal = server_->server().data_directory() + "/standby.signal";
  ASSERT_TRUE(write_file_durably(real_file_system(), signal, {}, 0644).ok());
  ASSERT_TRUE(server_->server().start().ok());
  LiveReceiver receiver(*server_, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; })) << receiver.state().trouble;
  // The first try to store the history fails.
  server_->store().break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
  server_->sql("SELECT pg_promote()");
  ASSERT_TRUE(wait_until([&] { return receiver.state().trouble != ""; }));
  EXPECT_THAT(receiver.state().trouble, HasSubstr("the store is away"));
  server_->store().mend();
  insert(500);
  const Lsn end = server_->flushed();
  ASSERT_TRUE(wait_until_stored(end, 2)) << receiver.state().trouble;
  EXPECT_EQ(receiver.state().timeline, 2u);
  EXPECT_EQ(receiver.stop(), "");
  const auto history = server_->archive().history(2).value();
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(server_->archive().newest_descendant(1, history[0].left_at).value(), 2u);
  EXPECT_THAT(server_->archive().gaps(2, segment_start(history[0].left_at, 1 << 20), end).value(), IsEmpty());
  expect_same_bytes(2);
}

// Case: storage away or slow; nothing is lost, and nothing is called flushed before it is stored.
TEST_F(ReceiverTest, KeepsTryingWhileTheStoreIsAway) {
  start();
  LiveReceiver receiver(*server_, receiver_options());
  insert(100);
  ASSERT_TRUE(wait_until_stored(server_->flushed()));
  const Lsn before = stored_end(server_->archive(), 1);
  server_->store().break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
  insert(3000);
  ASSERT_TRUE(wait_until([&] { return receiver.state().store_retries > 0; }));
  EXPECT_LE(parse_lsn(server_->sql("SELECT flush_lsn FROM pg_stat_replication")).value(), before);
  EXPECT_LE(parse_lsn(server_->sql("SELECT restart_lsn FROM pg_replication_slots")).value(), before);
  server_->store().mend();
  ASSERT_TRUE(wait_until_stored(server_->flushed()));
  EXPECT_EQ(receiver.stop(), "");
  expect_same_bytes(1);
}

TEST_F(ReceiverTest, ComesBackAfterTheServerCrashed) {
  start();
  LiveReceiver receiver(*server_, receiver_options());
  for (int round = 0; round < 2; round++) {
    insert(400);
    server_->server().kill();
    ASSERT_TRUE(server_->server().start().ok());
    insert(100);
    ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
  }
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_EQ(server_->archive().ranges().value().size(), 1u);
  expect_same_bytes(1);
}

// The slot was lost and the server removed WAL: protection goes on behind a gap that is told.
TEST_F(ReceiverTest, GoesOnBehindAGapAndSaysSo) {
  start();
  {
    LiveReceiver receiver(*server_, receiver_options());
    insert(100);
    ASSERT_TRUE(wait_until_stored(server_->flushed()));
    EXPECT_EQ(receiver.stop(), "");
  }
  const Lsn before = stored_end(server_->archive(), 1);
  ASSERT_TRUE(wait_until([&] { return server_->sql("SELECT active FROM pg_replication_slots") == "f"; }));
  server_->sql("SELECT pg_drop_replication_slot('holdfast_test')");
  for (int i = 0; i < 6; i++) {
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
  }
  server_->sql("CHECKPOINT");
  server_->sql("CHECKPOINT");
  LiveReceiver receiver(*server_, receiver_options());
  insert(100);
  const Lsn end = server_->flushed();
  ASSERT_TRUE(wait_until_stored(end)) << receiver.state().trouble;
  ASSERT_TRUE(wait_until([&] { return receiver.state().gaps == 1; })) << receiver.state().trouble;
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_EQ(server_->archive().ranges().value().size(), 2u);
  const auto gaps = server_->archive().gaps(1, before, end).value();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_THAT(gaps[0], HasSubstr("is missing (segment 00000001"));
}

// A backup stores WAL of its own while no receiver is there. A new slot keeps WAL from the
// last checkpoint on only, but the server has more.
TEST_F(ReceiverTest, FetchesWhatComesBeforeWalThatABackupStored) {
  start({{"wal_keep_size", "512MB"}});
  {
    LiveReceiver receiver(*server_, receiver_options());
    insert(100);
    ASSERT_TRUE(wait_until_stored(server_->flushed()));
    EXPECT_EQ(receiver.stop(), "");
  }
  ASSERT_TRUE(wait_until([&] { return server_->sql("SELECT active FROM pg_replication_slots") == "f"; }));
  server_->sql("SELECT pg_drop_replication_slot('holdfast_test')");
  for (int i = 0; i < 3; i++) {
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
  }
  server_->sql("CHECKPOINT");
  const std::string name = server_->sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
  insert(10);
  server_->sql("SELECT pg_switch_wal()");
  ASSERT_TRUE(server_->archive().push(name, server_->segment_file(name)).ok());
  insert(400);
  server_->sql("CHECKPOINT");
  ASSERT_EQ(server_->archive().ranges().value().size(), 2u) << "there is a hole";
  LiveReceiver receiver(*server_, receiver_options());
  const Lsn end = server_->flushed();
  ASSERT_TRUE(wait_until_stored(end)) << receiver.state().trouble;
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_EQ(receiver.state().gaps, 0u);
  EXPECT_EQ(server_->archive().ranges().value().size(), 1u) << "and now there is none";
  expect_same_bytes(1);
}

// An old hole that nothing can fill costs no slot: what that keeps stays kept.
TEST_F(ReceiverTest, AsksInVainForAnOldHoleAndKeepsItsSlot) {
  start();
  const std::string first = server_->sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
  insert(10);
  server_->sql("SELECT pg_switch_wal()");
  ASSERT_TRUE(server_->archive().push(first, server_->segment_file(first)).ok());
  for (int i = 0; i < 6; i++) {
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
  }
  server_->sql("CHECKPOINT");
  server_->sql("CHECKPOINT");
  for (int round = 0; round < 2; round++) {
    insert(10);
    LiveReceiver receiver(*server_, receiver_options());
    ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
    EXPECT_EQ(receiver.stop(), "");
    EXPECT_EQ(receiver.state().gaps, 1u) << "it says so every time";
    ASSERT_TRUE(wait_until([&] { return server_->sql("SELECT active FROM pg_replication_slots") == "f"; }));
    // Kept by the slot alone, while nobody receives.
    for (int i = 0; i < 3; i++) {
      insert(400);
      server_->sql("SELECT pg_switch_wal()");
    }
    server_->sql("CHECKPOINT");
    server_->sql("CHECKPOINT");
  }
  EXPECT_EQ(server_->archive().ranges().value().size(), 2u);
}

// Case: a store that is slow for hours without an error. The server waits, memory does not
// grow, and whatever was acknowledged by any moment is there for a recovery that begins then.
TEST_F(ReceiverTest, ASlowStoreHoldsTheServerUpAndLosesNothing) {
  start();
  TroubledLogStore store(server_->store());
  LiveReceiver receiver(*server_, receiver_options(), store);
  // Ends before the receiver, which waits for its storers.
  const std::shared_ptr<void> lets_go(nullptr, [&](void*) { store.mend(); });
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; }));
  const std::string acknowledged = "SELECT coalesce(max(flush_lsn), '0/0') FROM pg_stat_replication";
  insert(10);
  const Lsn first = server_->flushed();
  ASSERT_TRUE(wait_until([&] { return parse_lsn(server_->sql(acknowledged)).value() >= first; }));
  store.hold_puts();
  // A hundred segments, nearly empty, yet streamed whole.
  server_->sql(
      "DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO public.t (s) VALUES ('x'); PERFORM pg_switch_wal(); END LOOP; "
      "END $$");
  const Lsn end = server_->flushed();
  const uint64_t segment_bytes = server_->identity().segment_bytes;
  const auto in_memory = [&] {
    const ReceiverState state = receiver.state();
    return state.received.value - state.stored.value;
  };
  ASSERT_TRUE(wait_until([&] { return in_memory() >= 60 * segment_bytes; })) << "it takes what it can";
  const auto look = [&] {
    EXPECT_LE(in_memory(), 65 * segment_bytes);
    const Lsn safe = parse_lsn(server_->sql(acknowledged)).value();
    EXPECT_LE(safe, stored_end(server_->archive(), 1));
    const std::string name = segment_name(1, Lsn{safe.value - 1}, segment_bytes);
    // Trouble, while the segment behind it was stored first and it looks like a hole.
    EXPECT_NE(wal_get_of(name), WalGetOutcome::kAbsent) << name;
  };
  for (int i = 0; i < 20; i++) {
    const size_t before = store.passed();
    store.let_one_through();
    ASSERT_TRUE(wait_until([&] { return store.passed() > before; }));
    look();
  }
  EXPECT_GT(end, stored_end(server_->archive(), 1)) << "the server keeps the rest";
  store.mend();
  ASSERT_TRUE(wait_until_stored(end)) << receiver.state().trouble;
  look();
  EXPECT_TRUE(exists(real_file_system(), server_->scratch().file("got")).value());
  EXPECT_EQ(receiver.state().reconnects, 0u);
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_EQ(server_->archive().ranges().value().size(), 1u);
}

// Neither a server that waits for us nor one that ends the stream for our silence may
// suffer for a mark.
TEST_F(ReceiverTest, AStoreThatIsSlowToTakeAMarkKeepsNobodyWaiting) {
  start();
  server_->sql("ALTER SYSTEM SET wal_sender_timeout = '1s'");
  server_->sql("SELECT pg_reload_conf()");
  TroubledLogStore store(server_->store());
  LiveReceiver receiver(*server_, receiver_options(), store);
  const std::shared_ptr<void> lets_go(nullptr, [&](void*) { store.mend(); });
  ASSERT_TRUE(wait_until([&] { return receiver.state().connected; }));
  store.hold_marks();
  insert(10);
  ASSERT_TRUE(wait_until([&] { return store.marks_waiting() > 0; }));
  const std::string acknowledged = "SELECT coalesce(max(flush_lsn), '0/0') FROM pg_stat_replication";
  for (int i = 0; i < 20; i++) {
    insert(10);
    const Lsn end = server_->flushed();
    ASSERT_TRUE(wait_until([&] { return parse_lsn(server_->sql(acknowledged)).value() >= end; }));
  }
  // Longer than the server bears silence.
  const std::string began = server_->sql("SELECT clock_timestamp()");
  ASSERT_TRUE(wait_until(
      [&] { return server_->sql("SELECT clock_timestamp() > '" + began + "'::timestamptz + interval '3s'") == "t"; }));
  EXPECT_EQ(store.marks_waiting(), 1u);
  EXPECT_EQ(receiver.state().reconnects, 0u) << receiver.state().trouble;
  store.mend();
  ASSERT_TRUE(wait_until([&] { return receiver.state().proven_until.has_value(); }));
  EXPECT_EQ(receiver.stop(), "");
}

// Case: one failing segment while those behind it succeed.
TEST_F(ReceiverTest, ASegmentThatFailsIsNotPassedOverByThoseBehindIt) {
  start();
  TroubledLogStore store(server_->store());
  ReceiverOptions options = receiver_options();
  options.storers = 4;  // one may have a part of the segment, one all of it
  LiveReceiver receiver(*server_, options, store);
  const std::string acknowledged = "SELECT coalesce(max(flush_lsn), '0/0') FROM pg_stat_replication";
  insert(10);
  const Lsn first = server_->flushed();
  ASSERT_TRUE(wait_until([&] { return parse_lsn(server_->sql(acknowledged)).value() >= first; }));
  server_->sql("SELECT pg_switch_wal()");
  insert(10);
  const uint64_t segment_bytes = server_->identity().segment_bytes;
  const Lsn begin = segment_start(server_->flushed(), segment_bytes);
  const std::string failing = segment_name(1, begin, segment_bytes);
  const std::string behind = segment_name(1, Lsn{begin.value + segment_bytes}, segment_bytes);
  store.refuse(failing);
  for (int i = 0; i < 4; i++) {
    insert(10);
    server_->sql("SELECT pg_switch_wal()");
  }
  const auto is_stored = [&](const std::string& name) {
    const auto names = server_->store().record_names(fmt::format("db.{}", server_->identity().system_id));
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  ASSERT_TRUE(wait_until([&] { return is_stored(behind); }));
  EXPECT_LT(parse_lsn(server_->sql(acknowledged)).value(), Lsn{begin.value + segment_bytes});
  EXPECT_EQ(wal_get_of(behind), WalGetOutcome::kFound);
  EXPECT_EQ(wal_get_of(failing), WalGetOutcome::kTrouble) << "and not absent";
  store.mend();
  ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
  ASSERT_TRUE(wait_until([&] { return is_stored(failing); }));
  EXPECT_EQ(receiver.stop(), "");
  EXPECT_EQ(server_->archive().ranges().value().size(), 1u);
  expect_same_bytes(1);
}

// Case: pg_wal fills the disk.
TEST_F(ReceiverTest, WarnsOfASlotWithoutALimitAndOfOneThatFallsBehind) {
  start({{"max_wal_size", "2MB"}});
  LiveReceiver receiver(*server_, receiver_options());
  const auto warned = [&](const std::string& words) {
    return wait_until([&] { return receiver.state().slot_warning.find(words) != std::string::npos; });
  };
  ASSERT_TRUE(warned("nothing limits the WAL that the slot holdfast_test makes the server keep"));
  EXPECT_THAT(receiver.state().slot_warning, HasSubstr(", and that disk has ")) << "it is on this machine";
  server_->sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'");
  server_->sql("SELECT pg_reload_conf()");
  ASSERT_TRUE(wait_until([&] { return receiver.state().slot_warning.empty(); }));

  server_->store().break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
  for (int i = 0; i < 4; i++) {
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
  }
  EXPECT_TRUE(warned("more than max_wal_size; beyond max_slot_wal_keep_size = 1GB the server removes it"));
  server_->store().mend();
  ASSERT_TRUE(wait_until_stored(server_->flushed()));
  EXPECT_TRUE(wait_until([&] { return receiver.state().slot_warning.empty(); }));
  EXPECT_EQ(receiver.stop(), "");
}

// Case: a cloned or restored machine under the same name.
TEST_F(ReceiverTest, RefusesAnotherCluster) {
  start();
  WalArchive::Identity other = server_->identity();
  other.system_id = 42;
  const auto archive = WalArchive::open(server_->store(), system_clock(), other).value();
  const std::atomic<bool> stop{false};
  const auto outcome = receive_wal(server_->connection(), *archive, system_clock(), receiver_options(), stop, nullptr);
  EXPECT_EQ(outcome.error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(outcome.error().text(),
            fmt::format("the server is of the cluster with system identifier {}, not 42 (this is another "
                        "cluster (or one made anew by initdb): give it its own component)",
                        server_->identity().system_id));
}

// Case: a machine or its disk is put back to an earlier state. Its next WAL has the names of
// what is stored, and is another history.
TEST_F(ReceiverTest, RefusesAServerThatWasSetBack) {
  start();
  insert(100);
  receive_all();
  server_->keep_copy();
  insert(400);
  receive_all();
  const Lsn end = stored_end(server_->archive(), 1);
  server_->set_back();
  const auto records = server_->archive().pieces().value().size();
  const std::string outcome = outcome_of_receiving();
  EXPECT_THAT(outcome, HasSubstr("component db: the server's WAL ends at "));
  EXPECT_THAT(outcome,
              HasSubstr(fmt::format("on timeline 1, but it is stored up to {}: the server was set back", end.text())));
  EXPECT_THAT(outcome, HasSubstr("give its component another name in holdfast.yaml and take a backup"));
  EXPECT_EQ(server_->archive().pieces().value().size(), records) << "nothing of it is stored";
  EXPECT_THAT(server_->archive().marks().value(), testing::Each(testing::Field(&WalMark::lsn, testing::Le(end))));
}

// Receives, goes back to what was before and on past it, and receives again: that is refused.
class SetBackTest : public ReceiverTest {
 protected:
  void expect_refusal(bool between_segments) {
    start();
    insert(100);
    receive_all();
    server_->keep_copy();
    insert(400);
    if (between_segments) server_->sql("SELECT pg_switch_wal()");
    receive_all();
    const Lsn end = stored_end(server_->archive(), 1);
    ASSERT_EQ(end.value % server_->identity().segment_bytes == 0, between_segments);
    server_->set_back();
    while (server_->flushed() <= end) insert(50);
    const std::string outcome = outcome_of_receiving();
    EXPECT_THAT(outcome, HasSubstr(fmt::format("is not what is stored up to {}: the server was set back", end.text())));
    EXPECT_EQ(stored_end(server_->archive(), 1), end) << "nothing of it is stored";
  }
};

TEST_F(SetBackTest, DoesNotGoOnWithAnotherHistoryWithinASegment) { expect_refusal(false); }

TEST_F(SetBackTest, DoesNotGoOnWithAnotherHistoryBetweenSegments) { expect_refusal(true); }

// As above, but the server is promoted before it is received from again: the old history is stored
// under an ancestor's name.
class SetBackAndPromotedTest : public ReceiverTest {
 protected:
  void set_back_and_promote(bool between_segments) {
    start();
    insert(100);
    receive_all();
    server_->keep_copy();
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
    insert(10);
    receive_all();
    server_->set_back();
    insert(50);
    if (between_segments) server_->sql("SELECT pg_switch_wal()");
    server_->server().kill();
    const std::string signal = server_->server().data_directory() + "/standby.signal";
    ASSERT_TRUE(write_file_durably(real_file_system(), signal, {}, 0644).ok());
    ASSERT_TRUE(server_->server().start().ok());
    server_->sql("SELECT pg_promote()");
    insert(50);
  }
  Lsn parted() {
    const auto history = server_->archive().history(2);
    return history.ok() ? history->back().left_at : Lsn{};
  }
};

TEST_F(SetBackAndPromotedTest, IsRefusedWithinASegment) {
  ASSERT_NO_FATAL_FAILURE(set_back_and_promote(false));
  const std::string outcome = outcome_of_receiving();
  EXPECT_THAT(outcome, HasSubstr(fmt::format("differs, before timeline 2 begins at {}, from what is stored of timeline "
                                             "1 (the server was set back before it was promoted",
                                             parted().text())));
  EXPECT_EQ(stored_end(server_->archive(), 2), Lsn{}) << "nothing of it is stored";
}

TEST_F(SetBackAndPromotedTest, IsRefusedBetweenSegments) {
  ASSERT_NO_FATAL_FAILURE(set_back_and_promote(true));
  const std::string outcome = outcome_of_receiving();
  EXPECT_EQ(parted().value % server_->identity().segment_bytes, 0u);
  EXPECT_THAT(outcome,
              HasSubstr(fmt::format("is not what is stored up to {}: the server was set back", parted().text())));
  EXPECT_EQ(stored_end(server_->archive(), 2), Lsn{}) << "nothing of it is stored";
}

// With synchronous_commit = remote_write the server goes by what is written.
TEST_F(ReceiverTest, SynchronousCallsWrittenOnlyWhatIsStored) {
  start();
  ReceiverOptions options = receiver_options();
  options.synchronous = true;
  options.status_interval = Duration::milliseconds(20);
  LiveReceiver receiver(*server_, options);
  insert(10);
  ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
  const Lsn stored = stored_end(server_->archive(), 1);
  server_->store().break_down(make_error(ErrorCode::kUnavailable, "the store is away").with_retryable());
  insert(200);
  ASSERT_TRUE(wait_until([&] { return receiver.state().received > stored; }));
  const std::string now = server_->sql("SELECT clock_timestamp()");
  const std::string answered = fmt::format("SELECT reply_time > '{}' FROM pg_stat_replication", now);
  ASSERT_TRUE(wait_until([&] { return server_->sql(answered) == "t"; }));
  EXPECT_LE(parse_lsn(server_->sql("SELECT write_lsn FROM pg_stat_replication")).value(), stored);
  server_->store().mend();
  ASSERT_TRUE(wait_until_stored(server_->flushed()));
  EXPECT_EQ(receiver.stop(), "");
}

// Case: the name of the slot is that of a subscriber's.
// Before 15 a server does not tell over the replication protocol what a slot is.
class SlotTest : public ReceiverTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    if (!servers::find_postgres(GetParam())) GTEST_SKIP() << "there is no PostgreSQL " << GetParam() << " here";
    major_ = GetParam();
  }
};

TEST_P(SlotTest, OneForLogicalReplicationIsLeftAlone) {
  start({{"wal_level", "logical"}});
  server_->sql("SELECT pg_create_logical_replication_slot('holdfast_test', 'pgoutput')");
  EXPECT_EQ(outcome_of_receiving(),
            "the slot 'holdfast_test' is one for logical replication (give the component another 'slot')");
  EXPECT_EQ(server_->sql("SELECT slot_type FROM pg_replication_slots"), "logical");
}

// The role may replicate and nothing else.
TEST_P(SlotTest, OneOfWhichNobodyTellsWhatItIsIsLeftAlone) {
  start({{"wal_level", "logical"}});
  server_->sql("CREATE ROLE replicator LOGIN REPLICATION");
  server_->sql("SELECT pg_create_logical_replication_slot('holdfast_test', 'pgoutput')");
  const std::string hba = "local replication replicator trust\nlocal all replicator reject\nlocal all all trust\n";
  ASSERT_TRUE(
      write_file_durably(real_file_system(), server_->server().data_directory() + "/pg_hba.conf", as_bytes(hba), 0644)
          .ok());
  server_->sql("SELECT pg_reload_conf()");
  server_->connect_as("replicator");
  ASSERT_TRUE(wait_until([&] { return !ServerSession::connect(server_->connection()).ok(); })) << "read anew";
  LiveReceiver receiver(*server_, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().reconnects > 1 || receiver.ended(); }));
  EXPECT_THAT(receiver.state().trouble + receiver.stop(), HasSubstr("logical"));
  EXPECT_EQ(server_->sql("SELECT slot_type FROM pg_replication_slots"), "logical");
}

TEST_P(SlotTest, OneThatTheServerHasGivenUpIsMadeAnew) {
  start();
  insert(100);
  receive_all();
  ASSERT_TRUE(wait_until([&] { return server_->sql("SELECT active FROM pg_replication_slots") == "f"; }));
  server_->sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  server_->sql("SELECT pg_reload_conf()");
  for (int i = 0; i < 4; i++) {
    insert(400);
    server_->sql("SELECT pg_switch_wal()");
  }
  ASSERT_TRUE(wait_until([&] {
    server_->sql("CHECKPOINT");
    return server_->sql("SELECT wal_status FROM pg_replication_slots") == "lost";
  }));
  LiveReceiver receiver(*server_, receiver_options());
  insert(100);
  ASSERT_TRUE(wait_until_stored(server_->flushed())) << receiver.state().trouble;
  ASSERT_TRUE(wait_until([&] { return receiver.state().gaps == 1; })) << receiver.state().trouble;
  // It may be behind by more than it is granted until what is stored has been acknowledged.
  const auto slot = [&] { return server_->sql("SELECT wal_status || ' ' || active FROM pg_replication_slots"); };
  EXPECT_TRUE(wait_until([&] { return slot() == "reserved true"; })) << slot();
  EXPECT_EQ(receiver.stop(), "");
}

INSTANTIATE_TEST_SUITE_P(Versions, SlotTest, ::testing::Values(13, 14, 15, 18),
                         [](const auto& test) { return "PostgreSQL" + std::to_string(test.param); });

TEST_F(ReceiverTest, StopsAtOnceWhenThereIsNoServer) {
  start();
  ASSERT_TRUE(server_->server().stop().ok());
  LiveReceiver receiver(*server_, receiver_options());
  ASSERT_TRUE(wait_until([&] { return receiver.state().reconnects > 0; }));
  EXPECT_THAT(receiver.state().trouble, HasSubstr("can't connect to the PostgreSQL server"));
  EXPECT_EQ(receiver.stop(), "");
}

}  // namespace
}  // namespace holdfast::wal_test
