#include "faults/campaign.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/direct_writer.h"
#include "base/progress.h"
#include "source/files/capture.h"
#include "source/files/restore.h"
#include "store/local_store.h"

namespace holdfast::faults {

namespace {

namespace stdfs = std::filesystem;

constexpr int kShownDifferences = 5;
constexpr size_t kLargeBytes = 5 * DirectWriter::kSmallest / 2 + 321;

// Content that compresses about as well as a person's files, and repeats nowhere.
Bytes content(uint64_t seed, size_t size) {
  Bytes bytes(size);
  const auto random = seeded_random(seed);
  random->fill(bytes.mutable_view());
  for (uint8_t& byte : bytes) byte &= 0x3f;
  return bytes;
}

void put(const std::string& path, ByteView bytes) {
  OpenOptions options;
  options.write = options.create = options.truncate = true;
  auto file = real_file_system().open(path, options).value();
  CHECK(file->write_at(0, bytes).ok() && file->close().ok());
}

void set_old_time(const std::string& path, int seconds) {
  const timespec times[2] = {{1'600'000'000 + seconds, 5000}, {1'600'000'000 + seconds, 123456789}};
  CHECK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

std::string described(const std::string& path, const struct stat& status) {
  std::string text = fmt::format("{:o} {}.{:09}", status.st_mode, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  if (S_ISLNK(status.st_mode)) return text + " -> " + real_file_system().read_link(path).value();
  if (S_ISDIR(status.st_mode)) return text;
  text += fmt::format(" links {} ", status.st_nlink);
  return text.append(as_text(read_file(real_file_system(), path).value()));
}

void describe_into(const std::string& directory, const std::string& prefix, Description& description) {
  for (const auto& entry : real_file_system().list(directory).value()) {
    const std::string path = join_path(directory, entry.name), name = join_path(prefix, entry.name);
    const struct stat status = real_file_system().stat(path).value();
    description[name] = described(path, status);
    if (S_ISDIR(status.st_mode)) describe_into(path, name, description);
  }
}

}  // namespace

Description describe(const std::string& directory) {
  Description description;
  if (exists(real_file_system(), directory).value()) describe_into(directory, "", description);
  return description;
}

std::string difference(const Description& expected, const Description& found) {
  std::vector<std::string> lines;
  for (const auto& [name, what] : expected) {
    const auto other = found.find(name);
    if (other == found.end()) {
      lines.push_back(name + " is missing");
    } else if (other->second != what) {
      lines.push_back(fmt::format("{} is {:.60} ({} bytes), should be {:.60} ({} bytes)", name, other->second,
                                  other->second.size(), what, what.size()));
    }
  }
  for (const auto& [name, what] : found) {
    if (!expected.contains(name)) lines.push_back(name + " should not be there");
  }
  std::string text;
  for (size_t i = 0; i < lines.size() && i < kShownDifferences; i++) text += (i ? "; " : "") + lines[i];
  return text;
}

Result<OpenRepository> open_at(FileSystem& fs, const std::string& directory, const std::string& passphrase,
                               Duration ahead) {
  OpenRepository open;
  open.store = std::make_unique<ShiftedStore>(TRY(store::open_local_store(fs, directory, true)), ahead);
  open.repository =
      TRY(repo::open_repository({*open.store, system_clock(), system_random()}, Secret::from_text(passphrase)));
  return open;
}

Campaign::Campaign() {
  std::string pattern = join_path(scratch_place(), "holdfast-campaign-XXXXXX");
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  base_ = pattern;
  source_ = join_path(base_, "source");
  pristine_ = join_path(base_, "pristine");
  copy_ = join_path(base_, "copy");
  target_ = join_path(base_, "target");
  CHECK(real_file_system().make_directory(pristine_, 0700).ok());
  const auto store = store::open_local_store(real_file_system(), pristine_, true).value();
  const auto made =
      repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text(kPassphrase), {8192, 1});
  CHECK_MSG(made.ok(), made.ok() ? "" : made.error().text().c_str());
}

Campaign::~Campaign() { ignore(remove_tree(real_file_system(), base_), "a destructor has nobody to tell"); }

void Campaign::change_source(int state) {
  FileSystem& fs = real_file_system();
  CHECK(remove_tree(fs, source_).ok() && make_directories(fs, join_path(source_, "deep/er")).ok());
  const auto seed = static_cast<uint64_t>(state);
  put(join_path(source_, "same"), content(1, 150'000));              // in every state
  put(join_path(source_, "every"), content(100 + seed, 40'000));     // another in every state
  put(join_path(source_, "half"), content(200 + seed / 2, 60'000));  // shared by two states
  for (int i = 0; i < 6; i++) {
    put(join_path(source_, fmt::format("deep/small-{}", i)), content(300 + seed * static_cast<uint64_t>(i % 2), 700));
  }
  put(join_path(source_, "deep/er/empty"), {});
  if (has_large_file_) put(join_path(source_, "large"), content(400 + seed, kLargeBytes));  // another in every state
  CHECK(fs.symlink("../same", join_path(source_, "deep/link")).ok());
  CHECK(fs.hard_link(join_path(source_, "half"), join_path(source_, "deep/other name")).ok());
  int seconds = 0;
  std::vector<std::string> directories = {source_};
  for (const auto& entry : stdfs::recursive_directory_iterator(source_)) {
    if (entry.is_directory() && !entry.is_symlink())
      directories.push_back(entry.path());
    else
      set_old_time(entry.path(), 7);
  }
  for (const auto& directory : directories) set_old_time(directory, ++seconds);
  remember_source();
}

void Campaign::refresh() {
  FileSystem& fs = real_file_system();
  CHECK(remove_tree(fs, copy_).ok() && remove_tree(fs, target_).ok());
  stdfs::copy(pristine_, copy_, stdfs::copy_options::recursive);
  CHECK(fs.make_directory(target_, 0700).ok());
}

Result<repo::PointId> Campaign::backup(repo::Repository& repository, const BeforeCommit& before_commit) {
  Progress progress;
  source::World world{real_file_system(), system_clock(), progress, 2};
  const auto earlier = TRY(repository.points());
  const auto session = TRY(repo::WriteSession::begin(repository, {}));
  files::CaptureOptions options;
  options.paths = {source_};
  repo::Point point;
  point.snapshots.push_back(
      TRY(files::capture(world, *session, options, earlier.empty() ? nullptr : &earlier.back().snapshots.front())));
  point.snapshots.front().component = "data";
  point.time = system_clock().now();
  point.stack = "demo";
  point.host = "host";
  point.version = "test";
  if (before_commit) before_commit(point);
  return session->commit(point);
}

void Campaign::protect(const BeforeCommit& before_commit) {
  const auto open = open_at(real_file_system(), pristine_, kPassphrase);
  CHECK_MSG(open.ok(), open.ok() ? "" : open.error().text().c_str());
  const auto id = backup(*open->repository, before_commit);
  CHECK_MSG(id.ok(), id.ok() ? "" : id.error().text().c_str());
  points_.push_back({*id, source_content_});
}

std::string Campaign::restored_difference(repo::Repository& repository, const Expected& point) {
  const std::string to = join_path(base_, "restored");
  const auto cleared = remove_tree(real_file_system(), to);
  return cleared.ok() ? restored_difference(repository, point, to) : cleared.error().text();
}

std::string Campaign::restore_into_target(const Expected& point) {
  const auto open = open_at(real_file_system(), copy_, kPassphrase);
  return open.ok() ? restored_difference(*open->repository, point, target_) : open.error().text();
}

std::string Campaign::restored_difference(repo::Repository& repository, const Expected& point, const std::string& to) {
  const auto found = repository.find_point(point.id.hex());
  if (!found.ok()) return "can't be found: " + found.error().text();
  Progress progress;
  source::World world{real_file_system(), system_clock(), progress, 1};
  const auto report = files::restore(world, repository, found->snapshots.front(), {.to = to});
  if (!report.ok()) return "can't be restored: " + report.error().text();
  return difference(point.content, describe(join_path(to, source_)));
}

}  // namespace holdfast::faults
