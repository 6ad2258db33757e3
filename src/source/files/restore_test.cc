#include "source/files/restore.h"
#include "base/volume.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "source/files/data_stream.h"
#include "source/files/selection.h"
#include "source/files/target.h"
#include "source/files/test_support.h"
#include "store/local_store.h"

namespace holdfast::files {
namespace {

using RestoreTest = FilesTest;

TEST_F(RestoreTest, CaseSparseFilesKeepTheirHolesExactly) {
  const auto make = [&](const std::string& name, uint64_t size,
                        const std::vector<std::pair<uint64_t, std::string>>& parts) {
    auto file = real_file_system().open(source + "/" + name, {.write = true, .create = true, .mode = 0644});
    ASSERT_TRUE(file.value()->truncate(size).ok());
    for (const auto& [offset, text] : parts) ASSERT_TRUE(file.value()->write_at(offset, as_bytes(text)).ok());
    ASSERT_TRUE(file.value()->sync().ok());
  };
  make("all-hole", 200 << 20, {});
  make("ends", 100 << 20, {{0, noise(4096, 1)}, {(100 << 20) - 4096, noise(4096, 2)}});
  make("small", 40'000, {{16384, noise(4096, 3)}});
  make("zeros-are-data", 8 << 20, {{1 << 20, std::string(1 << 20, '\0')}});
  std::vector<std::pair<uint64_t, std::string>> many;
  for (uint64_t i = 0; i < 200; i++) many.emplace_back(i * 100 * 4096, noise(4096, i));
  make("comb", 200 * 100 * 4096, many);
  const auto snapshot = take();
  EXPECT_LT(snapshot.read_bytes, 3u << 20);
  put_back(snapshot);
  for (const char* name : {"all-hole", "ends", "small", "zeros-are-data", "comb"}) {
    EXPECT_EQ(layout(restored(name)), layout(source + "/" + name)) << name;
    // The file system's own map of a file's pieces may take a block here and not there.
    EXPECT_LE(status_of(restored(name)).st_blocks, status_of(source + "/" + name).st_blocks + 8) << name;
    EXPECT_TRUE(read(restored(name)) == read(source + "/" + name)) << name;
  }
}

TEST_F(RestoreTest, CaseHardLinks) {
  mkdir((source + "/d").c_str(), 0755);
  write_source("m", "shared");
  ASSERT_EQ(link((source + "/m").c_str(), (source + "/d/z").c_str()), 0);
  ASSERT_EQ(link((source + "/m").c_str(), (source + "/n").c_str()), 0);
  const auto snapshot = take();
  EXPECT_EQ(snapshot.files, 1u);
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("m")).st_nlink, 3u);
  EXPECT_EQ(status_of(restored("m")).st_ino, status_of(restored("d/z")).st_ino);
  EXPECT_EQ(status_of(restored("m")).st_ino, status_of(restored("n")).st_ino);
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(RestoreTest, APartialRestoreOfHardLinksCarriesTheContentAlong) {
  mkdir((source + "/d").c_str(), 0755);
  mkdir((source + "/e").c_str(), 0755);
  write_source("d/first", "shared");
  ASSERT_EQ(link((source + "/d/first").c_str(), (source + "/e/second").c_str()), 0);
  ASSERT_EQ(link((source + "/d/first").c_str(), (source + "/e/third").c_str()), 0);
  const auto snapshot = take();
  RestoreOptions wanted;
  wanted.only = {in_tree("e")};
  put_back(snapshot, wanted);
  EXPECT_FALSE(present(restored("d")));
  EXPECT_EQ(read(restored("e/second")), "shared");
  EXPECT_EQ(status_of(restored("e/second")).st_ino, status_of(restored("e/third")).st_ino);
}

TEST_F(RestoreTest, CaseExtendedAttributesAclsAndSetuid) {
  write_source("a", "content");
  mkdir((source + "/d").c_str(), 0755);
  const std::string file = source + "/a", directory = source + "/d";
  if (setxattr(file.c_str(), "user.note", "b\0c", 3, 0) != 0)
    GTEST_SKIP() << "no extended attributes on this file system";
  const std::string large(3000, 'x');
  ASSERT_EQ(setxattr(file.c_str(), "user.large", large.data(), large.size(), 0), 0);
  ASSERT_EQ(setxattr(directory.c_str(), "user.dir", "1", 1, 0), 0);
  const bool acls = setxattr(file.c_str(), "system.posix_acl_access", kAcl, sizeof kAcl, 0) == 0 &&
                    setxattr(directory.c_str(), "system.posix_acl_default", kAcl, sizeof kAcl, 0) == 0;
  write_source("setuid", "x");
  ASSERT_EQ(chmod((source + "/setuid").c_str(), 06755), 0);
  ASSERT_EQ(chmod(directory.c_str(), 01777), 0);
  const auto snapshot = take();
  put_back(snapshot);
  EXPECT_TRUE(differences(snapshot, target).empty());
  EXPECT_EQ(status_of(restored("setuid")).st_mode & 07777, 06755u);
  EXPECT_EQ(status_of(restored("d")).st_mode & 07777, 01777u);
  char value[64];
  EXPECT_EQ(getxattr(restored("a").c_str(), "user.note", value, sizeof value), 3);
  if (acls) {
    EXPECT_EQ(getxattr(restored("a").c_str(), "system.posix_acl_access", value, sizeof value),
              static_cast<ssize_t>(sizeof kAcl));
    EXPECT_EQ(std::memcmp(value, kAcl, sizeof kAcl), 0);
  }
  if (is_root()) {
    const uint8_t capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0,
                                  0, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // cap_net_bind_service=ep
    write_source("capable", "x");
    if (setxattr((source + "/capable").c_str(), "security.capability", capability, sizeof capability, 0) == 0) {
      ASSERT_EQ(chown((source + "/capable").c_str(), 12, 13), 0);  // takes it away again
      ASSERT_EQ(setxattr((source + "/capable").c_str(), "security.capability", capability, sizeof capability, 0), 0);
      RestoreOptions wanted;
      wanted.to = scratch / "third";
      const auto again = take();
      put_back(again, wanted);
      EXPECT_TRUE(differences(again, wanted.to).empty());
      EXPECT_EQ(status_of(wanted.to + source + "/capable").st_uid, 12u);
    }
  }
}

TEST_F(RestoreTest, OwnersAreSetByNameAndElseByNumber) {
  NEEDS_ROOT();
  write_source("named", "x");
  write_source("nameless", "x");
  ASSERT_EQ(chown((source + "/named").c_str(), 1, 1), 0);
  ASSERT_EQ(chown((source + "/nameless").c_str(), 54321, 54322), 0);
  const auto snapshot = take();
  EXPECT_EQ(entries(snapshot).at(in_tree("named")).user, "daemon");
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("named")).st_uid, 1u);
  EXPECT_EQ(status_of(restored("nameless")).st_uid, 54321u);
  EXPECT_EQ(status_of(restored("nameless")).st_gid, 54322u);
}

TEST_F(RestoreTest, OwnersThatOnlyRootCanSetAreCountedAndNoFault) {
  NEEDS_ROOT();
  mkdir((source + "/d").c_str(), 0755);
  for (const char* name : {"mine", "d/theirs", "d/setuid"}) write_source(name, "x");
  ASSERT_EQ(chown((source + "/mine").c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod((source + "/d/setuid").c_str(), 06755), 0);
  const auto snapshot = take();
  ASSERT_EQ(mkdir(target.c_str(), 0755), 0);
  ASSERT_EQ(chown(target.c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod(scratch.path().c_str(), 0755), 0);
  const AsNobody nobody;
  const auto report = put_back(snapshot);
  EXPECT_EQ(report.faults, std::vector<std::string>());
  ASSERT_EQ(report.notes.size(), 1u);  // the source itself, d, theirs, setuid; none of the parents above
  EXPECT_EQ(report.notes[0],
            "4 of the files and directories were another's and are yours now, as only root can give files away: "
            "restore as root to have their owners back");
  EXPECT_EQ(read(restored("d/theirs")), "x");
  EXPECT_EQ(status_of(restored("d/setuid")).st_mode & 07777, 0755u);
}

TEST_F(RestoreTest, AUsersOwnFilesComeBackWithoutAWord) {
  NEEDS_ROOT();
  write_source("mine", "x");
  for (const char* name : {"", "/mine"}) ASSERT_EQ(chown((source + name).c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod((source + "/mine").c_str(), 06755), 0);
  const auto snapshot = take();
  ASSERT_EQ(chmod(scratch.path().c_str(), 0777), 0);
  const AsNobody nobody;
  const auto report = put_back(snapshot);
  EXPECT_EQ(report.faults, std::vector<std::string>());
  EXPECT_EQ(report.notes, std::vector<std::string>());
  EXPECT_EQ(status_of(restored("mine")).st_mode & 07777, 06755u);
}

TEST_F(RestoreTest, TimesOfDirectoriesAreRightAndReadOnlyOnesAreFilled) {
  mkdir((source + "/d").c_str(), 0755);
  write_source("d/x", "x");
  ASSERT_EQ(chmod((source + "/d").c_str(), 0555), 0);
  const struct timespec times[2] = {{1'111'111'111, 42}, {1'111'111'111, 42}};
  ASSERT_EQ(utimensat(AT_FDCWD, (source + "/d").c_str(), times, 0), 0);
  const auto snapshot = take();
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("d")).st_mtim.tv_sec, 1'111'111'111);
  EXPECT_EQ(status_of(restored("d")).st_mtim.tv_nsec, 42);
  EXPECT_EQ(status_of(restored("d")).st_mode & 07777, 0555u);
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(RestoreTest, CaseTargetNotEmptyIsRefused) {
  write_source("a", "a");
  write_source("b", "b");
  const auto snapshot = take();
  put_back(snapshot);
  ASSERT_EQ(unlink(restored("a").c_str()), 0);
  const auto outcome = try_put_back(snapshot, {.to = target});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kTargetNotEmpty);
  EXPECT_EQ(
      outcome.error().text(),
      "'" + restored("b") + "' exists already (restore to an empty directory, or with --delta over what is there)");
  EXPECT_FALSE(present(restored("a")));  // nothing was written
}

TEST_F(RestoreTest, CaseDelta) {
  const std::string large = noise(20 << 20, 1);
  write_source("large", large);
  write_source("small", "small");
  write_source("gone", "gone");
  write_source("same", "same");
  ASSERT_EQ(symlink("here", (source + "/link").c_str()), 0);
  ASSERT_EQ(link((source + "/small").c_str(), (source + "/small2").c_str()), 0);
  const auto snapshot = take();
  put_back(snapshot);

  std::string broken = large;
  broken[12 << 20] = '!';
  broken.resize(19 << 20);
  write(restored("large"), broken);
  write(restored("small"), "SMALL!");
  unlink(restored("gone").c_str());
  unlink(restored("small2").c_str());
  write(restored("small2"), "other");
  unlink(restored("link").c_str());
  ASSERT_EQ(symlink("elsewhere", restored("link").c_str()), 0);
  write(restored("extra"), "extra");
  ASSERT_EQ(chmod(restored("same").c_str(), 0600), 0);
  const ino_t same_inode = status_of(restored("same")).st_ino;

  const auto report = put_back(snapshot, {.delta = true});
  EXPECT_TRUE(differences(snapshot, target).empty()) << differences(snapshot, target)[0];
  EXPECT_TRUE(read(restored("large")) == large);
  EXPECT_LT(report.bytes_written, 10u << 20);
  EXPECT_EQ(status_of(restored("same")).st_ino, same_inode);  // right already: left alone
  EXPECT_EQ(read(restored("extra")), "extra");

  put_back(snapshot, {.delta = true, .remove_extra = true});
  EXPECT_FALSE(present(restored("extra")));
}

TEST_F(RestoreTest, DeltaLeavesAloneWhatIsRightAndWritesNothing) {
  write_source("large", noise(10 << 20, 1));
  write_source("small", "small");
  const auto snapshot = take();
  put_back(snapshot);
  const auto report = put_back(snapshot, {.delta = true});
  EXPECT_EQ(report.bytes_written, 0u);
  EXPECT_EQ(report.bytes, (10u << 20) + 5);
}

TEST_F(RestoreTest, DeltaRefusesAnotherKindUnlessItMayRemove) {
  write_source("a", "file");
  mkdir((source + "/d").c_str(), 0755);
  write_source("d/x", "x");
  const auto snapshot = take();
  put_back(snapshot);
  unlink(restored("a").c_str());
  mkdir(restored("a").c_str(), 0755);
  write(restored("a/inside"), "x");
  const auto outcome = try_put_back(snapshot, {.to = target, .delta = true});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().message(), "'" + restored("a") + "' is a directory, but a file is to be restored there");
  put_back(snapshot, {.delta = true, .remove_extra = true});
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(RestoreTest, CaseDryRunChangesNothing) {
  write_source("a", "a");
  mkdir((source + "/d").c_str(), 0755);
  const auto snapshot = take();
  auto report = put_back(snapshot, {.dry_run = true});
  EXPECT_FALSE(present(target));
  const auto& lines = report.changes.lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[lines.size() - 2], "create file " + in_tree("a"));
  EXPECT_EQ(lines.back(), "create directory " + in_tree("d"));
  put_back(snapshot);
  write(restored("a"), "A");
  write(restored("extra"), "x");
  report = put_back(snapshot, {.delta = true, .remove_extra = true, .dry_run = true});
  EXPECT_EQ(report.changes.lines(),
            (std::vector<std::string>{"replace file " + in_tree("a"), "remove file " + in_tree("extra")}));
  EXPECT_EQ(read(restored("a")), "A");
}

TEST_F(RestoreTest, CasePartialRestore) {
  mkdir((source + "/d").c_str(), 0750);
  mkdir((source + "/e").c_str(), 0755);
  write_source("d/x.conf", "x");
  write_source("d/y", "y");
  write_source("e/z.conf", "z");
  write_source("top", "t");
  const auto snapshot = take();
  const auto report = put_back(snapshot, {.only = {"*.conf"}});
  EXPECT_EQ(report.files, 2u);
  EXPECT_EQ(read(restored("d/x.conf")), "x");
  EXPECT_EQ(read(restored("e/z.conf")), "z");
  EXPECT_EQ(status_of(restored("d")).st_mode & 07777, 0750u);
  EXPECT_FALSE(present(restored("d/y")));
  EXPECT_FALSE(present(restored("top")));
  RestoreOptions second{.to = scratch / "second", .only = {"/" + in_tree("d")}};
  put_back(snapshot, second);
  EXPECT_EQ(read(second.to + source + "/d/y"), "y");
  EXPECT_FALSE(present(second.to + source + "/e"));
}

TEST_F(RestoreTest, TellsWhatNamesNothing) {
  mkdir((source + "/d").c_str(), 0755);
  write_source("d/x.conf", "x");
  const auto snapshot = take();
  const auto left = name_nothing(
      repository, snapshot, {"*.conf", "*.pdf", source + "/d/", in_tree("d/x"), in_tree("**/x.conf"), "/", "d/x.conf"});
  ASSERT_TRUE(left.ok()) << left.error().text();
  EXPECT_EQ(left.value(), (std::vector<std::string>{"*.pdf", in_tree("d/x"), "d/x.conf"}));
}

TEST_F(RestoreTest, RestoresToWhereThingsWereWithoutTouchingWhatIsAbove) {
  mkdir((source + "/d").c_str(), 0755);
  write_source("d/x", "x");
  const auto snapshot = take();
  ASSERT_TRUE(remove_tree(real_file_system(), source).ok());
  ASSERT_EQ(chmod(scratch.path().c_str(), 0711), 0);
  const auto report = try_put_back(snapshot, {.to = "/"});
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(read(source + "/d/x"), "x");
  EXPECT_EQ(status_of(scratch.path()).st_mode & 07777, 0711u);
  EXPECT_TRUE(differences(snapshot, "/").empty());
}

TEST_F(RestoreTest, WhatIsMadeBelowADefaultAclDoesNotInheritIt) {
  mkdir((source + "/d").c_str(), 0750);
  write_source("d/secret", "x");
  write_source("shared", "x");
  const auto path_of_default = scratch / "open";
  mkdir(path_of_default.c_str(), 0755);
  // What is made below it, its owner may enter.
  std::string acl(reinterpret_cast<const char*>(kAcl), sizeof kAcl);
  acl[6] = 7;
  if (setxattr(path_of_default.c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0) != 0 ||
      setxattr((source + "/shared").c_str(), "system.posix_acl_access", kAcl, sizeof kAcl, 0) != 0)
    GTEST_SKIP() << "no ACLs on this file system";
  const auto snapshot = take();
  const RestoreOptions below{.to = path_of_default + "/target"};
  EXPECT_EQ(put_back(snapshot, below).faults, std::vector<std::string>());
  EXPECT_EQ(differences(snapshot, below.to), std::vector<std::string>());
  for (const char* name : {"", "/d", "/d/secret"}) {
    const std::string path = below.to + source + name;
    EXPECT_LT(getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0), 0) << name;
    EXPECT_LT(getxattr(path.c_str(), "system.posix_acl_default", nullptr, 0), 0) << name;
  }
  EXPECT_EQ(getxattr((below.to + source + "/shared").c_str(), "system.posix_acl_access", nullptr, 0),
            static_cast<ssize_t>(sizeof kAcl));
}

// A tree that a capture would never write, as an attacker or a defect might.
class HostileTree : public RestoreTest {
 protected:
  repo::Snapshot snapshot_of(std::vector<repo::Entry> list) {
    repo::TreeWriter writer(session);
    for (auto& entry : list) {
      entry.mode = 0755;
      const auto added = writer.add(entry);
      if (!added.ok()) refused_by_writer = true;
    }
    repo::Snapshot snapshot;
    auto root = writer.finish();
    if (root.ok()) snapshot.root = root.value();
    return snapshot;
  }
  static repo::Entry entry(const std::string& path, repo::EntryKind kind, const std::string& link = "") {
    repo::Entry result;
    result.path = path;
    result.kind = kind;
    result.link_target = link;
    return result;
  }
  bool refused_by_writer = false;
};

TEST_F(HostileTree, CasePathTraversalIsRefused) {
  EXPECT_FALSE(is_clean_path("../x"));
  EXPECT_FALSE(is_clean_path("/etc/passwd"));
  EXPECT_FALSE(is_clean_path("a/../../x"));
  EXPECT_FALSE(is_clean_path("a/./x"));
  EXPECT_FALSE(is_clean_path("a//x"));
  EXPECT_FALSE(is_clean_path("a/"));
  EXPECT_FALSE(is_clean_path(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_clean_path("a/..b/...c"));
  for (const char* path : {"../evil", "/evil"}) {
    const auto snapshot = snapshot_of({entry("", repo::EntryKind::kDirectory), entry(path, repo::EntryKind::kFile)});
    if (refused_by_writer) continue;  // then no such tree can be made
    const auto outcome = try_put_back(snapshot, {.to = target});
    ASSERT_FALSE(outcome.ok());
    EXPECT_FALSE(present(target + "/../evil"));
    EXPECT_FALSE(present("/evil"));
  }
}

TEST_F(HostileTree, AFileBelowASymbolicLinkOfTheTreeIsRefused) {
  const auto snapshot =
      snapshot_of({entry("", repo::EntryKind::kDirectory), entry("a", repo::EntryKind::kSymlink, scratch.path()),
                   entry("a/evil", repo::EntryKind::kFile)});
  const auto outcome = try_put_back(snapshot, {.to = target});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kInvalidData);
  EXPECT_EQ(outcome.error().message(),
            "the snapshot's tree has the path 'a/evil', which does not lie in a directory of it");
  EXPECT_FALSE(present(scratch / "evil"));
}

TEST_F(HostileTree, ASymbolicLinkInTheTargetIsNotWrittenThrough) {
  mkdir((scratch / "victim").c_str(), 0755);
  mkdir(target.c_str(), 0755);
  ASSERT_EQ(symlink((scratch / "victim").c_str(), (target + "/a").c_str()), 0);
  const auto snapshot = snapshot_of({entry("", repo::EntryKind::kDirectory), entry("a", repo::EntryKind::kDirectory),
                                     entry("a/evil", repo::EntryKind::kFile)});
  for (const bool delta : {false, true}) {
    const auto outcome = try_put_back(snapshot, {.to = target, .delta = delta});
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code(), ErrorCode::kTargetNotEmpty);
    EXPECT_FALSE(present(scratch / "victim/evil"));
  }
  put_back(snapshot, {.delta = true, .remove_extra = true});
  EXPECT_FALSE(present(scratch / "victim/evil"));
  EXPECT_TRUE(present(target + "/a/evil"));
}

TEST_F(RestoreTest, ContentIsDurableBeforeItHasItsNameAndNamesBeforeTheEnd) {
  write_source("a", "a");
  write_source("b", noise(5 << 20, 1));
  ASSERT_EQ(link((source + "/a").c_str(), (source + "/c").c_str()), 0);
  const auto snapshot = take();
  put_back(snapshot);
  EXPECT_EQ(fs.events(), (std::vector<std::string>{"write", "sync", "rename", "link", "sync"}));
}

// The kernel tells of a failed write those who were there, and FUSE nobody.
TEST_F(RestoreTest, AFileSystemIsOpenedBeforeItIsWrittenToAndFilesAreSyncedWhereThatTellsTooLittle) {
  write_source("a", "a");
  const auto snapshot = take();
  class Fuse : public MeddlingFileSystem, public VolumeOpener {
   public:
    using MeddlingFileSystem::MeddlingFileSystem;
    Result<std::unique_ptr<Volume>> open_volume(const std::string& path) override {
      note("open volume");
      class OfFuse : public Volume {
       public:
        OfFuse(Fuse& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
        Result<void> sync() override { return fs_.sync_all(path_); }
        bool is_sure() const override { return fs_.is_sure; }

       private:
        Fuse& fs_;
        const std::string path_;
      };
      return std::unique_ptr<Volume>(std::make_unique<OfFuse>(*this, path));
    }
    bool is_sure = false;
  };
  for (const bool is_sure : {false, true}) {
    Fuse fuse(real_file_system());
    fuse.is_sure = is_sure;
    source::World there{fuse, clock, progress, 1};
    const auto done = restore(there, repository, snapshot, {.to = scratch / (is_sure ? "sure" : "unsure")});
    ASSERT_TRUE(done.ok()) << done.error().text();
    std::vector<std::string> expected = {"open volume", "write", "sync file", "sync", "rename", "sync"};
    if (is_sure) std::erase(expected, "sync file");
    EXPECT_EQ(fuse.events(), expected);
  }
}

TEST_F(RestoreTest, WhatACrashLeftIsReplaced) {
  write_source("a", "whole");
  const auto snapshot = take();
  // The process ends between writing and renaming.
  class Crash : public MeddlingFileSystem {
   public:
    using MeddlingFileSystem::MeddlingFileSystem;
    Result<void> sync_all(const std::string&) override { return make_error(ErrorCode::kIo, "gone"); }
    Result<void> remove_file(const std::string&) override { return make_error(ErrorCode::kIo, "gone"); }
  } crash(real_file_system());
  source::World broken{crash, clock, progress, 2};
  ASSERT_FALSE(restore(broken, repository, snapshot, {.to = target}).ok());
  EXPECT_FALSE(present(restored("a")));
  EXPECT_EQ(real_file_system().list(restored()).value().size(), 1u);
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), "whole");
  EXPECT_EQ(real_file_system().list(restored()).value().size(), 1u);
}

// The next capture takes what a crash left like any other file: it must not meet the
// temporary of the file beside it.
TEST_F(RestoreTest, ATemporaryThatWasCapturedIsAFileLikeOthers) {
  write_source("a", "whole");
  const auto before = take();
  Target crashed(real_file_system(), "", true, before.root);
  const std::string left = crashed.temporary_of(scratch.in_tree("source/a"));
  write(left, "left by a crash");
  const auto snapshot = take();
  for (const bool delta : {false, true}) {
    put_back(snapshot, {.delta = delta});
    EXPECT_EQ(read(restored("a")), "whole");
    EXPECT_EQ(read(restored(base_name(left))), "left by a crash");
  }
  put_back(snapshot, {.to = "/", .delta = true});
  EXPECT_EQ(read(source + "/a"), "whole");
  EXPECT_EQ(read(left), "left by a crash");
}

TEST_F(RestoreTest, EveryFileSystemThatWasWrittenToIsSynced) {
  mkdir((source + "/mounted").c_str(), 0755);
  write_source("a", "a");
  write_source("mounted/b", "b");
  const auto snapshot = take();
  write_source("a", "other a");
  write_source("mounted/b", "other b");
  fs.on_stat = [&](const std::string& path, const struct stat& status) -> std::optional<struct stat> {
    struct stat elsewhere = status;
    elsewhere.st_dev += 1;
    return path.starts_with(source + "/mounted") ? std::optional(elsewhere) : std::nullopt;
  };
  put_back(snapshot, {.to = "/", .delta = true});
  const auto synced = fs.synced();
  const auto of_mount = [&](const std::string& path) { return path.starts_with(source + "/mounted"); };
  EXPECT_GE(std::count_if(synced.begin(), synced.end(), of_mount), 2) << "before the renames, and at the end";
  EXPECT_GE(std::count_if(synced.begin(), synced.end(), std::not_fn(of_mount)), 2);
}

TEST_F(RestoreTest, FreeSpaceIsCheckedFirst) {
  write_source("a", noise(1 << 20, 1));
  auto file = real_file_system().open(source + "/sparse", {.write = true, .create = true});
  ASSERT_TRUE(file.value()->truncate(1ull << 40).ok());
  const auto snapshot = take();
  fs.free = 1 << 19;
  const auto outcome = try_put_back(snapshot, {.to = target});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(outcome.error().message(), scratch.path() + " has 512 KiB free, the restore needs 1.00 MiB");
  EXPECT_FALSE(present(target));
  fs.free = 2 << 20;  // enough: holes take none
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("sparse")).st_blocks, 0);
  write(restored("a"), "wrong");
  ASSERT_EQ(truncate(restored("sparse").c_str(), 1 << 20), 0);
  put_back(snapshot, {.delta = true});  // nor where the file is there already
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(RestoreTest, HolesThatAreThereAreNotRead) {
  {
    auto file = real_file_system().open(source + "/sparse", {.write = true, .create = true});
    ASSERT_TRUE(file.value()->truncate(1ull << 36).ok());
  }
  const auto snapshot = take();
  put_back(snapshot);
  uint64_t reads = 0;
  fs.before_read = [&](const std::string& path, uint64_t) { reads += path == restored("sparse") ? 1 : 0; };
  put_back(snapshot, {.delta = true});
  EXPECT_TRUE(differences(snapshot, target).empty());
  EXPECT_EQ(reads, 0u);

  const auto change = [&](std::string_view bytes) {
    auto file = real_file_system().open(restored("sparse"), {.write = true});
    ASSERT_TRUE(file.value()->write_at(1ull << 35, as_bytes(bytes)).ok());
  };
  change(std::string_view("\0", 1));  // no hole any more, and equal all the same
  EXPECT_EQ(put_back(snapshot, {.delta = true}).faults, std::vector<std::string>());
  EXPECT_GT(status_of(restored("sparse")).st_blocks, 0);
  change("x");
  put_back(snapshot, {.delta = true});
  EXPECT_EQ(status_of(restored("sparse")).st_blocks, 0);
}

TEST_F(RestoreTest, StopsWhileItComparesOneLargeFile) {
  write_source("large", noise(20 << 20, 1));
  const auto snapshot = take();
  put_back(snapshot);
  uint64_t reads = 0;
  fs.before_read = [&](const std::string& path, uint64_t) {
    if (path != restored("large")) return;
    reads++;
    progress.stop = true;
  };
  auto w = world();
  const auto restored_over = try_put_back(snapshot, {.to = target, .delta = true});
  ASSERT_FALSE(restored_over.ok());
  EXPECT_EQ(restored_over.error().code(), ErrorCode::kInterrupted);
  EXPECT_EQ(reads, 1u);
  progress.stop = false;
  const auto verified = verify(w, repository, snapshot, target);
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(verified.error().code(), ErrorCode::kInterrupted);
  EXPECT_EQ(reads, 2u);
}

TEST_F(RestoreTest, ASectorThatCanNotBeReadIsDamageLikeAnyOther) {
  MeddlingFileSystem disk(real_file_system());
  const auto store = store::open_local_store(disk, scratch / "repository", false).value();
  const auto random = seeded_random(1);
  const auto stored = repo::init_repository({*store, clock, *random}, Secret::from_text("x"), {8192, 1}).value();
  repo::WriteOptions small_packs;
  small_packs.pack_bytes = 256 << 10;
  write_source("a", noise(3 << 20, 1));
  write_source("b", "whole");
  auto w = world();
  repo::Point point;
  {
    const auto writer = repo::WriteSession::begin(*stored, small_packs).value();
    point.snapshots.push_back(capture(w, *writer, options(), nullptr).value());
    ASSERT_TRUE(writer->commit(point).ok());
  }
  std::string largest;
  uint64_t size = 0;
  ASSERT_TRUE(store
                  ->list("packs/",
                         [&](const store::ObjectInfo& info) -> Result<void> {
                           if (info.size_bytes > size) largest = info.name;
                           size = std::max(size, info.size_bytes);
                           return {};
                         })
                  .ok());
  disk.read_error = [&](const std::string& path) -> std::optional<Error> {
    if (!path.ends_with(largest)) return std::nullopt;
    return make_error(ErrorCode::kIo, "input/output error");
  };
  const auto outcome = restore(w, *stored, point.snapshots.front(), {.to = target});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kDamaged) << outcome.error().text();
  EXPECT_FALSE(present(restored("a")));
  EXPECT_EQ(read(restored("b")), "whole");
}

TEST_F(RestoreTest, ADamagedFileIsLeftOutNamedAndTheRestIsRestored) {
  write_source("bad", noise(100'000, 1));
  write_source("good", noise(100'000, 2));
  const auto snapshot = take();
  repository.damage(*entries(snapshot).at(in_tree("bad")).content.extents[0].block);
  const auto outcome = try_put_back(snapshot, {.to = target});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kDamaged);
  EXPECT_NE(outcome.error().message().find(in_tree("bad")), std::string::npos);
  EXPECT_FALSE(present(restored("bad")));
  EXPECT_EQ(read(restored("good")), noise(100'000, 2));
  const auto names = real_file_system().list(restored()).value();
  EXPECT_EQ(names.size(), 1u);  // no temporary stays
}

TEST_F(RestoreTest, VerifyNamesEveryDifference) {
  write_source("content", noise(100'000, 1));
  write_source("longer", "x");
  write_source("missing", "x");
  write_source("mode", "x");
  const auto snapshot = take();
  put_back(snapshot);
  EXPECT_TRUE(differences(snapshot, target).empty());
  const auto keep_time = [&](const std::string& path, const std::function<void()>& change) {
    const struct stat before = status_of(path);
    change();
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    utimensat(AT_FDCWD, path.c_str(), times, 0);
  };
  std::string other = noise(100'000, 1);
  other[99'999] ^= 1;
  keep_time(restored("content"), [&] { write(restored("content"), other); });
  keep_time(restored("longer"), [&] { write(restored("longer"), "xy"); });
  keep_time(restored("mode"), [&] { chmod(restored("mode").c_str(), 0600); });
  keep_time(restored(), [&] { unlink(restored("missing").c_str()); });
  EXPECT_EQ(differences(snapshot, target),
            (std::vector<std::string>{in_tree("content") + ": content differs behind byte 0",
                                      in_tree("longer") + ": has 2 bytes, not 1", in_tree("missing") + ": missing",
                                      in_tree("mode") + ": mode is 0600, not 0644"}));
}

}  // namespace
}  // namespace holdfast::files
