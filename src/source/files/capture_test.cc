#include "source/files/capture.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <thread>

#include "source/files/file_capture.h"
#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

using CaptureTest = FilesTest;

void set_times(const std::string& path, int64_t seconds, int64_t ns = 0) {
  const struct timespec times[2] = {{seconds, ns}, {seconds, ns}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

TEST_F(CaptureTest, TheTreeHoldsWholePathsAndTheDirectoriesAbove) {
  write_source("a", "1");
  const auto all = entries(take());
  EXPECT_TRUE(all.contains(""));
  EXPECT_EQ(all.at(in_tree()).kind, repo::EntryKind::kDirectory);
  EXPECT_EQ(all.at(in_tree("a")).size_bytes, 1u);
  EXPECT_EQ(all.at(scratch.in_tree()).source_data, "parent");
  EXPECT_EQ(all.at(in_tree()).source_data, "");
}

TEST_F(CaptureTest, SeveralRootsOneInsideAnother) {
  mkdir((scratch / "b").c_str(), 0755);
  mkdir((scratch / "source/sub").c_str(), 0755);
  write(scratch / "b/x", "x");
  write(scratch / "other", "not asked for");
  write_source("sub/y", "y");
  CaptureOptions wanted;
  wanted.paths = {source + "/sub", scratch / "b", source};
  const auto all = entries(take(wanted));
  EXPECT_TRUE(all.contains(scratch.in_tree("b/x")));
  EXPECT_TRUE(all.contains(in_tree("sub/y")));
  EXPECT_FALSE(all.contains(scratch.in_tree("other")));
}

TEST_F(CaptureTest, ARootThatIsASymbolicLinkStandsForItsTarget) {
  write_source("x", "x");
  ASSERT_EQ(symlink(source.c_str(), (scratch / "link").c_str()), 0);
  CaptureOptions wanted;
  wanted.paths = {scratch / "link"};
  EXPECT_TRUE(entries(take(wanted)).contains(in_tree("x")));
}

TEST_F(CaptureTest, AMissingRootIsAnError) {
  CaptureOptions wanted;
  wanted.paths = {scratch / "nowhere"};
  const auto outcome = try_capture(wanted);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(outcome.error().hint(), "each path to protect must exist; correct 'paths' of the component");
}

TEST_F(CaptureTest, SmallFilesShareBlocks) {
  for (int i = 0; i < 100; i++) write_source("f" + std::to_string(i), noise(1000, static_cast<uint64_t>(i)));
  std::set<repo::BlockId> blocks;
  const auto all = entries(take());
  for (const auto& [path, entry] : all) {
    for (const auto& extent : entry.content.extents) blocks.insert(*extent.block);
  }
  EXPECT_EQ(blocks.size(), 1u);
}

TEST_F(CaptureTest, UnchangedFilesAreNotRead) {
  for (int i = 0; i < 50; i++) write_source("f" + std::to_string(i), noise(5000, static_cast<uint64_t>(i)));
  write_source("large", noise(9 << 20, 77));
  const auto first = take();
  EXPECT_EQ(first.read_bytes, 50u * 5000 + (9 << 20));
  fs.opened = 0;
  const auto second = take(&first);
  EXPECT_EQ(fs.opened, 0u);
  EXPECT_EQ(second.read_bytes, 0u);
  EXPECT_EQ(second.files, first.files);
  EXPECT_EQ(second.source_bytes, first.source_bytes);
  EXPECT_EQ(entries(first).at(in_tree("large")).content, entries(second).at(in_tree("large")).content);
  EXPECT_EQ(entries(first).at(in_tree("large")).captured, entries(second).at(in_tree("large")).captured);
}

TEST_F(CaptureTest, ForceReadsEverythingAndStoresNothingNew) {
  for (int i = 0; i < 20; i++) write_source("f" + std::to_string(i), noise(5000, static_cast<uint64_t>(i)));
  write_source("large", noise(9 << 20, 77));
  const auto first = take();
  auto wanted = options();
  wanted.force = true;
  const uint64_t raw_before = session.stats().raw_bytes_new;
  const auto second = take(wanted, &first);
  EXPECT_EQ(second.read_bytes, first.read_bytes);
  EXPECT_LT(session.stats().raw_bytes_new - raw_before, 20000u);  // metadata: times of reading
}

TEST_F(CaptureTest, TouchedFilesAreReadButStoredOnce) {
  write_source("small", noise(5000, 1));
  write_source("large", noise(9 << 20, 2));
  const auto first = take();
  set_times(source + "/small", 1'000'000'000);
  set_times(source + "/large", 1'000'000'000);
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 5000u + (9 << 20));
  EXPECT_EQ(entries(first).at(in_tree("small")).content, entries(second).at(in_tree("small")).content);
  EXPECT_EQ(entries(first).at(in_tree("large")).content, entries(second).at(in_tree("large")).content);
}

TEST_F(CaptureTest, ChangedBlocksOfALargeFileAreStoredAlone) {
  std::string content = noise(20 << 20, 5);
  write_source("large", content);
  const auto first = take();
  content[10 << 20] = static_cast<char>(content[10 << 20] + 1);
  write_source("large", content);
  const uint64_t raw_before = session.stats().raw_bytes_new;
  const auto second = take(&first);
  EXPECT_LT(session.stats().raw_bytes_new - raw_before, 5u << 20);
  put_back(second);
  EXPECT_EQ(read(restored("large")), content);
}

TEST_F(CaptureTest, ALostBlockOfAnUnchangedFileIsReadAnew) {
  write_source("a", noise(5000, 1));
  const auto first = take();
  repository.lose(*entries(first).at(in_tree("a")).content.extents[0].block);
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 5000u);
  put_back(second);
  EXPECT_EQ(read(restored("a")), noise(5000, 1));
}

TEST_F(CaptureTest, ADamagedPreviousTreeDoesNotStopACapture) {
  write_source("a", "content");
  const auto first = take();
  repository.damage(first.root);
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 7u);
}

// ---- The files' cases.

TEST_F(CaptureTest, CaseChangesWithinOneMtimeTick) {
  clock.offset_ns = 0;  // captured right after it was written
  write_source("a", "one");
  const struct stat before = status_of(source + "/a");
  const auto first = take();
  write_source("a", "two");
  // The file system's clock did not tick between: nothing shows in lstat.
  fs.on_stat = [&](const std::string& path, const struct stat&) -> std::optional<struct stat> {
    if (path == source + "/a") return before;
    return std::nullopt;
  };
  const auto second = take(&first);
  put_back(second);
  EXPECT_EQ(read(restored("a")), "two");
}

TEST_F(CaptureTest, CaseClockSkewMtimesInTheFutureAndThePast) {
  write_source("future", "f");
  write_source("past", "p");
  write_source("ancient", "a");
  const int64_t now = system_clock().now().unix_seconds();
  set_times(source + "/future", now + 40'000'000, 123456789);
  set_times(source + "/past", 1, 1);
  set_times(source + "/ancient", -1000, 5);
  const auto first = take();
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 1u);  // what is from the future can't be told unchanged
  put_back(second);
  EXPECT_EQ(status_of(restored("future")).st_mtim.tv_sec, now + 40'000'000);
  EXPECT_EQ(status_of(restored("future")).st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(status_of(restored("ancient")).st_mtim.tv_sec, -1000);
  EXPECT_TRUE(differences(second, target).empty());
}

TEST_F(CaptureTest, CaseClockGoingBackward) {
  write_source("a", "one");
  const auto first = take();
  clock.offset_ns = -Duration::hours(24).ns;  // set back before the file was written
  const auto second = take(&first);
  write_source("a", "two");
  const auto third = take(&second);
  put_back(third);
  EXPECT_EQ(read(restored("a")), "two");
  const auto fourth = take(&third);
  EXPECT_EQ(fourth.read_bytes, 3u);  // read again rather than trusted
}

TEST_F(CaptureTest, CaseFileChangesWhileRead) {
  write_source("a", std::string(300'000, 'a'));
  int meddled = 0;
  fs.before_read = [&](const std::string& path, uint64_t) {
    if (path == source + "/a" && meddled++ == 0) write(path, std::string(300'000, 'b'));
  };
  const auto snapshot = take();
  EXPECT_TRUE(snapshot.faults.empty());
  EXPECT_EQ(snapshot.source["read_again"], 1);
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), std::string(300'000, 'b'));
}

TEST_F(CaptureTest, CaseFileChangesEveryTimeItIsRead) {
  write_source("a", "v0");
  write_source("b", "steady");
  int version = 0;
  fs.before_read = [&](const std::string& path, uint64_t) {
    if (path == source + "/a") write(path, "v" + std::to_string(++version));
  };
  const auto snapshot = take();
  ASSERT_EQ(snapshot.faults.size(), 1u);
  EXPECT_EQ(snapshot.faults[0], in_tree("a") + ": changed while it was read, 4 times over");
  EXPECT_EQ(version, FileCapture::kAttempts);
  fs.before_read = nullptr;
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), "v4");
  EXPECT_EQ(read(restored("b")), "steady");
}

TEST_F(CaptureTest, CaseFileGrowsShrinksVanishesWhileRead) {
  for (const char* name : {"grows", "shrinks", "vanishes", "large-shrinks"}) write_source(name, noise(300'000, 9));
  std::map<std::string, int> seen;
  fs.before_read = [&](const std::string& path, uint64_t) {
    if (seen[path]++ > 0) return;
    if (path.ends_with("grows")) write(path, noise(400'000, 1));
    if (path.ends_with("shrinks")) {
      ASSERT_EQ(truncate(path.c_str(), 1000), 0);
    }
  };
  fs.on_open = [&](const std::string& path) {
    if (path.ends_with("vanishes")) unlink(path.c_str());
  };
  const auto snapshot = take();
  EXPECT_TRUE(snapshot.faults.empty()) << snapshot.faults[0];
  EXPECT_EQ(snapshot.source["vanished"], 1);
  EXPECT_EQ(snapshot.files, 3u);
  fs.on_open = nullptr;
  put_back(snapshot);
  EXPECT_EQ(read(restored("grows")), noise(400'000, 1));
  EXPECT_EQ(read(restored("shrinks")), noise(300'000, 9).substr(0, 1000));
  EXPECT_FALSE(present(restored("vanishes")));
}

TEST_F(CaptureTest, LargeFilesAreStoredInPiecesAndReadAgainWhenOneChanges) {
  std::string content = noise(1 << 20, 4);
  for (int i = 0; i < 7; i++) content += content;  // 128 MiB
  content += "tail";
  write_source("large", content);
  int meddled = 0;
  fs.before_read = [&](const std::string& path, uint64_t offset) {
    if (path != source + "/large" || offset < (100u << 20) || meddled++ > 0) return;
    content[0] = '!';
    auto file = real_file_system().open(path, {.write = true});
    ASSERT_TRUE(file.value()->write_at(0, as_bytes("!")).ok());
  };
  const auto snapshot = take();
  EXPECT_TRUE(snapshot.faults.empty());
  EXPECT_EQ(entries(snapshot).at(in_tree("large")).content.regions.size(), 3u);
  put_back(snapshot);
  EXPECT_TRUE(read(restored("large")) == content);
}

TEST_F(CaptureTest, CaseFifosAndSocketsNeverBlock) {
  ASSERT_EQ(mkfifo((source + "/fifo").c_str(), 0640), 0);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = source + "/sock";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(bind(descriptor, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  const auto snapshot = take();
  ::close(descriptor);
  EXPECT_TRUE(snapshot.faults.empty());
  put_back(snapshot);
  EXPECT_TRUE(S_ISFIFO(status_of(restored("fifo")).st_mode));
  EXPECT_EQ(status_of(restored("fifo")).st_mode & 07777, 0640u);
  EXPECT_TRUE(S_ISSOCK(status_of(restored("sock")).st_mode));
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(CaptureTest, CaseAFileReplacedByAFifoDoesNotBlock) {
  write_source("a", "content");
  write_source("b", "content");
  fs.on_open = [&](const std::string& path) {
    if (path != source + "/a") return;
    unlink(path.c_str());
    mkfifo(path.c_str(), 0600);
  };
  const auto snapshot = take();
  ASSERT_EQ(snapshot.faults.size(), 1u);
  EXPECT_EQ(snapshot.faults[0], in_tree("a") + ": not read: became something else than a file");
  EXPECT_EQ(snapshot.files, 1u);
}

TEST_F(CaptureTest, CaseDevices) {
  NEEDS_ROOT();
  if (mknod((source + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0)
    GTEST_SKIP() << "devices can't be made here";
  ASSERT_EQ(mknod((source + "/loop").c_str(), S_IFBLK | 0600, makedev(7, 9)), 0);
  const auto snapshot = take();
  EXPECT_EQ(snapshot.read_bytes, 0u);
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("null")).st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISBLK(status_of(restored("loop")).st_mode));
  EXPECT_TRUE(differences(snapshot, target).empty());
}

TEST_F(CaptureTest, CaseNamesThatAreNotUtf8) {
  const std::string name = "caf\xe9 \x01\xff\n\"x\\";
  write_source(name, "bytes");
  ASSERT_EQ(symlink("to\xfe", (source + "/l\xfd").c_str()), 0);
  fs.read_error = [&](const std::string& path) -> std::optional<Error> {
    if (path.find('\xff') != std::string::npos && fs.opened < 2) return Error::from_errno(EIO, path);
    return std::nullopt;
  };
  fs.opened = 0;
  const auto damaged = take();  // the fault's text must be valid in JSON
  ASSERT_EQ(damaged.faults.size(), 1u);
  EXPECT_TRUE(damaged.faults[0].starts_with(in_tree("caf\\xe9 \\x01\\xff\\x0a\"x\\\\: not read: ")))
      << damaged.faults[0];
  EXPECT_NO_THROW(nlohmann::json(damaged.faults[0]).dump());
  fs.read_error = nullptr;
  const auto snapshot = take();
  put_back(snapshot);
  EXPECT_EQ(read(restored(name)), "bytes");
  EXPECT_EQ(real_file_system().read_link(restored("l\xfd")).value(), "to\xfe");
}

// A million is the case; 100,000 entries are enough to show what would go wrong
// and keep the suite short.
TEST_F(CaptureTest, CaseOneDirectoryWithVeryManyEntries) {
  constexpr int kEntries = 100'000;
  write_source("0", "content");
  for (int i = 1; i < kEntries; i++) {
    const std::string name = source + "/" + std::to_string(i);
    if (i % 100 == 0) {
      write(name, std::to_string(i));
    } else {
      ASSERT_EQ(symlink("0", name.c_str()), 0);
    }
  }
  const auto first = take();
  EXPECT_EQ(entries(first).size(),
            static_cast<size_t>(kEntries) + 2 + static_cast<size_t>(std::count(source.begin(), source.end(), '/')) - 1);
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 0u);
  put_back(second);
  EXPECT_EQ(read(restored("77700")), "77700");
  EXPECT_EQ(real_file_system().list(restored()).value().size(), static_cast<size_t>(kEntries));
}

TEST_F(CaptureTest, CaseExcludes) {
  for (const char* name : {"a.tmp", "b.txt", "keep.tmp"}) write_source(name, "x");
  mkdir((source + "/cache").c_str(), 0755);
  mkdir((source + "/sub").c_str(), 0755);
  mkdir((source + "/sub/cache").c_str(), 0755);
  write_source("cache/x", "x");
  write_source("sub/cache/y", "y");
  auto wanted = options();
  wanted.excludes = {"*.tmp", "!keep.tmp", source + "/cache/"};
  const auto all = entries(take(wanted));
  EXPECT_FALSE(all.contains(in_tree("a.tmp")));
  EXPECT_TRUE(all.contains(in_tree("keep.tmp")));
  EXPECT_TRUE(all.contains(in_tree("b.txt")));
  EXPECT_FALSE(all.contains(in_tree("cache")));
  EXPECT_FALSE(all.contains(in_tree("cache/x")));
  EXPECT_TRUE(all.contains(in_tree("sub/cache/y")));
}

TEST_F(CaptureTest, CaseOneFileSystem) {
  NEEDS_ROOT();
  const std::string mount_point = source + "/mounted";
  mkdir(mount_point.c_str(), 0755);
  if (mount("none", mount_point.c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "mounting is not allowed here";
  write(mount_point + "/inside", "x");
  auto wanted = options();
  const auto with = entries(take(wanted));
  wanted.one_file_system = true;
  const auto without = entries(take(wanted));
  umount(mount_point.c_str());
  EXPECT_TRUE(with.contains(in_tree("mounted/inside")));
  EXPECT_TRUE(without.contains(in_tree("mounted")));
  EXPECT_FALSE(without.contains(in_tree("mounted/inside")));
}

TEST_F(CaptureTest, CaseUnreadableFileIsAFaultAndTheRestGoesOn) {
  write_source("a", "a");
  write_source("bad", noise(100'000, 1));
  write_source("c", "c");
  ASSERT_EQ(link((source + "/bad").c_str(), (source + "/bad2").c_str()), 0);
  fs.read_error = [&](const std::string& path) -> std::optional<Error> {
    if (path == source + "/bad") return Error::from_errno(EIO, "can't read it");
    return std::nullopt;
  };
  const auto snapshot = take();
  ASSERT_EQ(snapshot.faults.size(), 1u);
  EXPECT_EQ(snapshot.faults[0], in_tree("bad") + ": not read: can't read it: input/output error");
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), "a");
  EXPECT_FALSE(present(restored("bad")));
  EXPECT_EQ(read(restored("c")), "c");
  // Its other name could be read, and must not be lost with it.
  EXPECT_EQ(read(restored("bad2")), noise(100'000, 1));
}

TEST_F(CaptureTest, AFailingRepositoryIsNotMistakenForAFault) {
  class FullSession : public repo::TestSession {
   public:
    using TestSession::TestSession;
    Result<repo::BlockId> put(repo::BlockKind, ByteView) override {
      return make_error(ErrorCode::kIo, "the store is broken");
    }
  } broken(repository);
  write_source("a", "a");
  auto w = world();
  const auto outcome = capture(w, broken, options(), nullptr);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().message(), "the store is broken");
}

TEST_F(CaptureTest, StopsWhenAsked) {
  write_source("a", "a");
  progress.stop = true;
  const auto outcome = try_capture(options());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kInterrupted);
}

TEST_F(CaptureTest, WhenNothingCanBeReadThereIsNoSnapshot) {
  write_source("a", "a");
  write_source("b", "b");
  fs.read_error = [&](const std::string&) -> std::optional<Error> {
    return Error::from_errno(EACCES, "can't read it");
  };
  const auto snapshot = try_capture(options());
  ASSERT_FALSE(snapshot.ok());
  EXPECT_EQ(snapshot.error().code(), ErrorCode::kIo);
  EXPECT_NE(snapshot.error().text().find("nothing of it could be read: " + in_tree("a")), std::string::npos)
      << snapshot.error().text();
}

}  // namespace
}  // namespace holdfast::files
