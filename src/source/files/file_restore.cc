#include "source/files/file_restore.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "source/files/refusal.h"

namespace holdfast::files {
namespace {

constexpr size_t kCopyBytes = 1u << 20;
constexpr size_t kExamples = 10;
// Whenever this much of a file was written the kernel is told to begin with the
// disk at once, so that making it durable later does not have to wait for all of it.
constexpr uint64_t kWritebackBytes = 16u << 20;

bool has_hole(const repo::Content& content) {
  return !content.regions.empty() ||
         std::any_of(content.extents.begin(), content.extents.end(), [](const auto& extent) { return !extent.block; });
}

mode_t type_of(repo::EntryKind kind) {
  switch (kind) {
    case repo::EntryKind::kFifo: return S_IFIFO;
    case repo::EntryKind::kCharDevice: return S_IFCHR;
    case repo::EntryKind::kBlockDevice: return S_IFBLK;
    default: return S_IFSOCK;
  }
}

void start_writeback(File& file, uint64_t begin, uint64_t end) {
  const uint64_t behind = end / kWritebackBytes * kWritebackBytes;
  if (begin >= behind || file.descriptor() < 0) return;
  const uint64_t from = begin / kWritebackBytes * kWritebackBytes;
  sync_file_range(file.descriptor(), static_cast<off64_t>(from), static_cast<off64_t>(behind - from),
                  SYNC_FILE_RANGE_WRITE);
}

}  // namespace

Result<void> FileRestore::check_stop() const {
  if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "restore of files was stopped");
  return {};
}

Result<void> FileRestore::restore(const repo::Entry& entry) {
  TRY(check_stop());
  auto outcome = entry.kind == repo::EntryKind::kFile ? restore_file(entry) : restore_special(entry);
  world_.progress.files_done++;
  return settle(entry, std::move(outcome));
}

Result<void> FileRestore::settle(const repo::Entry& entry, Result<void> outcome) {
  if (outcome.ok()) {
    if (entry.kind == repo::EntryKind::kFile) bytes_ += entry.size_bytes;
    return outcome;
  }
  target_.discard(entry.path);
  const ErrorCode code = outcome.error().code();
  if (code == ErrorCode::kRefused) {  // by the target, for this entry alone
    faults_.add(entry.path, "not restored", outcome.error());
    return {};
  }
  if (code == ErrorCode::kNoSpace)
    return std::move(outcome)
        .error()
        .with_context(fmt::format("restoring '{}'", display_path(target_.path_of(entry.path))))
        .with_hint("make room, then go on with --delta");
  if (code != ErrorCode::kDamaged && code != ErrorCode::kNotFound && code != ErrorCode::kInvalidData) return outcome;
  faults_.add(entry.path, "not restored", outcome.error());
  std::lock_guard lock(mutex_);
  damage_.files++;
  if (damage_.examples.size() < kExamples)
    damage_.examples.push_back(fmt::format("{} ({})", display_path(entry.path), display_path(outcome.error().text())));
  return {};
}

FileRestore::Damage FileRestore::damage() const {
  std::lock_guard lock(mutex_);
  return damage_;
}

Result<void> FileRestore::restore_file(const repo::Entry& entry) {
  if (!target_.replaces()) return write_anew(entry);
  const std::string path = target_.path_of(entry.path);
  const auto status = target_.fs().stat(path);
  if (!status.ok() && status.error().code() != ErrorCode::kNotFound) return status.error().clone();
  if (!status.ok() || !S_ISREG(status.value().st_mode)) return write_anew(entry);
  // Another name may share it, and must not change with it.
  if (status.value().st_nlink > 1) return write_anew(entry);
  auto existing = target_.fs().open(path, {.no_follow = true, .no_wait = true});
  if (!existing.ok()) return write_anew(entry);
  ExistingFile file(std::move(existing).value());
  return restore_over(entry, file);
}

Result<void> FileRestore::write_extent(DirectWriter& writer, File& file, ContentReader& reader,
                                       const PlacedExtent& placed) {
  TRY(check_stop());
  if (!placed.extent.block) return {};  // never written: stays a hole
  const ByteView bytes = TRY(reader.read(placed.extent));
  TRY(of_entry(writer.write(placed.offset, bytes)));
  if (!writer.is_direct()) start_writeback(file, placed.offset, placed.offset + bytes.size());
  bytes_written_ += bytes.size();
  world_.progress.bytes_done += bytes.size();
  return {};
}

Result<void> FileRestore::write_anew(const repo::Entry& entry) {
  ContentReader reader(repository_, world_.progress);
  const auto file = TRY(target_.create_temporary(entry.path));
  DirectWriter writer(*file, entry.size_bytes);
  if (has_hole(entry.content) || writer.is_direct()) TRY(of_entry(file->truncate(entry.size_bytes)));
  ExtentStream extents(repository_, entry.content);
  while (const auto placed = TRY(extents.next())) TRY(write_extent(writer, *file, reader, *placed));
  TRY(of_entry(writer.finish()));
  return finish_file(entry, *file);
}

Result<void> FileRestore::finish_file(const repo::Entry& entry, File& file) {
  apply_metadata(entry, {file.descriptor(), target_.temporary_of(entry.path)}, {.numeric_ids = options_.numeric_ids},
                 names_, faults_);
  TRY(file.close());
  target_.ready(entry.path);
  return {};
}

Result<void> FileRestore::restore_over(const repo::Entry& entry, File& existing) {
  ContentReader reader(repository_, world_.progress);
  const auto different = TRY(reader.first_difference(existing, entry));
  if (different) return rewrite(entry, existing, *different);
  world_.progress.bytes_done += entry.size_bytes;
  const std::string path = target_.path_of(entry.path);
  apply_metadata(entry, {existing.descriptor(), path}, {options_.numeric_ids, true}, names_, faults_);
  return {};
}

Result<void> FileRestore::rewrite(const repo::Entry& entry, File& existing, uint64_t equal_bytes) {
  ContentReader reader(repository_, world_.progress);
  const auto file = TRY(target_.create_temporary(entry.path));
  TRY(of_entry(file->truncate(entry.size_bytes)));
  DirectWriter writer(*file, entry.size_bytes);
  ExtentStream extents(repository_, entry.content);
  while (const auto placed = TRY(extents.next())) {
    TRY(check_stop());
    if (!placed->extent.block) continue;
    const uint64_t end = placed->offset + placed->extent.length_bytes;
    const bool holds = end <= equal_bytes || TRY(reader.holds(existing, *placed));
    if (!holds || !TRY(copy_range(existing, writer, placed->offset, end))) {
      TRY(write_extent(writer, *file, reader, *placed));
      continue;
    }
    world_.progress.bytes_done += placed->extent.length_bytes;
  }
  TRY(of_entry(writer.finish()));
  return finish_file(entry, *file);
}

Result<bool> FileRestore::copy_range(File& from, DirectWriter& to, uint64_t begin, uint64_t end) {
  static thread_local Bytes buffer;
  if (buffer.empty()) buffer.resize(kCopyBytes);
  while (begin < end) {
    const MutableByteView step{buffer.data(), std::min<uint64_t>(kCopyBytes, end - begin)};
    if (TRY(from.read_at(begin, step)) != step.size()) return false;
    TRY(of_entry(to.write(begin, step)));
    begin += step.size();
  }
  return true;
}

// Sockets and FIFOs have users, who must not lose them to others that are no different.
bool FileRestore::is_there(const repo::Entry& entry) {
  const std::string path = target_.path_of(entry.path);
  const auto status = target_.fs().stat(path);
  if (!status.ok() || kind_of(status->st_mode) != entry.kind || status->st_nlink > 1) return false;
  if (entry.kind == repo::EntryKind::kSymlink) {
    const auto text = target_.fs().read_link(path);
    return text.ok() && text.value() == entry.link_target;
  }
  return !is_device(entry.kind) || status->st_rdev == entry.device_number;
}

Result<void> FileRestore::restore_special(const repo::Entry& entry) {
  if (target_.replaces() && is_there(entry)) {
    const auto there = target_.place_of(target_.path_of(entry.path));
    if (!there.ok()) return of_entry(there.error().clone());
    apply_metadata(entry, {-1, there->path()}, {options_.numeric_ids, true}, names_, faults_);
    return {};
  }
  const std::string temporary = target_.temporary_of(entry.path);
  TRY(target_.clear_temporary(entry.path));
  auto found = target_.place_of(temporary);
  if (!found.ok()) return of_entry(std::move(found).error());
  const Place& place = found.value();
  if (entry.kind == repo::EntryKind::kSymlink) {
    TRY(of_entry(target_.fs().symlink(entry.link_target, temporary)));
  } else if (mknod(place.path().c_str(), type_of(entry.kind) | 0600, entry.device_number) != 0) {
    auto error = Error::from_errno(errno, "mknod");
    return of_entry(std::move(error));
  }
  apply_metadata(entry, {-1, place.path()}, {.numeric_ids = options_.numeric_ids}, names_, faults_);
  target_.ready(entry.path);
  return {};
}

Result<std::shared_ptr<FileRestore::Large>> FileRestore::begin_large(repo::Entry entry) {
  auto large = std::make_shared<Large>();
  const auto open = [&]() -> Result<void> {
    large->file = TRY(target_.create_temporary(entry.path));
    return of_entry(large->file->truncate(entry.size_bytes));
  };
  if (auto opened = open(); !opened.ok()) {
    TRY(settle(entry, std::move(opened)));
    return std::shared_ptr<Large>();
  }
  large->regions_left = entry.content.regions.size();
  large->entry = std::move(entry);
  return large;
}

Result<void> FileRestore::restore_region(Large& large, size_t region, uint64_t offset) {
  TRY(check_stop());
  const auto write = [&]() -> Result<void> {
    ContentReader reader(repository_, world_.progress);
    DirectWriter writer(*large.file, large.entry.size_bytes);
    uint64_t at = offset;
    for (const auto& extent : TRY(repo::read_region(repository_, large.entry.content.regions[region]))) {
      TRY(write_extent(writer, *large.file, reader, {at, extent}));
      at += extent.length_bytes;
    }
    return of_entry(writer.finish());
  };
  auto outcome = large.damaged ? Result<void>() : write();
  const bool failed = !outcome.ok();
  // The first damage is the one that is told; settle() makes a fault of it.
  if (failed && !large.damaged.exchange(true)) TRY(settle(large.entry, std::move(outcome)));
  if (--large.regions_left > 0) return {};
  world_.progress.files_done++;
  if (!large.damaged) return settle(large.entry, finish_file(large.entry, *large.file));
  target_.discard(large.entry.path);
  return {};
}

}  // namespace holdfast::files
