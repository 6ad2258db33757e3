#include "source/files/file_capture.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/places.h"
#include "base/units.h"
#include "repo/extent_codec.h"
#include "source/files/planner.h"

namespace holdfast::files {
namespace {

std::string source_path(const Candidate& candidate) { return "/" + candidate.entry.path; }

// Makes the candidate follow what the file is now.
void look_again(Candidate& candidate, const struct stat& now, Time instant, OwnerNames& names) {
  repo::Entry entry = entry_of(std::move(candidate.entry.path), now, names);
  entry.captured = instant;
  entry.source_data = std::move(candidate.entry.source_data);
  candidate.entry = std::move(entry);
  candidate.status = now;
  candidate.unchanged = false;
}

// FUSE and network file systems may. Not the kernel's own (/proc): to read some of them is to take
// or to wait.
bool may_leave_sizes_untold(File& file) {
  struct statfs status{};
  return ::fstatfs(file.descriptor(), &status) == 0 && status.f_type != PROC_SUPER_MAGIC &&
         status.f_type != SYSFS_MAGIC && status.f_type != TRACEFS_MAGIC && status.f_type != DEBUGFS_MAGIC &&
         status.f_type != CGROUP_SUPER_MAGIC && status.f_type != CGROUP2_SUPER_MAGIC &&
         status.f_type != SECURITYFS_MAGIC && status.f_type != PSTOREFS_MAGIC;
}

// Whether the path leads to this file without a symbolic link on the way.
Result<bool> is_at(const std::string& path, File& file) {
  const struct stat opened = TRY(file.stat());
  const int place = open_without_links(path);
  if (place < 0) return Error::from_errno(errno, "can't open " + path);
  struct stat there{};
  const bool known = ::fstat(place, &there) == 0;
  ::close(place);
  return known && there.st_dev == opened.st_dev && there.st_ino == opened.st_ino;
}

}  // namespace

Result<std::unique_ptr<File>> open_for_capture(FileSystem& fs, const std::string& path) {
  constexpr int kTries = 4;
  for (int attempt = 1; attempt <= kTries; attempt++) {
    auto file = TRY(fs.open(path, {.no_follow = true, .no_atime = true, .no_wait = true}));
    if (TRY(is_at(path, *file))) return file;  // else another has just taken its place, or a link led elsewhere
  }
  return make_error(ErrorCode::kIo, "what {} leads to changes all the time", path);
}

// Small files on their way into one shared block.
class FileCapture::Bundle {
 public:
  Bundle(source::World& world, ContentStore& content) : world_(world), content_(content) {}

  // Room for `size` bytes behind what is there.
  MutableByteView room(size_t size) {
    if (bytes_.size() < used_ + size) bytes_.resize(std::max(used_ + size, size_t{Planner::kBundleBytes} + size));
    return {bytes_.data() + used_, size};
  }
  // Keeps `size` bytes of the room as the content of the present entry; its place is filled by finish().
  void keep(size_t size) {
    parts_.push_back({entry_number, used_, size});
    used_ += size;
  }
  Result<void> finish(std::vector<std::optional<repo::Entry>>& entries) {
    if (parts_.empty()) return {};
    const repo::BlockId id = TRY(content_.session().put(repo::BlockKind::kData, bytes_.view(0, used_)));
    for (const auto& part : parts_) {
      repo::Extent extent{.length_bytes = part.size, .block = id, .block_offset = static_cast<uint32_t>(part.offset)};
      entries[part.entry]->content.extents = {extent};
    }
    world_.progress.bytes_stored = content_.session().stats().stored_bytes;
    return {};
  }
  size_t entry_number = 0;                   // of the file being read
  std::optional<repo::BlockId> reused_last;  // neighbours share blocks

 private:
  struct Part {
    size_t entry, offset, size;
  };
  source::World& world_;
  ContentStore& content_;
  Bytes bytes_;
  size_t used_ = 0;
  std::vector<Part> parts_;
};

Result<FileCapture::Outcome> FileCapture::run(WorkItem& item) {
  if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "capture of files was stopped");
  return item.large ? run_piece(item) : run_neighbours(item);
}

Result<FileCapture::Outcome> FileCapture::run_neighbours(WorkItem& item) {
  Outcome outcome;
  outcome.item = std::move(item);
  Bundle bundle(world_, content_);
  for (auto& candidate : outcome.item.neighbours) {
    bundle.entry_number = outcome.entries.size();
    outcome.entries.push_back(TRY(capture_one(candidate, &bundle)));
    if (outcome.entries.back()) world_.progress.bytes_done += outcome.entries.back()->size_bytes;
    world_.progress.files_done++;
  }
  TRY(bundle.finish(outcome.entries));
  return outcome;
}

Result<FileCapture::Outcome> FileCapture::run_piece(WorkItem& item) {
  Outcome outcome;
  outcome.item = std::move(item);
  const Candidate& candidate = outcome.item.large->candidate;
  if (outcome.item.is_hole) {
    outcome.piece.emplace();  // nothing to read
  } else if (const auto file = open_source(candidate); file.ok()) {
    std::vector<PlacedExtent> known;
    const Range range{outcome.item.offset, outcome.item.length};
    if (candidate.previous)
      known =
          previous_extents(content_.session().repository(), candidate.previous->content, range.offset, range.length);
    auto stored = TRY(content_.store(*file.value(), range, may_have_holes(candidate.status), known));
    if (judge(candidate, *file.value(), !stored.truncated).steady) outcome.piece = std::move(stored);
  }
  world_.progress.bytes_done += outcome.item.length;
  if (outcome.item.last) world_.progress.files_done++;
  world_.progress.bytes_stored = content_.session().stats().stored_bytes;
  return outcome;
}

std::optional<repo::Entry> FileCapture::give_up(const Candidate& candidate, const Error& error) {
  if (error.code() == ErrorCode::kNotFound)
    vanished_++;
  else
    faults_.add(candidate.entry.path, "not read", error);
  return std::nullopt;
}

Result<bool> FileCapture::take_over(Candidate& candidate, Bundle* bundle) {
  repo::Entry& before = *candidate.previous;
  std::optional<repo::BlockId> none;
  if (!TRY(reuse_content(content_.session(), before.content, bundle ? bundle->reused_last : none))) return false;
  candidate.entry.content = std::move(before.content);
  candidate.entry.xattrs = std::move(before.xattrs);
  candidate.entry.link_target = std::move(before.link_target);
  candidate.entry.captured = before.captured;
  return true;
}

Result<std::optional<repo::Entry>> FileCapture::capture_one(Candidate& candidate, Bundle* bundle) {
  if (candidate.unchanged && TRY(take_over(candidate, bundle))) return std::optional(std::move(candidate.entry));
  if (candidate.entry.kind != repo::EntryKind::kFile) return describe(candidate);
  for (int attempt = 1;; attempt++) {
    auto file = open_source(candidate);
    if (!file.ok()) return give_up(candidate, file.error());
    if (attempt > 1) {  // perhaps another file by now: look at this one
      const Time instant = world_.clock.now() - clock_margin_of(source_path(candidate));
      const auto now = file.value()->stat();
      if (!now.ok()) return give_up(candidate, now.error());
      if (!S_ISREG(now.value().st_mode))
        return give_up(candidate, make_error(ErrorCode::kIo, "became something else than a file"));
      look_again(candidate, now.value(), instant, names_);
    }
    if (candidate.entry.size_bytes > repo::kMaxFileBytes)
      return give_up(candidate,
                     make_error(ErrorCode::kUnsupported, "it is larger than {}", format_bytes(repo::kMaxFileBytes)));
    const bool last = attempt == kAttempts;
    const Reading reading = TRY(read_once(candidate, *file.value(), bundle, last));
    // A failure at first may be that of another object in the file's place.
    if (reading.failure && (attempt > 1 || judge(candidate, *file.value(), true).steady))
      return give_up(candidate, *reading.failure);
    if (!reading.steady && !last) {
      read_again_++;
      continue;
    }
    if (!reading.steady)
      faults_.add(candidate.entry.path, fmt::format("changed while it was read, {} times over", kAttempts));
    read_entry_attributes(candidate.entry, {file.value()->descriptor(), source_path(candidate)});
    return std::optional(std::move(candidate.entry));
  }
}

Result<std::optional<repo::Entry>> FileCapture::capture_alone(const Candidate& candidate) {
  Candidate copy = candidate;
  look_again(copy, candidate.status, world_.clock.now() - clock_margin_of(source_path(candidate)), names_);
  return capture_one(copy, nullptr);
}

Result<std::optional<repo::Entry>> FileCapture::finish_large(const LargeFile& large, repo::Content content) {
  Candidate candidate = large.candidate;
  candidate.entry.content = std::move(content);
  const auto file = open_source(candidate);
  if (!file.ok()) return give_up(candidate, file.error());
  if (!judge(candidate, *file.value(), true).steady) return capture_alone(candidate);
  read_entry_attributes(candidate.entry, {file.value()->descriptor(), source_path(candidate)});
  return std::optional(std::move(candidate.entry));
}

void FileCapture::read_entry_attributes(repo::Entry& entry, const Handle& handle) {
  entry.xattrs = read_attributes(handle, [&](const std::string& name, const Error& error) {
    if (error.code() == ErrorCode::kNotFound) {
      if (name.empty()) vanished_++;
      return;
    }
    const std::string what = name.empty() ? "extended attributes" : "attribute " + display_path(name);
    faults_.add(entry.path, what + " not read", error);
    // Never taken for unchanged: the next capture looks again, or tells again.
    entry.captured = {};
  });
}

FileCapture::Reading FileCapture::judge(const Candidate& candidate, File& file, bool whole) {
  auto now = file.stat();
  if (!now.ok()) return {.steady = false, .failure = std::move(now).error()};
  return {.steady = whole && same_state(candidate.status, now.value()), .failure = std::nullopt};
}

Result<FileCapture::Reading> FileCapture::read_once(Candidate& candidate, File& file, Bundle* bundle, bool keep) {
  repo::Entry& entry = candidate.entry;
  const bool holes = may_have_holes(candidate.status);
  if (bundle && entry.size_bytes <= Planner::kSmallFileBytes && !holes)
    return read_small(candidate, file, *bundle, keep);
  const repo::Content* previous = candidate.previous ? &candidate.previous->content : nullptr;
  auto whole = TRY(content_.store_whole(file, entry.size_bytes, holes, previous));
  if (whole.failure) return Reading{.steady = false, .failure = std::move(whole.failure)};
  entry.content = std::move(whole.content);
  entry.size_bytes = whole.size_bytes;
  return judge(candidate, file, !whole.truncated);
}

Result<FileCapture::Reading> FileCapture::read_small(Candidate& candidate, File& file, Bundle& bundle, bool keep) {
  repo::Entry& entry = candidate.entry;
  const size_t beyond = entry.size_bytes == 0 && may_leave_sizes_untold(file) ? 1 : 0;
  const MutableByteView room = bundle.room(entry.size_bytes + beyond);
  auto read = file.read_at(0, room);
  if (!read.ok()) return Reading{.steady = false, .failure = std::move(read).error()};
  const size_t size = std::min<size_t>(read.value(), entry.size_bytes);
  Reading reading = judge(candidate, file, size == entry.size_bytes);
  if (read.value() > size && reading.steady) return read_untold(candidate, file);
  content_.count_read(size);
  if (reading.failure || !(reading.steady || keep)) return reading;
  entry.size_bytes = size;
  if (size > 0 && !TRY(take_over_equal(candidate, room.first(size)))) bundle.keep(size);
  return reading;
}

Result<FileCapture::Reading> FileCapture::read_untold(Candidate& candidate, File& file) {
  Bytes step(Planner::kSmallFileBytes);
  uint64_t size = 0;
  while (size < ContentStore::kRegionBytes) {
    auto read = file.read_at(size, step.mutable_view());
    if (!read.ok()) return Reading{.steady = false, .failure = std::move(read).error()};
    size += read.value();
    if (read.value() < step.size()) break;
  }
  if (size >= ContentStore::kRegionBytes) {
    const uint64_t told = candidate.entry.size_bytes;
    return Reading{.steady = false,
                   .failure = make_error(ErrorCode::kUnsupported, "it has more than {}, and the system tells {}",
                                         format_bytes(ContentStore::kRegionBytes), format_bytes(told))};
  }
  auto whole = TRY(content_.store_whole(file, size, false, nullptr));
  if (whole.failure) return Reading{.steady = false, .failure = std::move(whole.failure)};
  candidate.entry.content = std::move(whole.content);
  candidate.entry.size_bytes = whole.size_bytes;
  // The next capture can't tell by its size whether it changed.
  candidate.entry.captured = {};
  return judge(candidate, file, !whole.truncated);
}

Result<bool> FileCapture::take_over_equal(Candidate& candidate, ByteView bytes) {
  if (!candidate.previous || candidate.previous->size_bytes != bytes.size()) return false;
  const auto& extents = candidate.previous->content.extents;
  if (extents.size() != 1 || !extents[0].block) return false;
  const auto block = content_.session().repository().read_block(*extents[0].block);
  if (!block.ok()) return false;  // stored anew, then
  const size_t begin = extents[0].block_offset;
  if (block.value()->size() < begin + bytes.size() || !equal(block.value()->view(begin, bytes.size()), bytes))
    return false;
  if (!TRY(content_.session().reuse(*extents[0].block))) return false;
  candidate.entry.content.extents = extents;
  return true;
}

std::optional<repo::Entry> FileCapture::describe(const Candidate& candidate) {
  repo::Entry entry = candidate.entry;
  if (entry.kind == repo::EntryKind::kHardLink) return entry;
  const std::string path = source_path(candidate);
  if (entry.kind == repo::EntryKind::kSymlink) {
    auto target = world_.fs.read_link(path);
    if (!target.ok()) return give_up(candidate, target.error());
    entry.link_target = std::move(target).value();
  }
  read_entry_attributes(entry, {-1, path});
  return entry;
}

}  // namespace holdfast::files
