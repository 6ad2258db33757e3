// Covers: round trip, the same and other bytes under one name, headers without
// bodies, names bound to their records, listing, any damaged or missing byte.

#include <gtest/gtest.h>

#include "repo/log_codec.h"
#include "repo/log_store.h"
#include "repo/scratch_repository.h"
#include "repo/test_outcome.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

struct LogStoreTest : testing::Test {
  ScratchRepository scratch;
  std::unique_ptr<Repository> repository = scratch.init();
  std::unique_ptr<LogStore> logs = open_log_store(*repository);

  static LogRecord record(std::string name, std::string_view header, std::string_view body) {
    return {std::move(name), Bytes::copy_of(as_bytes(header)), Bytes::copy_of(as_bytes(body))};
  }
};

TEST_F(LogStoreTest, GivesBackWhatWasPut) {
  const std::string large(300'000, 'w');
  Bytes noise(50'000);
  scratch.random->fill(noise.mutable_view());
  ASSERT_EQ(logs->put("db", record("0001", "summary", large)).value(), LogStore::Outcome::kStored);
  ASSERT_EQ(logs->put("db", record("0002", "", "")).value(), LogStore::Outcome::kStored);
  ASSERT_EQ(logs->put("db", record("0003", "h", as_text(noise.view()))).value(), LogStore::Outcome::kStored);
  EXPECT_LT(scratch.get("log/db/0001").size(), 1000u);
  const auto opened = scratch.open().value();
  const auto reader = open_log_store(*opened);
  EXPECT_EQ(as_text(reader->get("db", "0001")->body.view()), large);
  EXPECT_EQ(as_text(reader->get("db", "0001")->header.view()), "summary");
  EXPECT_EQ(reader->get("db", "0002")->body.size(), 0u);
  EXPECT_TRUE(equal(reader->get("db", "0003")->body.view(), noise.view()));
  EXPECT_EQ(as_text(reader->get_header("db", "0001")->view()), "summary");
}

TEST_F(LogStoreTest, TakesTheSameBytesAgainAndRefusesOthers) {
  ASSERT_TRUE(logs->put("db", record("0001", "a", "body")).ok());
  const Bytes before = scratch.get("log/db/0001");
  EXPECT_EQ(logs->put("db", record("0001", "b", "body")).value(), LogStore::Outcome::kAlreadyThere);
  EXPECT_EQ(outcome(logs->put("db", record("0001", "a", "other"))),
            "mismatch: record 0001 of log db is there already with other bytes");
  EXPECT_TRUE(equal(scratch.get("log/db/0001").view(), before.view()));
}

TEST_F(LogStoreTest, DoesNotTakeADamagedRecordForTheSame) {
  ASSERT_TRUE(logs->put("db", record("0001", "a", "body")).ok());
  scratch.flip("log/db/0001", scratch.get("log/db/0001").size() - 1);
  EXPECT_EQ(outcome(logs->put("db", record("0001", "a", "body"))),
            "damaged: object log/db/0001 is damaged: its body does not open");
}

TEST_F(LogStoreTest, SaysThatARecordIsAbsent) {
  EXPECT_EQ(outcome(logs->get("db", "0001")), "not-found: there is no record 0001 in log db");
  EXPECT_EQ(outcome(logs->get_header("db", "0001")), "not-found: there is no record 0001 in log db");
  EXPECT_EQ(outcome(logs->remove("db", "0001")), "not-found: there is no record 0001 in log db");
}

TEST_F(LogStoreTest, RefusesNamesThatAreNotOnes) {
  for (const char* name : {"", ".", "..", "a/b", "a b"}) {
    EXPECT_EQ(logs->put("db", record(name, "", "")).error().code(), ErrorCode::kInvalidData) << name;
    EXPECT_EQ(logs->get(name, "x").error().code(), ErrorCode::kInvalidData) << name;
  }
  EXPECT_EQ(outcome(logs->get("db", "../config")), "invalid-data: \"../config\" is not a name for a record of a log");
}

TEST_F(LogStoreTest, BindsRecordsToTheirNames) {
  ASSERT_TRUE(logs->put("db", record("0001", "a", "body")).ok());
  const Bytes object = scratch.get("log/db/0001");
  ASSERT_TRUE(scratch.store->create("log/db/0002", object.view()).ok());
  ASSERT_TRUE(scratch.store->create("log/other/0001", object.view()).ok());
  EXPECT_EQ(logs->get("db", "0002").error().code(), ErrorCode::kDamaged);
  EXPECT_EQ(logs->get_header("other", "0001").error().code(), ErrorCode::kDamaged);
}

TEST_F(LogStoreTest, ListsAndRemoves) {
  for (const char* name : {"0003", "0001", "0002.00000000-00100000", "0002"}) {
    ASSERT_TRUE(logs->put("db", record(name, "", name)).ok());
  }
  ASSERT_TRUE(logs->put("other", record("x", "", "")).ok());
  const auto names = [&](const std::string& from) {
    std::vector<std::string> found;
    for (const auto& info : logs->list("db", from).value()) found.push_back(info.name);
    return found;
  };
  EXPECT_EQ(names(""), (std::vector<std::string>{"0001", "0002", "0002.00000000-00100000", "0003"}));
  EXPECT_EQ(names("0002.0"), (std::vector<std::string>{"0002.00000000-00100000", "0003"}));
  EXPECT_EQ(logs->streams().value(), (std::vector<std::string>{"db", "other"}));
  ASSERT_TRUE(logs->remove("db", "0002").ok());
  EXPECT_EQ(names(""), (std::vector<std::string>{"0001", "0002.00000000-00100000", "0003"}));
  EXPECT_TRUE(logs->list("nothing")->empty());
}

TEST_F(LogStoreTest, FindsARecordThatIsBeingMoved) {
  ASSERT_TRUE(logs->put("db", record("0001", "a", "body")).ok());
  const Bytes object = scratch.get("log/db/0001");
  ASSERT_TRUE(scratch.store->create(log_moving_name("db", "0001"), object.view()).ok());
  ASSERT_TRUE(scratch.store->remove("log/db/0001").ok());
  EXPECT_EQ(as_text(logs->get("db", "0001")->body.view()), "body");
  EXPECT_EQ(as_text(logs->get_header("db", "0001")->view()), "a");
  EXPECT_EQ(logs->list("db")->size(), 1u);
  EXPECT_EQ(logs->put("db", record("0001", "a", "body")).value(), LogStore::Outcome::kAlreadyThere);
  EXPECT_EQ(logs->put("db", record("0001", "a", "other")).error().code(), ErrorCode::kMismatch);
  ASSERT_TRUE(logs->remove("db", "0001").ok());
  EXPECT_EQ(logs->get("db", "0001").error().code(), ErrorCode::kNotFound);
}

// A rotation that has just freed the record's name to give it to the new bytes.
class MovingStore : public store::PassingStore {
 public:
  explicit MovingStore(store::ObjectStore& inner) : PassingStore(inner), inner_(inner) {}
  void free_at_next_create(const std::string& stream, const std::string& name) {
    record_ = log_object_name(stream, name);
    copy_ = log_moving_name(stream, name);
  }
  Result<void> create(std::string_view name, ByteView content) override {
    if (name == record_) {
      record_.clear();
      const Bytes object = inner_.read_all(name).value();
      CHECK(inner_.create(copy_, object.view()).ok() && inner_.remove(name).ok());
    }
    return inner_.create(name, content);
  }

 private:
  store::ObjectStore& inner_;
  std::string record_, copy_;
};

TEST_F(LogStoreTest, TakesNoOtherBytesInPlaceOfARecordThatIsBeingMoved) {
  MovingStore moving(*scratch.store);
  const auto opened =
      open_repository({moving, system_clock(), *scratch.random}, ScratchRepository::passphrase()).value();
  const auto receiver = open_log_store(*opened);
  ASSERT_TRUE(receiver->put("db", record("0001", "a", "body")).ok());
  moving.free_at_next_create("db", "0001");
  EXPECT_EQ(receiver->put("db", record("0001", "a", "other")).error().code(), ErrorCode::kMismatch);
  EXPECT_EQ(as_text(logs->get("db", "0001")->body.view()), "body");
  EXPECT_EQ(scratch.names("log/"), std::vector<std::string>{});
  ASSERT_TRUE(scratch.store->create("log/db/0001", scratch.get(log_moving_name("db", "0001")).view()).ok());
  ASSERT_TRUE(scratch.store->remove(log_moving_name("db", "0001")).ok());
  moving.free_at_next_create("db", "0001");
  EXPECT_EQ(receiver->put("db", record("0001", "a", "body")).value(), LogStore::Outcome::kAlreadyThere);
}

TEST_F(LogStoreTest, NamesARecordWhateverByteIsFlippedOrMissing) {
  for (const std::string& body : {std::string(500, 'a'), std::string("short")}) {
    ASSERT_TRUE(logs->put("db", record("0001", "header", body)).ok());
    const Bytes intact = scratch.get("log/db/0001");
    for (size_t at = 0; at < intact.size(); at++) {
      scratch.flip("log/db/0001", at);
      const auto read = logs->get("db", "0001");
      ASSERT_FALSE(read.ok()) << at;
      EXPECT_NE(read.error().text().find("object log/db/0001"), std::string::npos) << read.error().text();
      scratch.replace("log/db/0001", intact.view());
    }
    for (size_t size = 0; size < intact.size(); size++) {
      scratch.truncate("log/db/0001", size);
      const auto read = logs->get("db", "0001");
      ASSERT_FALSE(read.ok()) << size;
      EXPECT_EQ(read.error().code(), ErrorCode::kDamaged) << read.error().text();
      scratch.replace("log/db/0001", intact.view());
    }
    ASSERT_TRUE(scratch.store->remove("log/db/0001").ok());
  }
}

}  // namespace
}  // namespace holdfast::repo
