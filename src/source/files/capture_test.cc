#include "source/files/capture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstdlib>
#include <thread>

#include "source/files/data_stream.h"
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

// Through a mapping a page can be written for half a minute before its file's times move.
TEST_F(CaptureTest, AFileThatIsWrittenThroughAMappingIsReadAgain) {
  const std::string path = source + "/mapped";
  write(path, std::string(4096, '1'));
  const struct stat before = status_of(path);
  clock.offset_ns = Duration::seconds(40).ns;
  const auto first = take();
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(page, MAP_FAILED);
  std::memset(page, '2', 4096);
  munmap(page, 4096);
  ::close(file);
  fs.on_stat = [&](const std::string& looked_at, const struct stat&) -> std::optional<struct stat> {
    return looked_at == path ? std::optional(before) : std::nullopt;
  };
  const auto second = take(&first);
  put_back(second);
  EXPECT_EQ(read(restored("mapped")), std::string(4096, '2'));
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

TEST_F(CaptureTest, ATimeThatAnEntryCanNotSayIsAFaultAndTheNearestIsKept) {
  for (const char* name : {"a", "late", "early"}) write_source(name, "x");
  set_times(source + "/late", 10'413'792'000);    // 2300
  set_times(source + "/early", -11'676'096'000);  // 1600
  if (status_of(source + "/late").st_mtim.tv_sec != 10'413'792'000 ||
      status_of(source + "/early").st_mtim.tv_sec != -11'676'096'000)
    GTEST_SKIP() << "this file system has no such times either";
  const auto snapshot = take();
  constexpr const char* kProblem = ": modification time not kept: it lies outside of the years 1678 to 2262";
  EXPECT_EQ(snapshot.faults, (std::vector<std::string>{in_tree("early") + kProblem, in_tree("late") + kProblem}));
  put_back(snapshot);
  EXPECT_EQ(status_of(restored("late")).st_mtim.tv_sec, INT64_MAX / 1'000'000'000);
  EXPECT_EQ(status_of(restored("early")).st_mtim.tv_sec, INT64_MIN / 1'000'000'000 - 1);
  EXPECT_TRUE(differences(snapshot, target).empty());
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

TEST_F(CaptureTest, AHoleCostsNothingHoweverLargeItIs) {
  constexpr uint64_t kSize = (8ull << 40) + 4096;  // 131,072 pieces, if each were looked at
  std::vector<Range> islands;
  {
    auto file = real_file_system().open(source + "/sparse", {.write = true, .create = true});
    ASSERT_TRUE(file.value()->truncate(kSize).ok());
    for (uint64_t i = 0; i < 8; i++) {
      const Range island{i * (kSize / 8) / 65536 * 65536, 65536};
      ASSERT_TRUE(file.value()->write_at(island.offset, as_bytes(noise(island.length, i))).ok());
      islands.push_back(island);
    }
  }
  fs.opened = 0;
  const auto first = take();
  EXPECT_LT(fs.opened, 20u);
  EXPECT_EQ(first.faults, std::vector<std::string>());
  EXPECT_LT(entries(first).at(in_tree("sparse")).content.regions.size(), 30u);
  put_back(first);
  auto restored_file = real_file_system().open(restored("sparse"), {});
  EXPECT_EQ(data_ranges(*restored_file.value(), {0, kSize}, true), islands);
  EXPECT_TRUE(differences(first, target).empty());
  // As one that changes while it is read, so that it is read as a whole.
  bool meddled = false;
  fs.before_read = [&](const std::string& path, uint64_t) {
    if (path != source + "/sparse" || std::exchange(meddled, true)) return;
    set_times(path, 1'000'000'000);
  };
  auto wanted = options();
  wanted.force = true;
  const auto second = take(wanted, &first);
  EXPECT_LT(second.read_bytes, 3u << 20);
  put_back(second, {.delta = true});
  EXPECT_TRUE(differences(second, target).empty());
}

TEST_F(CaptureTest, AFileLargerThanCanBeStoredIsAFaultAndTheRestGoesOn) {
  write_source("a", "a");
  write_source("huge", "x");
  if (truncate((source + "/huge").c_str(), (1ll << 60) + 1) != 0) GTEST_SKIP() << "nor does this file system hold it";
  const auto snapshot = take();
  EXPECT_EQ(snapshot.faults, std::vector<std::string>{in_tree("huge") + ": not read: it is larger than 1.00 EiB"});
  EXPECT_EQ(snapshot.files, 1u);
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

// A million is the case; 100,000 entries are enough to show what would go wrong,
// and keep the suite short: HOLDFAST_MANY_FILES=N takes another number.
TEST_F(CaptureTest, CaseOneDirectoryWithVeryManyEntries) {
  const char* wanted = std::getenv("HOLDFAST_MANY_FILES");
  const int many = wanted != nullptr ? std::atoi(wanted) : 100'000;
  write_source("0", "content");
  for (int i = 1; i < many; i++) {
    const std::string name = source + "/" + std::to_string(i);
    if (i % 100 == 0) {
      write(name, std::to_string(i));
    } else {
      ASSERT_EQ(symlink("0", name.c_str()), 0);
    }
  }
  const auto first = take();
  EXPECT_EQ(entries(first).size(),
            static_cast<size_t>(many) + 2 + static_cast<size_t>(std::count(source.begin(), source.end(), '/')) - 1);
  const auto second = take(&first);
  EXPECT_EQ(second.read_bytes, 0u);
  put_back(second);
  EXPECT_EQ(read(restored("77700")), "77700");
  EXPECT_EQ(real_file_system().list(restored()).value().size(), static_cast<size_t>(many));
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
  write_source("file", "below");
  ASSERT_EQ(mount((mount_point + "/inside").c_str(), (source + "/file").c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto snapshot = take(wanted);
  const auto without = entries(snapshot);
  umount((source + "/file").c_str());
  umount(mount_point.c_str());
  EXPECT_FALSE(without.contains(in_tree("file")));
  EXPECT_EQ(snapshot.source[kMountsKey], nlohmann::json({in_tree("file"), in_tree("mounted")}));
  // What is there when nothing is mounted any more was in no backup.
  write(mount_point + "/moved-here", "only copy");
  write_source("extra", "x");
  put_back(snapshot, {.to = "/", .delta = true, .remove_extra = true});
  EXPECT_TRUE(present(mount_point + "/moved-here"));
  EXPECT_TRUE(present(source + "/file"));
  EXPECT_FALSE(present(source + "/extra"));
  EXPECT_TRUE(with.contains(in_tree("mounted/inside")));
  EXPECT_TRUE(without.contains(in_tree("mounted")));
  EXPECT_FALSE(without.contains(in_tree("mounted/inside")));
}

// As on an overlay: its files have the device number of the layer that they lie in.
TEST_F(CaptureTest, OneFileSystemTakesFilesOfAnotherDeviceNumberThatAreNotMounted) {
  write_source("a", "a");
  fs.on_stat = [&](const std::string& path, const struct stat& status) -> std::optional<struct stat> {
    struct stat of_layer = status;
    of_layer.st_dev += 1;
    return path == source + "/a" ? std::optional(of_layer) : std::nullopt;
  };
  auto wanted = options();
  wanted.one_file_system = true;
  EXPECT_TRUE(entries(take(wanted)).contains(in_tree("a")));
}

TEST_F(CaptureTest, ANameThatADirectoryGivesTwiceIsTakenOnce) {
  write_source("a", "a");
  class Twice : public MeddlingFileSystem {
   public:
    using MeddlingFileSystem::MeddlingFileSystem;
    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
      auto names = TRY(MeddlingFileSystem::list(path));
      const auto once = names;
      names.insert(names.end(), once.begin(), once.end());
      return names;
    }
  } disk(real_file_system());
  source::World w{disk, clock, progress, 2};
  const auto snapshot = capture(w, session, options(), nullptr);
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().text();
  EXPECT_EQ(snapshot->files, 1u);
}

TEST_F(CaptureTest, ADirectoryThatBecomesASymbolicLinkIsNotFollowed) {
  for (const char* name : {"/listed", "/entered"}) mkdir((source + name).c_str(), 0755);
  mkdir((scratch / "secret").c_str(), 0755);
  for (const char* name : {"source/listed/a", "source/entered/a", "source/z", "secret/a"}) write(scratch / name, "x");
  const auto swap = [&](const std::string& directory) {
    ASSERT_EQ(rename(directory.c_str(), (scratch / base_name(directory)).c_str()), 0);
    ASSERT_EQ(symlink((scratch / "secret").c_str(), directory.c_str()), 0);
  };
  fs.on_stat = [&](const std::string& path, const struct stat& status) -> std::optional<struct stat> {
    if (path == source + "/listed" && S_ISDIR(status.st_mode)) swap(path);
    return std::nullopt;
  };
  fs.on_open = [&](const std::string& path) {
    if (path == source + "/entered/a") swap(source + "/entered");
  };
  auto snapshot = take();
  EXPECT_EQ(snapshot.files, 1u);
  ASSERT_EQ(snapshot.faults.size(), 2u);
  std::sort(snapshot.faults.begin(), snapshot.faults.end());
  EXPECT_TRUE(snapshot.faults[0].starts_with(in_tree("entered/a") + ": not read: ")) << snapshot.faults[0];
  EXPECT_TRUE(snapshot.faults[1].starts_with(in_tree("listed") +
                                             ": directory not read: something else has taken the place of "))
      << snapshot.faults[1];
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

// An editor that saves a file so takes one name from it; the others keep the old content.
TEST_F(CaptureTest, AFirstNameThatIsTakenByAnotherFileDoesNotCostTheOtherNamesTheirContent) {
  write_source("a", "shared");
  for (const char* name : {"/b", "/c"}) ASSERT_EQ(link((source + "/a").c_str(), (source + name).c_str()), 0);
  write(scratch / "new", "new content of a");
  fs.on_open = [&](const std::string& path) {
    if (path == source + "/a") ignore(real_file_system().rename(scratch / "new", path), "done the first time");
  };
  const auto snapshot = take();
  EXPECT_EQ(snapshot.faults, std::vector<std::string>());
  put_back(snapshot);
  EXPECT_EQ(read(restored("a")), "new content of a");
  EXPECT_EQ(read(restored("b")), "shared");
  EXPECT_EQ(read(restored("c")), "shared");
  EXPECT_EQ(status_of(restored("b")).st_ino, status_of(restored("c")).st_ino);
}

TEST_F(CaptureTest, AnAttributeThatCanNotBeReadIsToldEachTimeAndCostsNoOther) {
  const std::string directory = source + "/d";
  mkdir(directory.c_str(), 0755);
  write_source("a", "a");
  if (setxattr(directory.c_str(), "user.note", "1", 1, 0) != 0 ||
      setxattr(directory.c_str(), "system.posix_acl_default", kAcl, sizeof kAcl, 0) != 0)
    GTEST_SKIP() << "no extended attributes or no ACLs on this file system";
  ASSERT_EQ(chmod(directory.c_str(), 0311), 0);
  if (is_root()) {
    for (const std::string& path : {scratch.path(), source, directory}) ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  }
  std::optional<AsNobody> nobody;
  if (is_root()) nobody.emplace();
  const auto first = take();
  const auto second = take(&first);
  for (const auto& snapshot : {first, second}) {
    EXPECT_EQ(std::count_if(snapshot.faults.begin(), snapshot.faults.end(),
                            [&](const auto& fault) {
                              return fault.starts_with(in_tree("d") + ": attribute user.note not read: ");
                            }),
              1);
    const auto attributes = entries(snapshot).at(in_tree("d")).xattrs;
    ASSERT_EQ(attributes.size(), 1u);
    EXPECT_EQ(attributes[0].first, "system.posix_acl_default");
  }
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
