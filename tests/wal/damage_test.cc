// Covers: that damage in what is stored ends no protection of what comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "servers/wait.h"
#include "wal/troubled_log_store.h"
#include "wal/wal_server.h"

namespace holdfast::wal_test {
namespace {

using namespace postgres;
using servers::wait_until;

class DamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!servers::find_postgres(15)) GTEST_SKIP() << "there is no PostgreSQL 15 here";
    auto made = WalServer::create(15);
    ASSERT_TRUE(made.ok()) << made.error().text();
    server_ = std::move(made).value();
    server_->sql("CREATE TABLE public.t (i bigserial PRIMARY KEY, s text)");
  }
  void insert() {
    server_->sql("INSERT INTO public.t (s) SELECT repeat(md5(i::text), 20) FROM generate_series(1, 20) i");
  }
  void switch_segment() { server_->sql("SELECT pg_switch_wal()"); }
  // Everything that the server has by now.
  void receive_all() {
    LiveReceiver receiver(*server_, receiver_options());
    const Lsn end = server_->flushed();
    EXPECT_TRUE(wait_until([&] { return stored_end(server_->archive(), 1) >= end; })) << receiver.state().trouble;
    EXPECT_EQ(receiver.stop(), "");
  }
  // What was stored last. Its name.
  std::string damage_newest() {
    const WalPiece newest = server_->archive().pieces().value().back();
    server_->store().damage(newest.record);
    return newest.record;
  }

  std::unique_ptr<WalServer> server_;
};

TEST_F(DamageTest, ASegmentOfWhichAPartIsDamagedIsReceivedAnew) {
  insert();
  receive_all();
  const std::string part = damage_newest();
  const std::string segment = part.substr(0, 24);
  ASSERT_NE(part, segment);
  insert();
  receive_all();
  switch_segment();
  insert();
  receive_all();
  const auto stored = server_->archive().fetch_whole(segment);
  ASSERT_TRUE(stored.ok() && stored.value()) << segment;
  EXPECT_TRUE(equal(*stored.value(), server_->segment_file(segment)));
}

// Case: the segment is long in filling, and a put is refused in between.
TEST_F(DamageTest, WhatIsReceivedAnewCanBeReadBeforeItsSegmentIsFull) {
  insert();
  receive_all();
  insert();
  receive_all();
  const std::string part = damage_newest();
  const std::string segment = part.substr(0, 24);
  ASSERT_NE(part, segment);
  ASSERT_EQ(server_->archive().fetch(segment).error().code(), ErrorCode::kDamaged);
  TroubledLogStore store(server_->store());
  store.refuse(segment);
  LiveReceiver receiver(*server_, receiver_options(), store);
  insert();
  const Lsn end = server_->flushed();
  EXPECT_TRUE(wait_until([&] { return receiver.state().store_retries > 0; })) << receiver.state().trouble;
  store.mend();
  EXPECT_TRUE(wait_until([&] { return receiver.state().stored >= end; })) << receiver.state().trouble;
  EXPECT_EQ(receiver.stop(), "");
  ASSERT_EQ(server_->archive().pieces().value().back().record.substr(0, 24), segment) << "it is not full";
  const auto stored = server_->archive().fetch(segment);
  ASSERT_TRUE(stored.ok() && stored.value()) << stored.error().text();
  const auto bytes = static_cast<size_t>(end.value % server_->identity().segment_bytes);
  EXPECT_TRUE(equal(stored.value()->view(0, bytes), server_->segment_file(segment).view(0, bytes)));
}

// Case: what is intact before a damaged part is compared all the same.
TEST_F(DamageTest, AServerThatWasSetBackIsRefusedThoughTheNewestPartIsDamaged) {
  insert();
  receive_all();
  server_->keep_copy();
  for (int i = 0; i < 2; i++) {
    insert();
    receive_all();
  }
  const WalPiece newest = server_->archive().pieces().value().back();
  ASSERT_FALSE(newest.whole);
  const Lsn end = stored_end(server_->archive(), 1);
  server_->store().damage(newest.record);
  server_->set_back();
  while (server_->flushed() <= end) insert();
  LiveReceiver receiver(*server_, receiver_options());
  EXPECT_TRUE(wait_until([&] { return receiver.ended(); })) << receiver.state().trouble;
  EXPECT_THAT(receiver.stop(), testing::HasSubstr(fmt::format("is not what is stored up to {}: the server was set back",
                                                              newest.from.text())));
  EXPECT_EQ(stored_end(server_->archive(), 1), end) << "nothing of it is stored";
}

TEST_F(DamageTest, TheReceiverGoesOnBehindADamagedSegment) {
  insert();
  switch_segment();
  receive_all();
  ASSERT_EQ(damage_newest().size(), 24u) << "a whole segment";
  insert();
  receive_all();
}

}  // namespace
}  // namespace holdfast::wal_test
