#include "source/postgres/materialise.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <unordered_set>

#include "base/accounts.h"
#include "base/direct_writer.h"
#include "base/parallel.h"
#include "base/volume.h"
#include "source/postgres/beside.h"
#include "source/postgres/capture_files.h"
#include "source/postgres/control_file.h"
#include "source/postgres/extra_files.h"
#include "source/postgres/file_list.h"
#include "source/postgres/materialise_plan.h"
#include "source/postgres/page.h"
#include "source/postgres/recovery_settings.h"
#include "source/postgres/region_reader.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kTasksUnderWay = 16;
const std::string kControlPath = "global/pg_control";
const std::string kTemporaryControl = "global/pg_control.holdfast";

// A file being written, by several workers at once.
struct TargetFile {
  repo::Entry entry;
  std::string path;
  std::mutex mutex;
  std::unique_ptr<File> file;
  bool fresh = true;                 // nothing was there before
  std::atomic<bool> direct = false;  // written past the page cache
};

struct WriteTask {
  std::shared_ptr<TargetFile> file;
  uint64_t offset = 0, length = 0;
  std::optional<repo::RegionRef> region;  // empty: the entry's own extents
  bool last = false;
};

struct WriteOutcome {
  std::shared_ptr<TargetFile> file;
  uint64_t bytes = 0, written = 0;
  bool last = false;
};

class Materialiser {
 public:
  Materialiser(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
               const ResolvedTarget& target, const MaterialiseOptions& options, const MaterialisePlan& plan)
      : world_(world),
        repository_(repository),
        snapshot_(snapshot),
        target_(target),
        options_(options),
        plan_(plan),
        reader_(repository) {}
  Result<void> run();
  MaterialiseReport& report() { return report_; }

 private:
  Result<void> prepare();
  Result<void> own(const std::string& path, int descriptor, uint32_t mode);
  Result<void> make_directory(const std::string& path, uint32_t mode);
  Result<bool> remove_link(const std::string& path);
  Result<bool> clear_for_file(const std::string& path);
  Result<void> make_link(const std::string& target, const std::string& path);
  Result<std::optional<WriteTask>> next();
  Result<bool> begin_entry(repo::Entry entry);
  Result<void> open(TargetFile& file);
  Result<WriteOutcome> write(WriteTask& task);
  Result<WriteOutcome> write_content(WriteTask& task);
  Result<uint64_t> write_fresh(TargetFile& file, uint64_t offset, const std::vector<repo::Extent>& extents,
                               ByteView bytes);
  Result<uint64_t> write_changed(TargetFile& file, uint64_t offset, const std::vector<repo::Extent>& extents,
                                 uint64_t length);
  Result<bool> is_there(const std::vector<repo::Extent>& extents, ByteView bytes);
  Result<void> finish_file(WriteOutcome outcome);
  Result<void> write_settings();
  Result<void> write_signal();
  Result<void> restore_configuration();
  Result<std::unique_ptr<File>> open_to_write(const std::string& path, const OpenOptions& options);
  Result<void> write_text(const std::string& name, std::string_view text);
  Result<Bytes> content_of(const repo::Entry& entry);
  Result<void> finish();

  source::World& world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const ResolvedTarget& target_;
  const MaterialiseOptions& options_;
  const MaterialisePlan& plan_;
  RegionReader reader_;
  MaterialiseReport report_;
  std::vector<std::unique_ptr<Volume>> volumes_;  // of the roots
  bool syncs_files_ = false;                      // one of them can't be relied on alone
  std::unique_ptr<repo::TreeReader> tree_;
  // Files under way, as many as there are workers: their regions are handed out in
  // turn, because the kernel lets only one writer at a time into a file.
  struct Lane {
    std::shared_ptr<TargetFile> file;
    size_t region = 0;
    uint64_t offset = 0;
  };
  std::vector<Lane> lanes_;
  size_t turn_ = 0;
  bool all_listed_ = false;
  std::optional<repo::Entry> control_;
  std::vector<repo::Entry> configuration_;
  std::unordered_set<std::string> expected_;  // with --delta: paths of the tree
};

// An error of the stored content, with the file of the cluster that would have had it.
Error of_file(const repo::Entry& entry, Error error) {
  const ErrorCode code = error.code();
  const bool of_store = code == ErrorCode::kDamaged || code == ErrorCode::kInvalidData || code == ErrorCode::kNotFound;
  Error named = std::move(error).with_context(entry.path);
  if (!of_store || !named.hint().empty()) return named;
  return std::move(named).with_hint(
      "'holdfast explain' tells which points and files the damage touches: restore an older or newer point that it "
      "does not, with --point");
}

// mkdir -p; what is made lets everybody through, whatever the umask: the server's account has to.
Result<void> make_way(FileSystem& fs, const std::string& path) {
  std::vector<std::string> missing;
  for (std::string at = path; !TRY(exists(fs, at)); at = parent_path(at)) missing.push_back(at);
  TRY(make_directories(fs, path, 0755));
  for (const std::string& made : missing)
    if (::chmod(made.c_str(), 0755) != 0) return Error::from_errno(errno, "setting the mode of " + made);
  return {};
}

Result<void> Materialiser::own(const std::string& path, int descriptor, uint32_t mode) {
  const auto uid = plan_.uid();
  const auto gid = plan_.gid();
  if (uid) {
    const int owned = descriptor >= 0 ? ::fchown(descriptor, *uid, *gid) : ::lchown(path.c_str(), *uid, *gid);
    if (owned != 0) return Error::from_errno(errno, "giving " + path + " to its owner");
  }
  if (mode == 0) return {};
  const int changed = descriptor >= 0 ? ::fchmod(descriptor, mode) : ::chmod(path.c_str(), mode);
  if (changed != 0) return Error::from_errno(errno, "setting the mode of " + path);
  return {};
}

Result<void> Materialiser::make_directory(const std::string& path, uint32_t mode) {
  auto made = world_.fs.make_directory(path, 0700);
  if (!made.ok() && made.error().code() != ErrorCode::kAlreadyExists) return made;
  return own(path, -1, mode);
}

// What is written through a link of an old directory would change what it leads to, which
// may be a living cluster's. Whether there was one.
Result<bool> Materialiser::remove_link(const std::string& path) {
  if (!TRY(exists(world_.fs, path)) || !S_ISLNK(TRY(world_.fs.stat(path)).st_mode)) return false;
  TRY(world_.fs.remove_file(path));
  return true;
}

// Whether a regular file is there; anything else goes.
Result<bool> Materialiser::clear_for_file(const std::string& path) {
  if (!TRY(exists(world_.fs, path))) return false;
  if (S_ISREG(TRY(world_.fs.stat(path)).st_mode)) return true;
  TRY(remove_tree(world_.fs, path));
  return false;
}

Result<void> Materialiser::make_link(const std::string& target, const std::string& path) {
  const auto there = world_.fs.read_link(path);
  if (there.ok() && there.value() == target) return {};
  TRY(remove_tree(world_.fs, path));
  TRY(world_.fs.symlink(target, path));
  return own(path, -1, 0);
}

// From here on the directory is not a cluster until the very end: it says so
// itself, and a server can't start without pg_control.
Result<void> Materialiser::prepare() {
  for (const std::string& root : plan_.roots()) {
    TRY(make_way(world_.fs, parent_path(root)));
    TRY(make_directory(root, 0700));
    // Before anything is written: else a failed write may be told to others alone.
    volumes_.push_back(TRY(open_volume(world_.fs, root)));
    syncs_files_ |= !volumes_.back()->is_sure();
  }
  const std::string marker = join_path(plan_.data_directory(), kRestoreMarker);
  TRY(write_file_durably(world_.fs, marker, as_bytes(restore_marker(plan_.source().system_id, plan_.tablespaces()))));
  TRY(own(marker, -1, 0));
  const std::string global = join_path(plan_.data_directory(), "global");
  const std::string control = join_path(plan_.data_directory(), kControlPath);
  if (!TRY(exists(world_.fs, control))) return {};
  if (TRY(remove_link(global))) return world_.fs.sync_directory(plan_.data_directory());
  TRY(world_.fs.remove_file(control));
  return world_.fs.sync_directory(global);
}

// Makes directories and links at once; a file gets a lane. False: nothing to write.
Result<bool> Materialiser::begin_entry(repo::Entry entry) {
  if (entry.path.starts_with(kConfigPrefix)) configuration_.push_back(entry);
  const auto place = plan_.place_of(entry.path);
  if (!place) return false;
  if (plan_.over_old()) expected_.insert(entry.path);
  if (entry.path == kControlPath) {
    control_ = std::move(entry);
    return false;
  }
  if (entry.kind == repo::EntryKind::kDirectory) {
    const bool is_tablespace = entry.path.starts_with("pg_tblspc/") && entry.path.find('/', 10) == std::string::npos;
    const bool may_be_link = entry.path.empty() || entry.path == "pg_wal" || is_tablespace;
    if (!may_be_link) TRY(remove_link(*place));
    TRY(make_directory(*place, entry.mode ? entry.mode : 0700));
    if (is_tablespace && !place->starts_with(plan_.data_directory() + "/")) {
      TRY(make_link(*place, join_path(plan_.data_directory(), entry.path)));
      report_.tablespaces.push_back(entry.path.substr(10) + " -> " + *place);
    }
    return false;
  }
  if (entry.kind == repo::EntryKind::kSymlink) {
    if (!is_below_servers_own(entry.path)) TRY(make_link(entry.link_target, *place));
    return false;
  }
  if (entry.kind != repo::EntryKind::kFile) return false;
  auto file = std::make_shared<TargetFile>();
  file->path = *place;
  file->entry = std::move(entry);
  lanes_.push_back({std::move(file), 0, 0});
  return true;
}

Result<std::optional<WriteTask>> Materialiser::next() {
  if (world_.progress.stop) {
    return make_error(ErrorCode::kInterrupted, "the restore was stopped; {} is not a cluster", plan_.data_directory())
        .with_hint("go on with --delta");
  }
  while (!all_listed_ && lanes_.size() < threads_for_direct_writes(std::max<size_t>(world_.threads, 1))) {
    auto entry = TRY(tree_->next());
    all_listed_ = !entry;
    if (entry) TRY(begin_entry(std::move(*entry)));
  }
  if (lanes_.empty()) return std::optional<WriteTask>();
  const size_t index = turn_++ % lanes_.size();
  Lane& lane = lanes_[index];
  WriteTask task;
  task.file = lane.file;
  task.offset = lane.offset;
  const repo::Content& content = lane.file->entry.content;
  if (content.regions.empty()) {
    task.length = lane.file->entry.size_bytes;
    task.last = true;
  } else {
    task.region = content.regions[lane.region++];
    task.length = task.region->length_bytes;
    task.last = lane.region == content.regions.size();
  }
  lane.offset += task.length;
  if (task.last) lanes_.erase(lanes_.begin() + static_cast<ptrdiff_t>(index));
  return std::optional<WriteTask>(std::move(task));
}

// Large files are written past the page cache: filling it with what nobody reads
// soon costs more than all the rest of a restore, and evicts what is in use.
void write_past_cache(TargetFile& file) {
  const uint64_t size = file.entry.size_bytes;
  const int descriptor = file.file->descriptor();
  if (descriptor < 0 || size < DirectWriter::kSmallest || size % kPageBytes != 0 ||
      !parse_relation_path(file.entry.path))
    return;
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags >= 0 && ::fcntl(descriptor, F_SETFL, flags | O_DIRECT) == 0) file.direct = true;
}

// Where the file system takes the flag and then refuses the writes they go through the cache, from the
// first one on that is refused.
Result<void> write_either_way(TargetFile& file, uint64_t offset, ByteView bytes) {
  const bool was_direct = file.direct;
  auto written = file.file->write_at(offset, bytes);
  if (written.ok() || !was_direct || (!written.error().says(EINVAL) && !written.error().says(EOPNOTSUPP)))
    return written;
  const int descriptor = file.file->descriptor();
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags & ~O_DIRECT) != 0) return written;
  file.direct = false;
  return file.file->write_at(offset, bytes);
}

// Each worker's bytes on their way to the disk, aligned as direct writes want them.
MutableByteView aligned_buffer(size_t size) {
  thread_local AlignedBuffer buffer(kRegionBytes);
  if (buffer.size() < size) buffer = AlignedBuffer(size);
  return buffer.view().first(size);
}

Result<std::unique_ptr<File>> Materialiser::open_to_write(const std::string& path, const OpenOptions& options) {
  auto file = TRY(world_.fs.open(path, options));
  return syncs_files_ ? synced_when_closed(std::move(file)) : std::move(file);
}

Result<void> Materialiser::open(TargetFile& file) {
  std::lock_guard lock(file.mutex);
  if (file.file) return {};
  if (plan_.over_old()) file.fresh = !TRY(clear_for_file(file.path));
  OpenOptions options;
  options.write = true;
  options.create = true;
  options.no_follow = true;
  file.file = TRY(open_to_write(file.path, options));
  if (file.fresh) write_past_cache(file);
  return own(file.path, file.file->descriptor(), file.entry.mode ? file.entry.mode : 0600);
}

// Whether the bytes on disk are those already, told by the blocks' ids where a
// whole block is meant: nothing is read from the repository then.
Result<bool> Materialiser::is_there(const std::vector<repo::Extent>& extents, ByteView bytes) {
  uint64_t at = 0;
  for (const repo::Extent& extent : extents) {
    const ByteView part = bytes.subspan(at, extent.length_bytes);
    at += extent.length_bytes;
    if (!extent.block) {
      if (!all_zero(part)) return false;
      continue;
    }
    if (extent.block_offset == 0 && extent.length_bytes == TRY(repository_.block_size(*extent.block))) {
      if (repository_.id_of(repo::BlockKind::kData, part) != *extent.block) return false;
      continue;
    }
    const auto block = TRY(repository_.read_block(*extent.block));
    if (extent.block_offset + extent.length_bytes > block->size()) return false;
    if (!equal(part, block->view(extent.block_offset, extent.length_bytes))) return false;
  }
  return true;
}

Result<uint64_t> Materialiser::write_fresh(TargetFile& file, uint64_t offset, const std::vector<repo::Extent>& extents,
                                           ByteView bytes) {
  uint64_t at = 0, written = 0;
  size_t i = 0;
  while (i < extents.size()) {
    uint64_t run = 0;
    for (; i < extents.size() && extents[i].block; i++) run += extents[i].length_bytes;
    if (run > 0) TRY(write_either_way(file, offset + at, bytes.subspan(at, run)));
    at += run;
    written += run;
    for (; i < extents.size() && !extents[i].block; i++) at += extents[i].length_bytes;
  }
  // The disk starts now instead of at the end, while the next regions are read.
  if (written > 0 && !file.direct && file.file->descriptor() >= 0) {
    ::sync_file_range(file.file->descriptor(), static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                      SYNC_FILE_RANGE_WRITE);
  }
  return written;
}

Result<uint64_t> Materialiser::write_changed(TargetFile& file, uint64_t offset,
                                             const std::vector<repo::Extent>& extents, uint64_t length) {
  Bytes there(length);
  const size_t got = TRY(file.file->read_at(offset, there.mutable_view()));
  if (got == length && TRY(is_there(extents, there))) return uint64_t{0};
  Bytes wanted(length);
  TRY(reader_.read(extents, wanted.mutable_view()));
  uint64_t written = 0;
  for (uint64_t at = 0; at < length;) {
    const uint64_t size = std::min<uint64_t>(kPageBytes, length - at);
    uint64_t run = 0;
    for (uint64_t page = at; page < length; page += size) {
      const uint64_t bytes = std::min<uint64_t>(kPageBytes, length - page);
      if (page + bytes <= got && equal(wanted.view(page, bytes), there.view(page, bytes))) break;
      run += bytes;
    }
    if (run > 0) TRY(file.file->write_at(offset + at, wanted.view(at, run)));
    written += run;
    at += run > 0 ? run : size;
  }
  return written;
}

Result<WriteOutcome> Materialiser::write(WriteTask& task) {
  TRY(open(*task.file));
  auto written = write_content(task);
  if (!written.ok()) return of_file(task.file->entry, std::move(written).error());
  return written;
}

Result<WriteOutcome> Materialiser::write_content(WriteTask& task) {
  TargetFile& file = *task.file;
  WriteOutcome outcome{task.file, task.length, 0, task.last};
  std::vector<repo::Extent> extents =
      task.region ? TRY(repo::read_region(repository_, *task.region)) : file.entry.content.extents;
  // Stretches are bounded: an entry's own extents may be one large hole.
  uint64_t offset = task.offset;
  std::vector<repo::Extent> stretch;
  uint64_t stretch_bytes = 0;
  const auto flush = [&]() -> Result<void> {
    if (stretch_bytes == 0) return {};
    if (file.fresh) {
      const MutableByteView buffer = aligned_buffer(stretch_bytes);
      TRY(reader_.read(stretch, buffer));
      outcome.written += TRY(write_fresh(file, offset, stretch, buffer));
    } else {
      outcome.written += TRY(write_changed(file, offset, stretch, stretch_bytes));
    }
    offset += stretch_bytes;
    stretch.clear();
    stretch_bytes = 0;
    return {};
  };
  for (repo::Extent& extent : extents) {
    if (!extent.block && file.fresh && extent.length_bytes >= kRegionBytes) {
      TRY(flush());
      offset += extent.length_bytes;
      continue;
    }
    while (!extent.block && extent.length_bytes > kRegionBytes) {
      TRY(flush());
      stretch.push_back({kRegionBytes, std::nullopt, 0});
      stretch_bytes = kRegionBytes;
      extent.length_bytes -= kRegionBytes;
    }
    if (stretch_bytes + extent.length_bytes > kRegionBytes) TRY(flush());
    stretch.push_back(extent);
    stretch_bytes += extent.length_bytes;
  }
  TRY(flush());
  return outcome;
}

Result<void> Materialiser::finish_file(WriteOutcome outcome) {
  report_.bytes_written += outcome.written;
  report_.bytes += outcome.bytes;
  world_.progress.bytes_done += outcome.bytes;
  if (!outcome.last) return {};
  TargetFile& file = *outcome.file;
  TRY(file.file->truncate(file.entry.size_bytes));
  TRY(file.file->close());
  report_.files++;
  world_.progress.files_done++;
  return {};
}

Result<Bytes> Materialiser::content_of(const repo::Entry& entry) {
  Bytes content(entry.size_bytes);
  std::vector<repo::Extent> extents;
  const auto note = [&](uint64_t, const repo::Extent& extent) -> Result<void> {
    extents.push_back(extent);
    return {};
  };
  auto read = repo::for_each_extent(repository_, entry.content, note);
  if (read.ok()) read = reader_.read(extents, content.mutable_view());
  if (!read.ok()) return of_file(entry, std::move(read).error());
  return content;
}

Result<void> Materialiser::write_text(const std::string& name, std::string_view text) {
  const std::string path = join_path(plan_.data_directory(), name);
  TRY(clear_for_file(path));
  OpenOptions options;
  options.write = true;
  options.create = true;
  options.truncate = true;
  options.no_follow = true;
  auto file = TRY(open_to_write(path, options));
  TRY(file->write_at(0, as_bytes(text)));
  TRY(own(path, file->descriptor(), 0600));
  return file->close();
}

Result<void> Materialiser::restore_configuration() {
  for (const repo::Entry& entry : configuration_) {
    const std::string name = entry.path.substr(std::string_view(kConfigPrefix).size());
    const std::string path = join_path(plan_.data_directory(), name);
    if (TRY(exists(world_.fs, path))) continue;
    const Bytes content = TRY(content_of(entry));
    if (name.find('/') != std::string::npos) TRY(make_directory(parent_path(path), 0700));
    TRY(write_text(name, comment_out_settings(as_text(content), is_place_setting)));
    report_.notes.push_back(name + " was kept outside the data directory; a copy of it is in there now");
  }
  return {};
}

Result<void> Materialiser::write_settings() {
  const std::string main_path = join_path(plan_.data_directory(), "postgresql.conf");
  if (TRY(clear_for_file(main_path))) {
    const Bytes before = TRY(read_file(world_.fs, main_path));
    const std::string after = comment_out_settings(as_text(before), is_target_setting);
    if (after != as_text(before)) TRY(write_text("postgresql.conf", after));
  }
  const std::string path = join_path(plan_.data_directory(), "postgresql.auto.conf");
  std::string text;
  if (TRY(clear_for_file(path))) {
    const Bytes before = TRY(read_file(world_.fs, path));
    text = comment_out_settings(as_text(before), is_recovery_setting);
    if (!text.empty() && text.back() != '\n') text += '\n';
  }
  if (!options_.restore_command.empty() || options_.standby) {
    auto settings =
        settings_emptied(options_.standby ? decltype(target_.settings)() : target_.settings, !options_.standby);
    if (!options_.restore_command.empty()) settings.emplace_back("restore_command", options_.restore_command);
    if (options_.standby) {
      settings.emplace_back("recovery_target_timeline",
                            target_.names_timeline ? std::to_string(target_.timeline) : "latest");
      if (!options_.primary_conninfo.empty()) settings.emplace_back("primary_conninfo", options_.primary_conninfo);
    } else {
      settings.insert(settings.end(), target_.settings.begin(), target_.settings.end());
      const char* action = options_.action == AfterRecovery::kPromote ? "promote"
                           : options_.action == AfterRecovery::kPause ? "pause"
                                                                      : "shutdown";
      settings.emplace_back("recovery_target_action", action);
      // The delay of a standby would be waited for at each commit that is replayed.
      settings.emplace_back("recovery_min_apply_delay", "0");
    }
    text += "# Added by holdfast: " + target_.description + "\n" + format_settings(settings);
  }
  if (options_.archiving_off) text += kBesideSettings;
  return write_text("postgresql.auto.conf", text);
}

Result<void> Materialiser::write_signal() {
  if (options_.standby) return write_text("standby.signal", "");
  if (!options_.restore_command.empty()) return write_text("recovery.signal", "");
  return {};
}

// pg_control comes last and by rename: until then nothing can start here.
Result<void> Materialiser::finish() {
  if (!control_) return make_error(ErrorCode::kDamaged, "the snapshot of '{}' has no pg_control", snapshot_.component);
  const Bytes control = TRY(content_of(*control_));
  const ControlFile fields = TRY(parse_control_file(control));
  if (fields.system_id != plan_.source().system_id) {
    return make_error(ErrorCode::kDamaged, "the snapshot of '{}' holds the pg_control of another cluster",
                      snapshot_.component);
  }
  world_.progress.phase = "making durable";
  TRY(write_text(kTemporaryControl, as_text(control)));
  for (const auto& volume : volumes_) TRY(volume->sync());
  const std::string& directory = plan_.data_directory();
  TRY(world_.fs.rename(join_path(directory, kTemporaryControl), join_path(directory, kControlPath)));
  TRY(world_.fs.sync_directory(join_path(directory, "global")));
  report_.files++;
  report_.bytes += control.size();
  report_.bytes_written += control.size();
  TRY(world_.fs.remove_file(join_path(directory, kRestoreMarker)));
  return world_.fs.sync_directory(directory);
}

Result<void> Materialiser::run() {
  world_.progress.phase = "restoring";
  world_.progress.bytes_total = plan_.bytes();
  world_.progress.files_total = plan_.files();
  TRY(prepare());
  tree_ = TRY(repo::TreeReader::open(repository_, snapshot_.root));
  const size_t threads = threads_for_direct_writes(world_.threads);
  const size_t window = std::max<size_t>(kTasksUnderWay, 2 * threads);
  TRY((ordered_pipeline<WriteTask, WriteOutcome>(
      threads, window, [this] { return next(); }, [this](WriteTask& task) { return write(task); },
      [this](WriteOutcome outcome) { return finish_file(std::move(outcome)); })));
  if (plan_.over_old()) {
    ExtraFiles extra(world_.fs, expected_, {options_.remove_extra, false});
    TRY(extra.go_through(plan_.data_directory(), plan_.tablespaces()));
    for (std::string& note : extra.notes()) report_.notes.push_back(std::move(note));
  }
  TRY(restore_configuration());
  TRY(write_settings());
  TRY(write_signal());
  return finish();
}

// What a restore over an old cluster would remove, and what it would leave.
Result<void> look_for_extra(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                            const MaterialisePlan& plan, bool others_too, MaterialiseReport& said) {
  std::unordered_set<std::string> expected;
  auto tree = TRY(repo::TreeReader::open(repository, snapshot.root));
  while (auto entry = TRY(tree->next())) {
    if (plan.place_of(entry->path)) expected.insert(std::move(entry->path));
  }
  ExtraFiles extra(world.fs, expected, {others_too, true});
  TRY(extra.go_through(plan.data_directory(), plan.tablespaces()));
  said.would_remove = extra.removed();
  for (std::string& note : extra.notes()) said.notes.push_back(std::move(note));
  return {};
}

}  // namespace

Result<MaterialiseReport> materialise(source::World& world, repo::Repository& repository,
                                      const repo::Snapshot& snapshot, const ResolvedTarget& target,
                                      const MaterialiseOptions& options) {
  const MaterialisePlan plan = TRY_CONTEXT(MaterialisePlan::make(world, repository, snapshot, target, options),
                                           "restoring '{}'", snapshot.component);
  for (const std::string& root : plan.roots()) {
    if (options.check_place) TRY_CONTEXT(options.check_place(root), "restoring '{}'", snapshot.component);
  }
  MaterialiseReport said;
  said.notes = plan.notes();
  if (plan.uid()) said.owner = account_label(*plan.uid());
  if (options.check_account) {
    std::string doubt =
        TRY_CONTEXT(options.check_account(plan.roots(), plan.uid(), plan.gid()), "restoring '{}'", snapshot.component);
    if (!doubt.empty()) said.notes.push_back(std::move(doubt));
  }
  if (options.dry_run) {
    said.files = plan.files();
    said.bytes = plan.bytes();
    for (const auto& [oid, location] : plan.tablespaces()) said.tablespaces.push_back(oid + " -> " + location);
    if (plan.over_old())
      TRY_CONTEXT(look_for_extra(world, repository, snapshot, plan, options.remove_extra, said), "restoring '{}'",
                  snapshot.component);
    return said;
  }
  Materialiser materialiser(world, repository, snapshot, target, options, plan);
  materialiser.report() = std::move(said);
  TRY_CONTEXT(materialiser.run(), "restoring '{}' to {}", snapshot.component, plan.data_directory());
  return std::move(materialiser.report());
}

}  // namespace holdfast::postgres
