// Covers: adding, removing and changing passphrases; the last key stays; rotation
// with and without re-sealing, stopped at every change of the store.

#include <gtest/gtest.h>

#include "repo/check.h"
#include "repo/collect.h"
#include "repo/index.h"
#include "repo/key_set.h"
#include "repo/keyring.h"
#include "repo/lease.h"
#include "repo/log_codec.h"
#include "repo/log_store.h"
#include "repo/scratch_repository.h"
#include "repo/test_outcome.h"
#include "repo/tombstone.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

struct KeyringTest : testing::Test {
  ScratchRepository scratch;
  std::unique_ptr<Repository> repository = scratch.init();
  Progress progress;

  BlockId put(Repository& into, std::string_view text) {
    const auto session = WriteSession::begin(into, {}).value();
    const BlockId id = session->put(BlockKind::kData, as_bytes(text)).value();
    Point point = ScratchRepository::point(std::string(text));
    EXPECT_TRUE(session->commit(point).ok());
    return id;
  }
  std::string object_of_epoch(const std::string& prefix, uint32_t epoch) {
    for (const std::string& name : scratch.names(prefix)) {
      if (parse_any_object_header(scratch.get(name).view(), name)->epoch == epoch) return name;
    }
    return "";
  }
  void lose_epoch(uint32_t number) {
    for (const char* suffix : {"", ".copy"})
      EXPECT_TRUE(scratch.store->remove(epoch_name(number, repository->id()) + suffix).ok());
  }
  bool opens(std::string_view passphrase) {
    return open_repository(scratch.environment, Secret::from_text(passphrase)).ok();
  }
};

TEST_F(KeyringTest, LetsSeveralPassphrasesIn) {
  const auto added = add_key(*repository, Secret::from_text("second"), "operator");
  ASSERT_TRUE(added.ok()) << added.error().text();
  EXPECT_FALSE(added->current);
  EXPECT_TRUE(opens("second"));
  EXPECT_TRUE(opens("correct horse"));
  EXPECT_FALSE(opens("third"));
  const auto slots = list_keys(*repository).value();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0].label, "first");
  EXPECT_TRUE(slots[0].current);
  EXPECT_EQ(slots[1].label, "operator");
  EXPECT_EQ(slots[1].kdf_memory_bytes, 8192u);
  EXPECT_EQ(outcome(add_key(*repository, Secret::from_text("second"), "again")),
            "already-exists: key " + slots[1].id.substr(0, 8) + " has this passphrase already");
}

TEST_F(KeyringTest, RemovesAKeyButNeverTheLast) {
  const std::string first = list_keys(*repository).value()[0].id;
  EXPECT_EQ(outcome(remove_key(*repository, first.substr(0, 6))),
            "refused: key " + first.substr(0, 8) + " is the last one: without it nobody could open the repository");
  ASSERT_TRUE(add_key(*repository, Secret::from_text("second"), "").ok());
  const auto in_use = remove_key(*repository, first);
  EXPECT_EQ(outcome(in_use), "refused: key " + first.substr(0, 8) +
                                 " is the one that this command opened the repository with: without it every command "
                                 "that gives the same passphrase fails");
  EXPECT_EQ(in_use.error().hint(),
            "to replace it use 'holdfast key change'; to remove it all the same say --even-in-use");
  EXPECT_TRUE(opens("correct horse"));
  ASSERT_TRUE(remove_key(*repository, first, true).ok());
  EXPECT_FALSE(opens("correct horse"));
  EXPECT_TRUE(opens("second"));
  EXPECT_EQ(outcome(remove_key(*repository, "zz")), "not-found: there is no key zz");
  EXPECT_EQ(outcome(remove_key(*repository, "")), "not-found: there is no key ");
}

TEST_F(KeyringTest, DoesNotCountADamagedKeyAsOneThatIsLeft) {
  const std::string first = list_keys(*repository).value()[0].id;
  const std::string second = add_key(*repository, Secret::from_text("second"), "").value().id;
  scratch.flip("keys/" + second, 100);
  scratch.flip("keys/" + second + ".copy", 100);
  EXPECT_EQ(remove_key(*repository, first).error().code(), ErrorCode::kRefused);
  EXPECT_TRUE(remove_key(*repository, second).ok());
  EXPECT_TRUE(opens("correct horse"));
}

TEST_F(KeyringTest, ChangesThePassphrase) {
  const auto changed = change_key(*repository, Secret::from_text("new"));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_EQ(changed->label, "first");
  EXPECT_TRUE(opens("new"));
  EXPECT_FALSE(opens("correct horse"));
}

TEST_F(KeyringTest, EndsAChangeThatWasCutShort) {
  const std::string added = add_key(*repository, Secret::from_text("new"), "").value().id;
  ASSERT_TRUE(scratch.store->remove("keys/" + added + ".copy").ok());
  const auto changed = change_key(*repository, Secret::from_text("new"));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_EQ(changed->id, added);
  EXPECT_TRUE(opens("new"));
  EXPECT_FALSE(opens("correct horse"));
  EXPECT_EQ(scratch.names("keys/"), (std::vector<std::string>{"keys/" + added, "keys/" + added + ".copy"}));
}

TEST_F(KeyringTest, ChangingToThePassphraseThatItHasChangesNothing) {
  const std::string first = list_keys(*repository).value()[0].id;
  EXPECT_EQ(outcome(change_key(*repository, ScratchRepository::passphrase())),
            "already-exists: key " + first.substr(0, 8) + " has this passphrase already");
  EXPECT_TRUE(opens("correct horse"));
}

TEST_F(KeyringTest, RotatesForWhatComesAndKeepsReadingWhatWas) {
  const auto old_session_reader = scratch.open().value();
  const auto logs = open_log_store(*repository);
  const BlockId before = put(*repository, "before");
  ASSERT_EQ(rotate_epoch(*repository, false, progress).value().number, 2u);
  const BlockId after = put(*repository, "after");
  ASSERT_TRUE(logs->put("db", {"0001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  // One that was opened before the rotation learns of the new epoch when it meets it.
  for (Repository* reader : {repository.get(), old_session_reader.get()}) {
    EXPECT_EQ(as_text(reader->read_block(before).value()->view()), "before");
    EXPECT_EQ(as_text(reader->read_block(after).value()->view()), "after");
    EXPECT_EQ(reader->points()->size(), 2u);
    EXPECT_EQ(as_text(open_log_store(*reader)->get("db", "0001")->body.view()), "log");
  }
  const auto epochs = list_epochs(*repository).value();
  ASSERT_EQ(epochs.size(), 2u);
  EXPECT_EQ(epochs[0].packs, 1u);
  EXPECT_EQ(epochs[1].packs, 1u);
}

// A backup would else be sealed under the key of before the rotation, and the next rotation would
// give the lost epoch's number to another key.
TEST_F(KeyringTest, ARotationIsNotUndoneInSilenceWhereItsKeyIsLostOrDamaged) {
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  const std::vector<std::string> names = {epoch_name(2, repository->id()), epoch_name(2, repository->id()) + ".copy"};
  const std::string refused =
      "damaged: epoch 2 has begun, but its key can't be read: nothing is written under that of epoch 1";
  for (const bool lost : {false, true}) {
    for (const std::string& name : names) {
      if (lost)
        ASSERT_TRUE(scratch.store->remove(name).ok());
      else
        scratch.flip(name, 60);
    }
    const auto opened = scratch.open().value();
    EXPECT_TRUE(opened->points().ok()) << "what is under other keys is read";
    EXPECT_EQ(outcome(WriteSession::begin(*opened, {})), refused);
    if (lost) continue;
    const auto put = open_log_store(*opened)->put("db", {"1", {}, {}});
    EXPECT_EQ(outcome(put), refused);
  }
  const auto opened = scratch.open().value();
  EXPECT_EQ(rotate_epoch(*opened, false, progress).value().number, 3u);
  EXPECT_TRUE(WriteSession::begin(*opened, {}).ok());
  const std::string mark = scratch.names("index/").size() == 2 ? object_of_epoch("index/", 2) : "";
  const auto collected = collect(*opened, {}, progress);
  ASSERT_TRUE(collected.ok()) << collected.error().text();
  EXPECT_EQ(collected->notes,
            std::vector<std::string>{"object " + mark +
                                     " stays: the key of epoch 2 is missing or damaged (holdfast check "
                                     "--repair-index)"});
  ASSERT_TRUE(rebuild_index(*opened, progress).ok());
  EXPECT_EQ(collect(*opened, {}, progress)->notes, std::vector<std::string>{});
}

// The key may be found again, and what its index says stands nowhere else.
TEST_F(KeyringTest, TheIndexOfALostEpochStaysWhereItsPacksTellNothing) {
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  put(*repository, "after");
  lose_epoch(2);
  const auto opened = scratch.open().value();
  ASSERT_EQ(rotate_epoch(*opened, false, progress).value().number, 3u);
  const auto before = scratch.names("index/");
  const auto rebuilt = rebuild_index(*opened, progress);
  ASSERT_TRUE(rebuilt.ok()) << rebuilt.error().text();
  EXPECT_EQ(rebuilt->skipped.size(), 1u);
  for (const std::string& object : before) EXPECT_TRUE(scratch.store->stat(object).ok()) << object;
}

TEST_F(KeyringTest, SaysWhatALostEpochTakesFromTheIndex) {
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  const BlockId block = put(*repository, "after");
  lose_epoch(2);
  const auto read = scratch.open().value()->read_block(block);
  EXPECT_EQ(outcome(read), "not-found: no index knows block " + block.hex() +
                               "; the index of epoch 2 is left out, as its key is missing or damaged");
}

// Somebody does something just before the index is listed.
class BesideTheIndex final : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  std::function<void()> before;
  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    if (prefix == "index/" && before) std::exchange(before, nullptr)();
    return PassingStore::list(prefix, visit);
  }
};

TEST_F(KeyringTest, LearnsOfAnEpochThatBeginsWhileTheIndexIsRead) {
  BesideTheIndex store(*scratch.store);
  Environment environment{store, system_clock(), *scratch.random};
  BlockId block;
  const BlockId other = put(*repository, "before");
  for (const bool writes : {false, true}) {
    const auto opened = open_repository(environment, ScratchRepository::passphrase()).value();
    store.before = [&] {
      ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
      block = put(*repository, writes ? "one" : "another");
    };
    EXPECT_EQ(writes ? outcome(WriteSession::begin(*opened, {})) : outcome(opened->read_block(other)), "ok");
    EXPECT_EQ(outcome(opened->read_block(block)), "ok");
  }
}

TEST_F(KeyringTest, AReceiverLearnsOfARotationBehindALostEpoch) {
  const auto receiver = scratch.open().value();
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  lose_epoch(2);
  ASSERT_EQ(rotate_epoch(*scratch.open().value(), false, progress)->number, 3u);
  ASSERT_TRUE(open_log_store(*receiver)->put("db", {"0001", {}, {}}).ok());
  EXPECT_EQ(parse_log_prefix(scratch.get("log/db/0001").view(), "0001")->header.epoch, 3u);
}

// A store that does not answer for index objects.
class UnreadableIndex final : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    TRY(answer(name));
    return PassingStore::read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override {
    TRY(answer(name));
    return PassingStore::read_all(name);
  }

 private:
  static Result<void> answer(std::string_view name) {
    if (name.starts_with("index/")) return make_error(ErrorCode::kUnavailable, "no answer");
    return {};
  }
};

TEST_F(KeyringTest, ANumberOfAnEpochIsTakenFromWhatIsProven) {
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  UnreadableIndex silent(*scratch.store);
  Environment environment{silent, system_clock(), *scratch.random};
  const auto opened = open_repository(environment, ScratchRepository::passphrase()).value();
  EXPECT_EQ(outcome(rotate_epoch(*opened, false, progress)), "unavailable: no answer");
  scratch.flip(object_of_epoch("index/", 2), 15, 0xff);
  EXPECT_EQ(rotate_epoch(*repository, false, progress)->number, 3u);
  const auto key = crypto::Key::generate(*scratch.random);
  const Bytes forged = seal_object(key, UINT32_MAX, ObjectType::kIndex, encode_index({}).view(), {}, *scratch.random);
  ASSERT_TRUE(create_digested(*scratch.store, "index/", forged.view()).ok());
  EXPECT_EQ(outcome(rotate_epoch(*repository, false, progress)),
            "refused: an object claims to be of epoch 4294967295: no other can begin after it");
}

TEST_F(KeyringTest, RotatesAlsoForAReceiverThatRunsOn) {
  const auto receiver = scratch.open().value();
  ASSERT_TRUE(rotate_epoch(*repository, false, progress).ok());
  ASSERT_TRUE(open_log_store(*receiver)->put("db", {"0001", {}, Bytes::copy_of(as_bytes("log"))}).ok());
  const Bytes object = scratch.get("log/db/0001");
  EXPECT_EQ(parse_log_prefix(object.view(), "0001")->header.epoch, 2u);
}

// A store that stops working after so many changes, as a machine that is switched off does.
class StoppingStore final : public store::PassingStore {
 public:
  using PassingStore::PassingStore;
  void stop_after(int changes) { left_ = changes; }
  bool stopped() const { return left_ < 0; }
  Result<void> create(std::string_view name, ByteView content) override {
    TRY(change());
    return PassingStore::create(name, content);
  }
  Result<void> remove(std::string_view name) override {
    TRY(change());
    return PassingStore::remove(name);
  }

 private:
  Result<void> change() {
    if (left_ >= 0 && left_-- > 0) return {};
    return make_error(ErrorCode::kIo, "switched off");
  }
  std::atomic<int> left_{1 << 20};
};

struct Filled {
  ScratchRepository scratch;
  std::vector<std::pair<BlockId, std::string>> blocks;
  StoppingStore store{*scratch.store};
  Environment environment{store, system_clock(), *scratch.random};
  std::unique_ptr<Repository> repository =
      init_repository(environment, ScratchRepository::passphrase(), {8192, 1}).value();

  Filled() {
    const auto session = WriteSession::begin(*repository, {.pack_bytes = 2000}).value();
    for (int i = 0; i < 6; i++) {
      Bytes plain = ScratchRepository::text(*scratch.random, 1500);
      blocks.emplace_back(session->put(i % 2 ? BlockKind::kData : BlockKind::kRegion, plain.view()).value(),
                          as_text(plain.view()));
    }
    Point point = ScratchRepository::point();
    CHECK(session->commit(point).ok());
    const auto logs = open_log_store(*repository);
    for (const char* name : {"0001", "0002", "0003"}) {
      CHECK(logs->put("db", {name, Bytes::copy_of(as_bytes("h")), Bytes::copy_of(as_bytes(name))}).ok());
    }
  }

  void expect_whole(const std::string& when) {
    const auto opened = scratch.open();
    ASSERT_TRUE(opened.ok()) << when << ": " << opened.error().text();
    for (const auto& [id, text] : blocks) {
      const auto read = (*opened)->read_block(id);
      ASSERT_TRUE(read.ok()) << when << ": " << read.error().text();
      EXPECT_EQ(as_text((*read)->view()), text);
    }
    const auto logs = open_log_store(**opened);
    for (const std::string name : {"0001", "0002", "0003"}) {
      const auto record = logs->get("db", name);
      ASSERT_TRUE(record.ok()) << when << ": " << record.error().text();
      EXPECT_EQ(as_text(record->body.view()), name);
    }
    EXPECT_EQ(logs->list("db")->size(), 3u) << when;
    EXPECT_EQ((*opened)->points()->size(), 1u) << when;
  }
};

TEST(Reseal, WritesPacksAndLogRecordsAnew) {
  Filled filled;
  Progress progress;
  const auto before = filled.scratch.names("packs/");
  const auto rotated = rotate_epoch(*filled.repository, true, progress);
  ASSERT_TRUE(rotated.ok()) << rotated.error().text();
  filled.expect_whole("after");
  EXPECT_TRUE(filled.scratch.names("log-moving/").empty());
  EXPECT_TRUE(live_leases(*filled.scratch.store).value().empty());
  const auto condemned = tombstoned_packs(*filled.scratch.store).value();
  EXPECT_EQ(condemned.size(), before.size());
  for (const std::string& name : before) {
    EXPECT_TRUE(condemned.contains(digest_of_name(name).value()));
    ASSERT_TRUE(filled.scratch.store->remove(name).ok());
  }
  filled.expect_whole("without the old packs");
  for (const std::string& name : filled.scratch.names("log/")) {
    const Bytes object = filled.scratch.get(name);
    EXPECT_EQ(parse_log_prefix(object.view(), name)->header.epoch, 2u);
  }
}

TEST(Reseal, KeepsWhatItCanNotReadAndSaysSo) {
  Filled filled;
  Progress progress;
  const std::string pack = filled.scratch.names("packs/").at(0);
  filled.scratch.flip(pack, kPackHeaderBytes + kRecordHeaderBytes);
  filled.scratch.flip("log/db/0002", kLogPrefixBytes);
  const auto rotated = rotate_epoch(*filled.repository, true, progress);
  ASSERT_FALSE(rotated.ok());
  EXPECT_EQ(rotated.error().code(), ErrorCode::kIncomplete);
  EXPECT_NE(rotated.error().message().find("epoch 2 has begun, but 2 objects stay under older keys: " + pack),
            std::string::npos)
      << rotated.error().message();
  EXPECT_FALSE(tombstoned_packs(*filled.scratch.store)->contains(digest_of_name(pack).value()));
  EXPECT_EQ(filled.scratch.names("log/").size(), 3u);
}

TEST(Reseal, LosesNothingWhereverItIsStopped) {
  for (int changes = 0;; changes++) {
    Filled filled;
    Progress progress;
    filled.store.stop_after(changes);
    const auto rotated = rotate_epoch(*filled.repository, true, progress);
    if (!filled.store.stopped()) {
      ASSERT_TRUE(rotated.ok()) << rotated.error().text();
      ASSERT_GT(changes, 20);
      break;
    }
    filled.expect_whole(fmt::format("stopped after {} changes", changes));
    // Leases of the machine that was switched off would end by themselves.
    for (const std::string& name : filled.scratch.names("leases/"))
      ASSERT_TRUE(filled.scratch.store->remove(name).ok());
    const auto again = filled.scratch.open().value();
    const auto finished = rotate_epoch(*again, true, progress);
    ASSERT_TRUE(finished.ok()) << "after " << changes << " changes: " << finished.error().text();
    filled.expect_whole(fmt::format("gone on after {} changes", changes));
    EXPECT_TRUE(filled.scratch.names("log-moving/").empty());
    // Nothing needs what is sealed under the old key any more.
    const uint32_t epoch = parse_object_header(filled.scratch.get(filled.scratch.names("points/").at(0)).view(),
                                               ObjectType::kPoint, "point")
                               ->epoch;
    for (const std::string& name : filled.scratch.names("packs/")) {
      const Bytes pack = filled.scratch.get(name);
      auto header = parse_object_header(pack.view(), ObjectType::kDataPack, name);
      if (!header.ok()) header = parse_object_header(pack.view(), ObjectType::kMetadataPack, name);
      ASSERT_TRUE(header.ok()) << header.error().text();
      if (header->epoch == epoch) {
        ASSERT_TRUE(filled.scratch.store->remove(name).ok());
      }
    }
    filled.expect_whole(fmt::format("without the old packs, gone on after {} changes", changes));
  }
}

TEST(KeyChange, LocksNobodyOutWhereverItIsStopped) {
  for (int changes = 0;; changes++) {
    Filled filled;
    filled.store.stop_after(changes);
    const auto changed = change_key(*filled.repository, Secret::from_text("new"));
    if (!filled.store.stopped()) break;
    const bool old_opens = open_repository(filled.scratch.environment, ScratchRepository::passphrase()).ok();
    const bool new_opens = open_repository(filled.scratch.environment, Secret::from_text("new")).ok();
    EXPECT_TRUE(old_opens || new_opens) << "after " << changes << " changes";
  }
}

// Lets nothing be stored whose name ends in this.
class RefusingStore : public store::ObjectStore {
 public:
  RefusingStore(store::ObjectStore& inner, std::string ending) : inner_(inner), ending_(std::move(ending)) {}
  Result<void> create(std::string_view name, ByteView content) override {
    if (name.ends_with(ending_)) return make_error(ErrorCode::kNoSpace, "no space for {}", name);
    return inner_.create(name, content);
  }
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    return inner_.read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override { return inner_.read_all(name); }
  Result<store::ObjectInfo> stat(std::string_view name) override { return inner_.stat(name); }
  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    return inner_.list(prefix, visit);
  }
  Result<void> remove(std::string_view name) override { return inner_.remove(name); }
  Result<Time> server_time() override { return inner_.server_time(); }
  std::string location() const override { return inner_.location(); }

 private:
  store::ObjectStore& inner_;
  const std::string ending_;
};

TEST_F(KeyringTest, SaysThatAKeyWasAddedThoughItsCopyWasNot) {
  RefusingStore refusing(*scratch.store, ".copy");
  Environment environment{refusing, scratch.environment.clock, scratch.environment.random};
  const auto full = open_repository(environment, ScratchRepository::passphrase()).value();
  const auto added = add_key(*full, Secret::from_text("second"), "operator");
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code(), ErrorCode::kNoSpace);
  EXPECT_NE(added.error().text().find("was added and opens the repository, but its second copy could not be stored"),
            std::string::npos)
      << added.error().text();
  EXPECT_TRUE(opens("second"));
  // Given again once there is room, the copy is made.
  EXPECT_EQ(add_key(*repository, Secret::from_text("second"), "").error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(scratch.names("keys/").size(), 4u);
}

}  // namespace
}  // namespace holdfast::repo
