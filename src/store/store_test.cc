// Covers: the conformance suite on memory and local stores; of the local store:
// leftovers of a crash, durability before visibility, a file system that went away.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "store/conformance.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "store/names.h"

namespace holdfast::store {
namespace {

struct ScratchDirectory {
  std::string path;
  ScratchDirectory() {
    std::string pattern = testing::TempDir() + "holdfast-store-XXXXXX";
    path = ::mkdtemp(pattern.data());
  }
  ~ScratchDirectory() { ignore(remove_tree(real_file_system(), path), "a test's leftovers are in /tmp"); }
};

std::shared_ptr<ObjectStore> make_local() {
  struct Both {
    ScratchDirectory directory;
    std::unique_ptr<ObjectStore> store;
  };
  auto both = std::make_shared<Both>();
  both->store = open_local_store(real_file_system(), both->directory.path + "/repository", false).value();
  return {both, both->store.get()};
}

INSTANTIATE_TEST_SUITE_P(Memory, ObjectStoreConformance,
                         testing::Values(StoreMaker{"memory", [] {
                                                      return std::shared_ptr<ObjectStore>(
                                                          make_memory_store(system_clock()));
                                                    }}));
INSTANTIATE_TEST_SUITE_P(Local, ObjectStoreConformance, testing::Values(StoreMaker{"local", make_local}));

TEST(LocalStore, WantsTheDirectoryWhenToldSo) {
  const ScratchDirectory scratch;
  const auto opened = open_local_store(real_file_system(), scratch.path + "/absent", true);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(opened.error().message(), "there is no directory " + scratch.path + "/absent");
}

TEST(LocalStore, RefusesAFileInPlaceOfTheDirectory) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_file_durably(real_file_system(), scratch.path + "/file", as_bytes("x")).ok());
  const auto opened = open_local_store(real_file_system(), scratch.path + "/file", false);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnavailable);
}

TEST(LocalStore, HidesLeftoversOfACrashButLetsThemBeRemoved) {
  const ScratchDirectory scratch;
  const auto store = open_local_store(real_file_system(), scratch.path, true).value();
  ASSERT_TRUE(store->create("a", as_bytes("x")).ok());
  ASSERT_TRUE(write_file_durably(real_file_system(), scratch.path + "/tmp/half", as_bytes("ha")).ok());
  std::vector<std::string> all, temporary;
  const auto collect = [](std::vector<std::string>& into) {
    return [&into](const ObjectInfo& info) -> Result<void> {
      into.push_back(info.name);
      return {};
    };
  };
  ASSERT_TRUE(store->list("", collect(all)).ok());
  ASSERT_TRUE(store->list("tmp/", collect(temporary)).ok());
  EXPECT_EQ(all, (std::vector<std::string>{"a"}));
  std::vector<std::string> names;
  const auto keep = [&](const std::string& name) -> Result<void> {
    names.push_back(name);
    return {};
  };
  ASSERT_TRUE(store->list_names("", keep).ok());
  EXPECT_EQ(names, all);
  EXPECT_EQ(temporary, (std::vector<std::string>{"tmp/half"}));
  EXPECT_TRUE(store->remove("tmp/half").ok());
  EXPECT_EQ(store->create("tmp/x", {}).error().code(), ErrorCode::kInvalidData);
}

TEST(LocalStore, MakesAndRemovesNothingThroughALinkInPlaceOfAFolder) {
  const ScratchDirectory scratch;
  FileSystem& fs = real_file_system();
  const std::string elsewhere = scratch.path + "/elsewhere";
  ASSERT_TRUE(make_directories(fs, elsewhere).ok());
  const std::string temporary = std::string(kTemporaryDigits, 'a');
  for (const std::string folder : {"tmp", "packs"}) {
    const std::string directory = scratch.path + "/with-a-link-as-" + folder;
    ASSERT_TRUE(make_directories(fs, directory).ok());
    ASSERT_TRUE(write_file_durably(fs, elsewhere + "/" + temporary, as_bytes("somebody's")).ok());
    ASSERT_TRUE(fs.symlink(elsewhere, directory + "/" + folder).ok());
    const auto store = open_local_store(fs, directory, true).value();
    const auto removed = store->remove(folder + "/" + temporary);
    ASSERT_FALSE(removed.ok());
    EXPECT_EQ(removed.error().message(), directory + "/" + folder + " is a symbolic link, not a folder of the store");
    EXPECT_EQ(store->create("packs/b", as_bytes("x")).error().code(), ErrorCode::kRefused);
    EXPECT_EQ(store->server_time().ok(), folder != "tmp");
    EXPECT_EQ(fs.list(elsewhere).value().size(), 1u);
  }
}

// Opening a FIFO to read waits for a writer, for ever.
TEST(LocalStore, NamesAsDamagedWhatIsNoRegularFile) {
  const ScratchDirectory scratch;
  FileSystem& fs = real_file_system();
  ASSERT_EQ(::mkfifo((scratch.path + "/config").c_str(), 0600), 0);
  const auto store = open_local_store(fs, scratch.path, true).value();
  ASSERT_TRUE(store->create("points/right", as_bytes("x")).ok());
  ASSERT_EQ(::mkfifo((scratch.path + "/points/fifo").c_str(), 0600), 0);
  ASSERT_TRUE(fs.symlink("right", scratch.path + "/points/link").ok());
  for (const std::string name : {"config", "points/fifo", "points/link"}) {
    const auto read = store->read_all(name);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), ErrorCode::kDamaged);
    EXPECT_EQ(read.error().message(), "object " + name + " is no regular file");
    EXPECT_EQ(store->read(name, 0, 1).error().code(), ErrorCode::kDamaged);
    EXPECT_EQ(store->stat(name).error().code(), ErrorCode::kDamaged);
  }
  EXPECT_EQ(store->stat("points").error().code(), ErrorCode::kNotFound);
}

TEST(LocalStore, WhatRootStoresBelongsToTheRepositorysAccount) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: another account's repository";
  constexpr uid_t kAccount = 65534;
  const ScratchDirectory scratch;
  ASSERT_EQ(::chmod(scratch.path.c_str(), 0711), 0);
  const std::string repository = scratch.path + "/repository";
  ASSERT_EQ(::mkdir(repository.c_str(), 0700), 0);
  ASSERT_EQ(::chown(repository.c_str(), kAccount, kAccount), 0);
  const auto store = open_local_store(real_file_system(), repository, true).value();
  ASSERT_TRUE(store->server_time().ok());
  ASSERT_TRUE(store->create("packs/aa/one", as_bytes("x")).ok());
  const auto owner_of = [&](const std::string& name) {
    const struct stat status = real_file_system().stat(repository + name).value();
    EXPECT_EQ(status.st_gid, kAccount) << name;
    return status.st_uid;
  };
  for (const char* name : {"/packs/aa/one", "/packs/aa", "/packs", "/tmp"}) EXPECT_EQ(owner_of(name), kAccount) << name;
  // In a folder that is root's, root stores all the same; and it is root again for all else.
  ASSERT_EQ(::mkdir((repository + "/points").c_str(), 0700), 0);
  ASSERT_TRUE(store->create("points/two", as_bytes("x")).ok());
  EXPECT_EQ(real_file_system().stat(repository + "/points/two").value().st_uid, 0);
}

TEST(LocalStore, SaysWhoseAnObjectIsThatMayNotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read all";
  const ScratchDirectory scratch;
  const auto store = open_local_store(real_file_system(), scratch.path, true).value();
  ASSERT_TRUE(store->create("points/one", as_bytes("x")).ok());
  ASSERT_EQ(::chmod((scratch.path + "/points/one").c_str(), 0), 0);
  const auto read = store->read_all("points/one");
  EXPECT_EQ(read.error().code(), ErrorCode::kPermission);
  EXPECT_NE(read.error().text().find("chown -R ACCOUNT '" + scratch.path + "'"), std::string::npos);
}

TEST(LocalStore, LeavesNoTemporaryWhenTheNameIsTaken) {
  const ScratchDirectory scratch;
  const auto store = open_local_store(real_file_system(), scratch.path, true).value();
  ASSERT_TRUE(store->create("a", as_bytes("x")).ok());
  ASSERT_FALSE(store->create("a", as_bytes("y")).ok());
  EXPECT_TRUE(is_empty_directory(real_file_system(), scratch.path + "/tmp").value());
}

TEST(LocalStore, DoesNotCallAnObjectAbsentWhenItsFileSystemIsGone) {
  const ScratchDirectory scratch;
  const std::string directory = scratch.path + "/mounted";
  ASSERT_TRUE(make_directories(real_file_system(), directory).ok());
  const auto store = open_local_store(real_file_system(), directory, true).value();
  ASSERT_TRUE(store->create("a", as_bytes("x")).ok());
  ASSERT_TRUE(real_file_system().rename(directory, scratch.path + "/elsewhere").ok());
  EXPECT_EQ(store->read_all("a").error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(make_directories(real_file_system(), directory).ok());  // as an empty mount point would be
  const auto created = store->create("b", as_bytes("x"));
  EXPECT_EQ(created.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(created.error().retryable());
  const auto read = store->read_all("a");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(read.error().retryable());
  EXPECT_EQ(store->list("b/", [](const ObjectInfo&) -> Result<void> { return {}; }).error().code(),
            ErrorCode::kUnavailable);
}

// A file system that is mounted again has another device number, as a copy has another inode.
TEST(LocalStore, TakesTheSameRepositoryAgainWhenItIsMountedAnew) {
  const ScratchDirectory scratch;
  FileSystem& fs = real_file_system();
  const std::string directory = scratch.path + "/mounted";
  for (const bool made_by_us : {true, false}) {
    std::unique_ptr<ObjectStore> store;
    if (made_by_us) {
      store = open_local_store(fs, directory, false).value();
      ASSERT_TRUE(store->create("config", as_bytes("random")).ok());
    } else {
      store = open_local_store(fs, directory, true).value();
    }
    ASSERT_TRUE(store->create("a", as_bytes("old")).ok());
    ASSERT_TRUE(store->read("a", 0, 3).ok());
    ASSERT_TRUE(fs.rename(directory, scratch.path + "/old").ok());
    ASSERT_TRUE(make_directories(fs, directory).ok());
    EXPECT_EQ(store->stat("b").error().code(), ErrorCode::kUnavailable);
    ASSERT_TRUE(write_file_durably(fs, directory + "/config", as_bytes("other random")).ok());
    EXPECT_EQ(store->stat("b").error().code(), ErrorCode::kUnavailable) << "another repository";
    ASSERT_TRUE(write_file_durably(fs, directory + "/config", as_bytes("random")).ok());
    ASSERT_TRUE(write_file_durably(fs, directory + "/a", as_bytes("new")).ok());
    const auto first = store->stat("b");
    EXPECT_EQ(first.error().code(), ErrorCode::kUnavailable) << "what was asked before proves nothing";
    EXPECT_TRUE(first.error().retryable());
    EXPECT_EQ(store->stat("b").error().code(), ErrorCode::kNotFound);
    EXPECT_EQ(as_text(store->read("a", 0, 3).value().view()), "new") << "no descriptor of the old mount";
    ASSERT_TRUE(store->create("b", as_bytes("x")).ok());
    ASSERT_TRUE(store->remove("a").ok());
    ASSERT_TRUE(store->remove("b").ok());
    ASSERT_TRUE(remove_tree(fs, scratch.path + "/old").ok());
  }
}

TEST(LocalStore, KeepsFewDescriptorsOpen) {
  const ScratchDirectory scratch;
  const auto store = open_local_store(real_file_system(), scratch.path, true).value();
  const auto descriptors = [] { return real_file_system().list("/proc/self/fd").value().size(); };
  const size_t before = descriptors();
  for (int i = 0; i < 200; i++) {
    const std::string name = fmt::format("object-{}", i);
    ASSERT_TRUE(store->create(name, as_bytes(name)).ok());
    ASSERT_EQ(as_text(store->read(name, 0, name.size()).value().view()), name);
  }
  EXPECT_LE(descriptors(), before + 64);
  EXPECT_EQ(as_text(store->read("object-3", 0, 8).value().view()), "object-3");
}

}  // namespace
}  // namespace holdfast::store
