#include "source/files/removal.h"

#include "base/units.h"
#include "source/files/faults.h"
#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

using RemovalTest = FilesTest;

TEST_F(RemovalTest, RemovesNothingThatCouldNotBeReadWhenThePointWasTaken) {
  mkdir((source + "/locked").c_str(), 0755);
  write_source("locked/inside", "only copy");
  write_source("bad", "only copy");
  write_source("a", "a");
  class Unlistable : public MeddlingFileSystem {
   public:
    using MeddlingFileSystem::MeddlingFileSystem;
    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
      if (path.ends_with("/locked")) return make_error(ErrorCode::kPermission, "permission denied");
      return MeddlingFileSystem::list(path);
    }
  } disk(real_file_system());
  disk.read_error = [&](const std::string& path) -> std::optional<Error> {
    if (path == source + "/bad") return make_error(ErrorCode::kIo, "input/output error");
    return std::nullopt;
  };
  source::World w{disk, clock, progress, 2};
  const auto snapshot = capture(w, session, options(), nullptr).value();
  ASSERT_EQ(snapshot.faults.size(), 2u);
  write_source("extra", "x");
  const auto report = put_back(snapshot, {.to = "/", .delta = true, .remove_extra = true});
  EXPECT_EQ(read(source + "/locked/inside"), "only copy");
  EXPECT_EQ(read(source + "/bad"), "only copy");
  EXPECT_FALSE(present(source + "/extra"));
  constexpr const char* kReason = " (it could not be read when this point was taken)";
  EXPECT_EQ(report.notes,
            std::vector<std::string>{"2 paths that the point does not have were left in place: " +
                                     in_tree("locked/inside") + kReason + ", " + in_tree("bad") + kReason});
}

TEST_F(RemovalTest, RemovesNothingWhenMoreCouldNotBeReadThanThePointNames) {
  write_source("a", "a");
  auto snapshot = take();
  snapshot.faults = {in_tree("b") + ": not read: input/output error", "and 7 more"};
  write_source("c", "perhaps one of the seven");
  put_back(snapshot, {.to = "/", .delta = true, .remove_extra = true});
  EXPECT_TRUE(present(source + "/c"));
}

TEST_F(RemovalTest, RemovesNothingThatIsExcluded) {
  mkdir((source + "/cache").c_str(), 0755);
  mkdir((source + "/new").c_str(), 0755);
  write_source("cache/c", "x");
  write_source("a.tmp", "x");
  write_source("a", "a");
  auto wanted = options();
  wanted.excludes = {"cache/", "*.tmp", "new"};
  const auto snapshot = take(wanted);
  write_source("new/extra", "x");
  mkdir((source + "/mixed").c_str(), 0755);
  write_source("mixed/b.tmp", "x");
  write_source("mixed/extra", "x");
  write_source("since", "x");
  const RestoreOptions over{.to = "/", .delta = true, .remove_extra = true, .excludes = {"since"}};
  const auto report = put_back(snapshot, over);
  for (const char* name : {"cache/c", "a.tmp", "new/extra", "mixed/b.tmp", "since"})
    EXPECT_TRUE(present(source + "/" + name)) << name;
  EXPECT_FALSE(present(source + "/mixed/extra"));
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_TRUE(report.notes[0].starts_with("5 paths that the point does not have were left in place: "));
}

TEST_F(RemovalTest, RemovesNothingOfAnotherFileSystem) {
  for (const char* name : {"mounted", "empty", "extra"}) mkdir((source + "/" + name).c_str(), 0755);
  write_source("a", "a");
  auto wanted = options();
  wanted.excludes = {"mounted", "extra"};
  auto snapshot = take(wanted);
  snapshot.source.erase("excludes");  // as if they had not been there
  mkdir((source + "/extra/mounted").c_str(), 0755);
  for (const char* name : {"mounted/b", "empty/b", "extra/mounted/b", "extra/c"}) write_source(name, "x");
  fs.on_stat = [&](const std::string& path, const struct stat& status) -> std::optional<struct stat> {
    struct stat elsewhere = status;
    elsewhere.st_dev += 1;
    for (const char* name : {"/mounted", "/empty", "/extra/mounted"}) {
      if (path.starts_with(source + name)) return elsewhere;
    }
    return std::nullopt;
  };
  put_back(snapshot, {.to = "/", .delta = true, .remove_extra = true});
  for (const char* name : {"mounted/b", "empty/b", "extra/mounted/b"})
    EXPECT_TRUE(present(source + "/" + name)) << name;
  EXPECT_FALSE(present(source + "/extra/c"));
}

// The repository lies among the files: of it nothing is captured, removed or replaced.
TEST_F(RemovalTest, TheRepositoryAmongTheFilesIsLeftAlone) {
  for (const char* name : {"backups", "backups/repo", "backups/repo/packs"}) mkdir((source + "/" + name).c_str(), 0755);
  write_source("backups/repo/packs/p", "then");
  write_source("a", "a");
  const auto old = take();  // of a time when it was captured
  EXPECT_TRUE(entries(old).contains(in_tree("backups/repo/packs/p")));
  auto wanted = options();
  wanted.repository = source + "/backups/repo";
  const auto snapshot = take(wanted);
  EXPECT_TRUE(entries(snapshot).contains(in_tree("backups")));
  EXPECT_FALSE(entries(snapshot).contains(in_tree("backups/repo")));
  EXPECT_EQ(snapshot.faults, std::vector<std::string>());

  write_source("backups/repo/packs/p", "now");
  write_source("backups/repo/packs/q", "now");
  write_source("a", "changed");
  RestoreOptions over{.to = "/", .delta = true, .remove_extra = true, .repository = wanted.repository};
  const auto report = put_back(snapshot, over);
  EXPECT_EQ(report.notes, std::vector<std::string>{"1 path that the point does not have was left in place: " +
                                                   in_tree("backups/repo") + " (it is the repository of backups)"});
  EXPECT_EQ(read(source + "/a"), "a");
  write_source("a", "changed");
  const auto from_old = put_back(old, over);
  EXPECT_EQ(read(source + "/a"), "a");
  ASSERT_EQ(from_old.notes.size(), 2u);
  EXPECT_EQ(from_old.notes[1], "3 of the files and directories would lie in the repository at " + wanted.repository +
                                   ", and were left out");
  over.repository = "";  // it moved; what the point says of it still counts
  put_back(snapshot, over);
  for (const char* name : {"backups/repo/packs/p", "backups/repo/packs/q"}) EXPECT_EQ(read(source + "/" + name), "now");
}

TEST_F(RemovalTest, APathToProtectInTheRepositoryIsRefused) {
  mkdir((source + "/packs").c_str(), 0755);
  auto wanted = options();
  wanted.paths = {source + "/packs"};
  wanted.repository = source;
  const auto outcome = try_capture(wanted);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kConfig);
  EXPECT_EQ(outcome.error().message(),
            "'" + source + "/packs' can't be captured: it lies in the repository at " + source);
}

TEST_F(RemovalTest, ADirectoryInAFilesPlaceStaysWhenSomethingOfItMustNotBeRemoved) {
  write_source("a", "file");
  auto wanted = options();
  wanted.excludes = {"*.tmp"};
  const auto snapshot = take(wanted);
  unlink((source + "/a").c_str());
  mkdir((source + "/a").c_str(), 0755);
  write_source("a/x.tmp", "x");
  write_source("a/y", "y");
  const auto outcome = try_put_back(snapshot, {.to = "/", .delta = true, .remove_extra = true});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kTargetNotEmpty);
  EXPECT_EQ(outcome.error().message(), "'" + source +
                                           "/a' is a directory, but a file is to be restored there, and not all of it "
                                           "may be removed: " +
                                           in_tree("a/x.tmp") + " (it is excluded from backups)");
  EXPECT_TRUE(present(source + "/a/y"));
}

TEST_F(RemovalTest, ANoteTellsWhatAPointLacks) {
  EXPECT_EQ(faults_note({}), "");
  EXPECT_EQ(faults_note({"srv/x: not read: permission denied"}),
            "1 path could not be read when this point was taken: srv/x: not read: permission denied");
  EXPECT_EQ(faults_note({"a: 1", "b: 2", "c: 3", "d: 4"}),
            "4 paths could not be read when this point was taken: a: 1; b: 2; c: 3; ...");
  Faults faults;
  for (int i = 0; i < 4000; i++) faults.add("x", "not read");
  EXPECT_TRUE(faults_note(faults.take()).starts_with(format_count(4000) + " paths could not be read "));
}

TEST_F(RemovalTest, AShownPathCanBeReadBack) {
  for (const std::string path : {"srv/data", "a\\b", "new\nline", "\xff\\x41", "é", "\\x41"})
    EXPECT_EQ(path_of_display(display_path(path)), path);
}

}  // namespace
}  // namespace holdfast::files
