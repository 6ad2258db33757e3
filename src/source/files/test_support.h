#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/random.h"
#include "repo/test_repository.h"
#include "repo/tree.h"
#include "source/files/capture.h"
#include "source/files/data_stream.h"
#include "source/files/restore.h"

namespace holdfast::files {

// A private directory for one test; real path, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = testing::TempDir() + "holdfast-files-XXXXXX";
    if (!mkdtemp(pattern.data())) std::abort();
    char* const real = realpath(pattern.c_str(), nullptr);
    path_ = real;
    std::free(real);
  }
  ~Scratch() { ignore(remove_tree(real_file_system(), path_), "only a test's leftovers"); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  // As in a tree: without the leading '/'.
  std::string in_tree(const std::string& name = "") const { return path_.substr(1) + (name.empty() ? "" : "/" + name); }

 private:
  std::string path_;
};

// A clock that tests set. Starts an hour ahead, so that what a test writes now
// is well in the past when it is captured.
class TestClock : public Clock {
 public:
  Time now() override { return system_clock().now() + Duration{offset_ns}; }
  Duration monotonic() override { return system_clock().monotonic(); }
  void sleep(Duration) override {}
  std::atomic<int64_t> offset_ns{Duration::hours(1).ns};
};

// Passes everything on but syncing, which would wait for the whole machine and is
// only counted among the `events` (names of calls, in order); and calls `before_read(path, offset)` before each read
// (one after the other, whichever thread reads) and `on_open(path)` before each open: there a test can interfere.
class MeddlingFileSystem : public FileSystem {
 public:
  explicit MeddlingFileSystem(FileSystem& real) : real_(real) {}
  std::function<void(const std::string&, uint64_t)> before_read;
  std::function<void(const std::string&)> on_open, on_list;
  std::function<std::optional<Error>(const std::string&)> read_error;
  std::function<std::optional<struct stat>(const std::string&, const struct stat&)> on_stat;
  std::function<void(const std::string&, struct stat&)> on_open_stat;  // of an open file
  std::atomic<uint64_t> opened{0};

  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    opened++;
    const std::string name = name_of(path);
    if (on_open) on_open(name);
    auto file = TRY(real_.open(path, options));
    return std::unique_ptr<File>(std::make_unique<MeddlingFile>(*this, std::move(file), name));
  }
  Result<struct stat> stat(const std::string& path) override {
    const auto status = TRY(real_.stat(path));
    if (on_stat) {
      if (auto other = on_stat(name_of(path), status)) return *other;
    }
    return status;
  }
  // The path of which "/proc/self/fd/7/name" is another name.
  static std::string name_of(const std::string& path) {
    constexpr std::string_view kDescriptors = "/proc/self/fd/";
    if (!path.starts_with(kDescriptors)) return path;
    const std::string directory = path.substr(0, path.find('/', kDescriptors.size()));
    return real_file_system().read_link(directory).value() + path.substr(directory.size());
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    if (on_list) on_list(path);
    return real_.list(path);
  }
  Result<void> make_directory(const std::string& path, mode_t mode) override {
    return real_.make_directory(path, mode);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    note("rename");
    return real_.rename(from, to);
  }
  Result<void> rename_exclusive(const std::string& from, const std::string& to) override {
    note("rename");
    return real_.rename_exclusive(from, to);
  }
  Result<void> hard_link(const std::string& from, const std::string& to) override {
    note("link");
    return real_.hard_link(from, to);
  }
  Result<void> symlink(const std::string& target, const std::string& path) override {
    return real_.symlink(target, path);
  }
  Result<std::string> read_link(const std::string& path) override { return real_.read_link(path); }
  Result<void> remove_file(const std::string& path) override { return real_.remove_file(path); }
  Result<void> remove_directory(const std::string& path) override { return real_.remove_directory(path); }
  Result<void> sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Result<void> sync_all(const std::string& path) override {
    note("sync");
    std::lock_guard lock(mutex_);
    synced_.push_back(path);
    return {};
  }
  Result<uint64_t> free_bytes(const std::string& path) override { return free.value_or(TRY(real_.free_bytes(path))); }
  std::optional<uint64_t> free;

  // Calls that change names or contents, without repetitions.
  std::vector<std::string> events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  // The directories whose file systems were synced.
  std::vector<std::string> synced() const {
    std::lock_guard lock(mutex_);
    return synced_;
  }

 protected:
  void note(const char* event) {
    std::lock_guard lock(mutex_);
    if (events_.empty() || events_.back() != event) events_.push_back(event);
  }

 private:
  mutable std::mutex mutex_;
  std::mutex before_read_mutex_;
  std::vector<std::string> events_, synced_;

  class MeddlingFile : public File {
   public:
    MeddlingFile(MeddlingFileSystem& owner, std::unique_ptr<File> file, std::string path)
        : owner_(owner), file_(std::move(file)), path_(std::move(path)) {}
    Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
      if (owner_.before_read) {
        const std::lock_guard lock(owner_.before_read_mutex_);
        owner_.before_read(path_, offset);
      }
      if (owner_.read_error) {
        if (auto error = owner_.read_error(path_)) return std::move(*error);
      }
      return file_->read_at(offset, out);
    }
    Result<void> write_at(uint64_t offset, ByteView data) override {
      owner_.note("write");
      return file_->write_at(offset, data);
    }
    Result<void> truncate(uint64_t size) override { return file_->truncate(size); }
    Result<void> sync() override {
      owner_.note("sync file");
      return file_->sync();
    }
    Result<struct stat> stat() override {
      struct stat status = TRY(file_->stat());
      if (owner_.on_open_stat) owner_.on_open_stat(path_, status);
      return status;
    }
    Result<void> close() override { return file_->close(); }
    int descriptor() const override { return file_->descriptor(); }

   private:
    MeddlingFileSystem& owner_;
    const std::unique_ptr<File> file_;
    const std::string path_;
  };
  FileSystem& real_;
};

// A repository in memory, a directory to capture and one to restore to.
class FilesTest : public testing::Test {
 protected:
  FilesTest() : fs(real_file_system()), session(repository), source(scratch / "source"), target(scratch / "target") {
    EXPECT_EQ(mkdir(source.c_str(), 0755), 0);
  }

  source::World world() { return {fs, clock, progress, 2}; }

  CaptureOptions options() {
    CaptureOptions result;
    result.paths = {source};
    return result;
  }

  Result<repo::Snapshot> try_capture(const CaptureOptions& wanted, const repo::Snapshot* previous = nullptr) {
    auto w = world();
    return capture(w, session, wanted, previous);
  }
  repo::Snapshot take(const CaptureOptions& wanted, const repo::Snapshot* previous = nullptr) {
    auto snapshot = try_capture(wanted, previous);
    EXPECT_TRUE(snapshot.ok()) << snapshot.error().text();
    return std::move(snapshot).value();
  }
  repo::Snapshot take(const repo::Snapshot* previous = nullptr) { return take(options(), previous); }

  Result<RestoreReport> try_put_back(const repo::Snapshot& snapshot, const RestoreOptions& wanted) {
    auto w = world();
    return restore(w, repository, snapshot, wanted);
  }
  RestoreReport put_back(const repo::Snapshot& snapshot, RestoreOptions wanted = {}) {
    if (wanted.to.empty()) wanted.to = target;
    auto report = try_put_back(snapshot, wanted);
    EXPECT_TRUE(report.ok()) << report.error().text();
    return report.ok() ? std::move(report).value() : RestoreReport{};
  }

  // Everything that verify() finds in the target, one line each.
  std::vector<std::string> differences(const repo::Snapshot& snapshot, const std::string& directory) {
    auto w = world();
    auto report = verify(w, repository, snapshot, directory);
    EXPECT_TRUE(report.ok()) << report.error().text();
    std::vector<std::string> lines;
    for (const auto& finding : report.value().findings) lines.push_back(finding.object + ": " + finding.problem);
    return lines;
  }

  // Where a file of the source is after a restore into `target`.
  std::string restored(const std::string& name = "") const {
    return target + source + (name.empty() ? "" : "/" + name);
  }

  void write(const std::string& path, std::string_view content) {
    auto file = real_file_system().open(path, {.write = true, .create = true, .truncate = true, .mode = 0644});
    ASSERT_TRUE(file.ok()) << file.error().text();
    ASSERT_TRUE(file.value()->write_at(0, as_bytes(content)).ok());
  }
  void write_source(const std::string& name, std::string_view content) { write(source + "/" + name, content); }
  std::string read(const std::string& path) {
    auto bytes = read_file(real_file_system(), path, 1ull << 30);
    EXPECT_TRUE(bytes.ok()) << bytes.error().text();
    return bytes.ok() ? std::string(as_text(bytes.value())) : std::string();
  }
  struct stat status_of(const std::string& path) {
    auto status = real_file_system().stat(path);
    EXPECT_TRUE(status.ok()) << status.error().text();
    return status.ok() ? status.value() : (struct stat){};
  }
  bool present(const std::string& path) { return real_file_system().stat(path).ok(); }

  std::map<std::string, repo::Entry> entries(const repo::Snapshot& snapshot) {
    std::map<std::string, repo::Entry> all;
    auto reader = repo::TreeReader::open(repository, snapshot.root);
    EXPECT_TRUE(reader.ok()) << reader.error().text();
    while (true) {
      auto entry = reader.value()->next();
      EXPECT_TRUE(entry.ok()) << entry.error().text();
      if (!entry.ok() || !entry.value()) return all;
      all[entry.value()->path] = *entry.value();
    }
  }
  std::string in_tree(const std::string& name = "") const {
    return (source + (name.empty() ? "" : "/" + name)).substr(1);
  }

  static std::string noise(size_t size, uint64_t seed) {
    std::string bytes(size, '\0');
    seeded_random(seed)->fill({reinterpret_cast<uint8_t*>(bytes.data()), size});
    return bytes;
  }

  Scratch scratch;
  TestClock clock;
  Progress progress;
  MeddlingFileSystem fs;
  repo::TestRepository repository;
  repo::TestSession session;
  const std::string source, target;
};

inline bool is_root() { return geteuid() == 0; }
#define NEEDS_ROOT() \
  if (!is_root()) GTEST_SKIP() << "needs root: devices and other owners"

// Where a file has data.
inline std::vector<Range> layout(const std::string& path) {
  auto file = real_file_system().open(path, {});
  EXPECT_TRUE(file.ok());
  const auto size = static_cast<uint64_t>(file.value()->stat().value().st_size);
  return data_ranges(*file.value(), {0, size}, true);
}

// Until the end of its life this process may no more than `nobody`.
class AsNobody {
 public:
  AsNobody() { EXPECT_TRUE(setegid(65534) == 0 && seteuid(65534) == 0); }
  ~AsNobody() { EXPECT_TRUE(seteuid(0) == 0 && setegid(0) == 0); }
};

// rwx for the owner, r-- for user 12345, mask rwx: POSIX ACL version 2.
inline constexpr uint8_t kAcl[] = {2, 0,    0,    0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                   0, 0x39, 0x30, 0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                   6, 0,    255,  255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};

}  // namespace holdfast::files
