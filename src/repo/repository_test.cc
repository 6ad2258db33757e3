// Covers: creating and opening (bad passphrase, nothing there, newer format, foreign
// files, damaged key objects and their copies), points by id, damage of any byte of
// each object that opening rests on.

#include <gtest/gtest.h>

#include "crypto/digest.h"
#include "repo/config.h"
#include "repo/object_names.h"
#include "repo/scratch_repository.h"
#include "repo/test_outcome.h"

namespace holdfast::repo {
namespace {

TEST(Repository, OpensWithItsPassphrase) {
  ScratchRepository scratch;
  const std::string id = scratch.init()->id();
  EXPECT_EQ(id.size(), 32u);
  const auto opened = scratch.open();
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ((*opened)->id(), id);
}

TEST(Repository, RefusesAnotherPassphrase) {
  ScratchRepository scratch;
  scratch.init();
  EXPECT_EQ(outcome(open_repository(scratch.environment, Secret::from_text("wrong"))),
            "wrong-passphrase: no key of the repository at memory opens with this passphrase");
}

TEST(Repository, RefusesAnEmptyPassphrase) {
  ScratchRepository scratch;
  EXPECT_EQ(outcome(init_repository(scratch.environment, Secret(), {8192, 1})), "usage: the passphrase is empty");
  EXPECT_TRUE(scratch.names().empty());
}

TEST(Repository, SaysThatThereIsNone) {
  ScratchRepository scratch;
  const auto opened = scratch.open();
  EXPECT_EQ(outcome(opened), "no-repository: there is no repository at memory");
  EXPECT_EQ(
      opened.error().hint(),
      "correct repository.location, or mount what it lies on; 'holdfast init' makes one where there never was any");
}

TEST(Repository, IsNotMadeTwice) {
  ScratchRepository scratch;
  scratch.init();
  const auto before = scratch.names();
  EXPECT_EQ(outcome(init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1})),
            "already-exists: there is a repository at memory already");
  EXPECT_EQ(scratch.names(), before);
}

TEST(Repository, IsNotMadeTwiceWhateverItHolds) {
  ScratchRepository scratch;
  scratch.init();
  ASSERT_TRUE(scratch.store->create("checks/0", as_bytes("sorts before config")).ok());
  EXPECT_EQ(outcome(init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1})),
            "already-exists: there is a repository at memory already");
}

TEST(Repository, OneThatLostItsConfigIsNotCalledNoneOrForeign) {
  ScratchRepository scratch;
  const auto repository = scratch.init();
  const auto session = WriteSession::begin(*repository, {}).value();
  ASSERT_TRUE(session->put(BlockKind::kData, as_bytes("x")).ok());
  Point point = ScratchRepository::point();
  ASSERT_TRUE(session->commit(point).ok());
  for (const std::string_view name : {kConfigName, kConfigCopyName}) ASSERT_TRUE(scratch.store->remove(name).ok());
  const std::string lost = "damaged: the repository at memory has lost its config: " + point_name(point.id) +
                           " is there, but neither config nor config.copy";
  EXPECT_EQ(outcome(init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1})), lost);
  EXPECT_EQ(outcome(scratch.open()), lost);
}

TEST(Repository, IsNotMadeAmongForeignFiles) {
  ScratchRepository scratch;
  ASSERT_TRUE(scratch.store->create("letters/a.txt", as_bytes("x")).ok());
  EXPECT_EQ(outcome(init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1})),
            "target-not-empty: memory holds letters/a.txt, which is not of a repository");
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"letters/a.txt"}));
}

TEST(Repository, IsNotMadeWhereSomebodyKeepsTemporaryFiles) {
  ScratchRepository scratch;
  ASSERT_TRUE(scratch.store->create("tmp/thesis.txt", as_bytes("x")).ok());
  EXPECT_EQ(outcome(init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1})),
            "target-not-empty: memory holds tmp/thesis.txt, which is not of a repository");
}

TEST(Repository, IsMadeOverWhatAnUnfinishedInitLeft) {
  ScratchRepository scratch;
  scratch.init();
  ASSERT_TRUE(scratch.store->create("tmp/0123456789abcdef01234567", as_bytes("half")).ok());
  ASSERT_TRUE(scratch.store->remove("config").ok());
  ASSERT_TRUE(scratch.store->remove("config.copy").ok());
  const auto made = init_repository(scratch.environment, ScratchRepository::passphrase(), {8192, 1});
  ASSERT_TRUE(made.ok()) << made.error().text();
  const auto opened = scratch.open();
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ((*opened)->id(), (*made)->id());
}

TEST(Repository, OfANewerFormatIsRefused) {
  ScratchRepository scratch;
  scratch.init();
  for (const char* name : {"config", "config.copy"}) {
    Bytes config = scratch.get(name);
    config[8] = 2;
    const auto digest = crypto::sha256(config.view(0, config.size() - 32));
    std::copy(digest.begin(), digest.end(), config.end() - 32);
    scratch.replace(name, config.view());
  }
  const auto opened = scratch.open();
  EXPECT_EQ(outcome(opened), "newer-format: object config has format version 2; this holdfast knows up to 1");
  EXPECT_EQ(opened.error().hint(), "use a newer holdfast");
}

// Config, key slot and epoch each have a copy: no single damaged object locks
// anyone out, and with both damaged the error names the object.
TEST(Repository, SurvivesDamageToOneCopyOfEachKeyObjectAndNamesIt) {
  ScratchRepository scratch;
  scratch.init();
  const std::vector<std::string> all = scratch.names();
  for (const std::string& name : all) {
    const Bytes intact = scratch.get(name);
    for (size_t at = 0; at < intact.size(); at++) {
      scratch.flip(name, at);
      const auto opened = scratch.open();
      ASSERT_TRUE(opened.ok()) << name << " byte " << at << ": " << opened.error().text();
      std::vector<std::string> damaged;
      ASSERT_TRUE(check_key_objects(access(**opened), [&](const std::string& object, const Error&) {
                    damaged.push_back(object);
                  }).ok());
      ASSERT_EQ(damaged, (std::vector<std::string>{name})) << "byte " << at;
      scratch.replace(name, intact.view());
    }
    for (size_t size = 0; size < intact.size(); size += 13) {
      scratch.truncate(name, size);
      ASSERT_TRUE(scratch.open().ok()) << name << " cut to " << size;
      scratch.replace(name, intact.view());
    }
  }
}

TEST(Repository, NamesTheObjectWhenBothCopiesAreDamaged) {
  for (const std::string_view prefix : {"config", "keys/", "epochs/"}) {
    ScratchRepository scratch;
    scratch.init();
    for (const std::string& name : scratch.names()) {
      if (name.starts_with(prefix)) scratch.flip(name, 60);
    }
    const auto opened = scratch.open();
    ASSERT_FALSE(opened.ok()) << prefix;
    EXPECT_EQ(opened.error().code(), ErrorCode::kDamaged) << opened.error().text();
    EXPECT_NE(opened.error().text().find(prefix), std::string::npos) << opened.error().text();
  }
}

TEST(Repository, FindsPointsByPrefixAndLatest) {
  ScratchRepository scratch;
  const auto repository = scratch.init();
  EXPECT_EQ(outcome(repository->find_point("latest")), "not-found: the repository has no point yet");
  Point first = ScratchRepository::point("first"), second = ScratchRepository::point("second");
  second.time = first.time + Duration::seconds(1);
  ASSERT_TRUE(access(*repository).create_point(second).ok());
  ASSERT_TRUE(access(*repository).create_point(first).ok());
  EXPECT_EQ(repository->find_point("latest")->stack, "second");
  EXPECT_EQ(repository->find_point(first.id.hex().substr(0, 8))->stack, "first");
  EXPECT_EQ(outcome(repository->find_point("123")),
            "usage: \"123\" is not a point: give at least 4 hexadecimal digits of its id, or \"latest\"");
  EXPECT_EQ(outcome(repository->find_point("../../etc")),
            "usage: \"../../etc\" is not a point: give at least 4 hexadecimal digits of its id, or \"latest\"");
  EXPECT_EQ(outcome(repository->find_point("00000000")), "not-found: there is no point 00000000");
  const auto all = repository->points().value();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, first.id);
  ASSERT_TRUE(repository->remove_point(first.id).ok());
  EXPECT_EQ(repository->points()->size(), 1u);
}

TEST(Repository, NamesADamagedPointWhateverByteIsFlipped) {
  ScratchRepository scratch;
  const auto repository = scratch.init();
  Point point = ScratchRepository::point();
  ASSERT_TRUE(access(*repository).create_point(point).ok());
  const std::string name = point_name(point.id);
  const Bytes intact = scratch.get(name);
  for (size_t at = 0; at < intact.size(); at++) {
    scratch.flip(name, at);
    const auto failed = repository->points();
    ASSERT_EQ(outcome(failed),
              "damaged: object " + name + " is damaged: its bytes are not those that its name stands for");
    std::vector<std::string> damaged;
    const auto rest = repository->points([&](const std::string& object, const Error&) { damaged.push_back(object); });
    ASSERT_TRUE(rest.ok());
    EXPECT_TRUE(rest->empty());
    EXPECT_EQ(damaged, (std::vector<std::string>{name}));
    scratch.replace(name, intact.view());
  }
}

}  // namespace
}  // namespace holdfast::repo
