#include "source/postgres/capture_pipeline.h"

#include <fcntl.h>

#include <algorithm>

#include "base/parallel.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kTasksUnderWay = 16;
constexpr size_t kMostWaiting = 512;
// A processor's second-level cache holds a piece of this size, from the read to
// the checksum.
constexpr size_t kReadBytes = 256 << 10;

// Each worker's region; lives as long as the thread.
MutableByteView region_buffer(size_t length) {
  thread_local Bytes buffer(kRegionBytes);
  return buffer.mutable_view().first(length);
}

// Asks for what the workers will want of the file next. They read it at several
// places at once, which the kernel's own reading ahead takes for random reads.
void read_ahead(const File& file, uint64_t offset, size_t workers) {
  if (file.descriptor() < 0) return;
  const uint64_t ahead = workers * kRegionBytes;
  const uint64_t from = offset == 0 ? 0 : offset + ahead;
  const uint64_t length = offset == 0 ? ahead + kRegionBytes : kRegionBytes;
  ::posix_fadvise(file.descriptor(), static_cast<off_t>(from), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
}

Result<size_t> read_fully(File& file, uint64_t offset, MutableByteView out) {
  size_t total = 0;
  while (total < out.size()) {
    const size_t want = std::min(kReadBytes, out.size() - total);
    const size_t got = TRY(file.read_at(offset + total, out.subspan(total, want)));
    total += got;
    if (got < want) break;
  }
  return total;
}

}  // namespace

Result<bool> CapturePipeline::open(CapturedFile& file) {
  std::lock_guard lock(file.mutex);
  if (file.vanished) return false;
  if (file.file) return true;
  OpenOptions options;
  options.no_atime = true;
  auto opened = world_.fs.open(file.full_path, options);
  if (!opened.ok()) {
    if (opened.error().code() != ErrorCode::kNotFound) return std::move(opened).error();
    file.vanished = true;  // dropped since it was listed: replay would remove it anyway
    return false;
  }
  file.file = std::move(opened).value();
  return true;
}

// Whether everything that the previous snapshot says of the file can be referred to.
Result<bool> CapturePipeline::take_over(const CapturedFile& file) {
  auto reused = repo::reuse_content(session_, file.previous->content);
  if (!reused.ok() && is_damage(reused.error())) return false;
  return reused;
}

Result<RegionOutcome> CapturePipeline::capture_region(CaptureTask& task) {
  CapturedFile& file = *task.file;
  RegionCapture::Input input;
  input.relation = file.relation ? &*file.relation : nullptr;
  input.offset = task.offset;
  if (file.previous) {
    input.previous = &file.previous->content;
    input.previous_bytes = file.previous->size_bytes;
    input.compare = file.compare;
  }
  if (task.bytes) return regions_.capture(input, task.bytes->mutable_view());
  const MutableByteView buffer = region_buffer(task.length);
  input.read_again = [&file](uint64_t offset, MutableByteView out) { return file.file->read_at(offset, out); };
  if (file.by_log) {
    if (auto done = TRY(capture_by_log(task, input, buffer))) return std::move(*done);
  }
  if (!TRY(open(file))) return RegionOutcome();
  if (file.entry.size_bytes > kReadBytes) read_ahead(*file.file, task.offset, world_.threads);
  const auto read = [&file](uint64_t offset, MutableByteView out) { return read_fully(*file.file, offset, out); };
  if (!input.previous) return regions_.capture_new(input, read, task.length, buffer);
  const size_t got = TRY(read(task.offset, buffer));
  return regions_.capture(input, buffer.first(got));
}

// The file is opened only when something of it is wanted. One that has vanished is
// read as one that is empty: replay removes it either way.
Result<std::optional<RegionOutcome>> CapturePipeline::capture_by_log(const CaptureTask& task,
                                                                     const RegionCapture::Input& input,
                                                                     MutableByteView buffer) {
  CapturedFile& file = *task.file;
  const uint64_t first_block = file.relation->segment * uint64_t{rules_.segment_pages} + task.offset / kPageBytes;
  const ChangedBlocks::Pages changed =
      changes_->region(file.database, file.relation->relation, static_cast<uint32_t>(first_block));
  const auto read = [&](uint64_t offset, MutableByteView out) -> Result<size_t> {
    if (!TRY(open(file))) return size_t{0};
    return read_fully(*file.file, offset, out);
  };
  auto outcome = TRY(regions_.capture_changed(input, changed, read, buffer));
  if (outcome) outcome->by_log = true;
  return outcome;
}

// Region by region, in one go: it happens rarely.
Result<RegionOutcome> CapturePipeline::capture_whole(const CaptureTask& task) {
  RegionOutcome whole;
  CaptureTask part{task.file, 0, 0, false, std::nullopt};
  const uint64_t size = task.file->entry.size_bytes;
  for (; part.offset < size; part.offset += part.length) {
    part.length = std::min(kRegionBytes, size - part.offset);
    RegionOutcome region = TRY(capture_region(part));
    whole.bytes += region.bytes;
    whole.read_bytes += region.read_bytes;
    whole.stored_pages += region.stored_pages;
    if (region.taken_over) {
      for (const repo::Extent& extent : TRY(repo::read_region(session_.repository(), *region.taken_over))) {
        region.extents.push_back({extent, nullptr});
      }
    }
    std::move(region.extents.begin(), region.extents.end(), std::back_inserter(whole.extents));
    std::move(region.bad.begin(), region.bad.end(), std::back_inserter(whole.bad));
    std::move(region.torn.begin(), region.torn.end(), std::back_inserter(whole.torn));
    if (region.bytes < part.length) break;
  }
  return whole;
}

Result<CapturePipeline::Outcome> CapturePipeline::work(CaptureTask& task) {
  Outcome outcome;
  outcome.file = task.file;
  outcome.planned_bytes = task.length;
  outcome.last = task.last;
  CapturedFile& file = *task.file;
  if (file.take_over) {
    outcome.take_over = TRY(take_over(file));
    if (outcome.take_over) return outcome;
    // A block of it is about to be collected: the file is read after all.
    outcome.region = TRY(capture_whole(task));
    outcome.planned_bytes = file.entry.size_bytes;
  } else if (task.length > 0) {
    outcome.region = TRY(capture_region(task));
  }
  outcome.read_bytes = outcome.region.read_bytes;
  return outcome;
}

void CapturePipeline::record(const Outcome& outcome) {
  totals_.read_bytes += outcome.read_bytes;
  totals_.stored_pages += outcome.region.stored_pages;
  for (const PageProblem& page : outcome.region.bad) totals_.bad.push_back({outcome.file->entry.path, page});
  for (const PageProblem& page : outcome.region.torn) totals_.torn.push_back({outcome.file->entry.path, page});
  if (outcome.region.taken_over) totals_.taken_over_regions++;
  if (outcome.region.by_log) totals_.regions_by_log++;
}

Result<void> CapturePipeline::apply(Outcome& outcome) {
  CapturedFile& file = *outcome.file;
  if (outcome.take_over) {
    file.entry.content = std::move(file.previous->content);
    file.entry.captured = file.previous->captured;
    built_bytes_ = file.entry.size_bytes;
    totals_.taken_over_files++;
  } else {
    record(outcome);
    if (!builder_) builder_ = std::make_unique<repo::ContentBuilder>(session_, kRegionBytes);
    if (!cut_short_) {
      if (outcome.region.taken_over) TRY(builder_->add_region(*outcome.region.taken_over));
      for (const PagePacker::Extent& item : outcome.region.extents) TRY(builder_->add(item.extent));
      built_bytes_ += outcome.region.bytes;
      cut_short_ = outcome.region.bytes < outcome.planned_bytes;
    }
  }
  if (!outcome.last) return {};
  if (builder_) file.entry.content = TRY(builder_->finish());
  builder_.reset();
  file.entry.size_bytes = std::exchange(built_bytes_, 0);
  cut_short_ = false;
  world_.progress.files_done++;
  if (file.vanished) return {};
  if (file.entry.kind == repo::EntryKind::kFile) {
    totals_.files++;
    totals_.source_bytes += file.entry.size_bytes;
  }
  entries_.add(file.entry);
  return {};
}

Result<void> CapturePipeline::drain(bool everything) {
  if (everything || waiting_.size() > kMostWaiting) TRY(regions_.packer().store_idle());
  while (!waiting_.empty() && regions_.packer().resolve(waiting_.front().region.extents)) {
    TRY(apply(waiting_.front()));
    waiting_.pop_front();
  }
  CHECK(!everything || waiting_.empty());
  return {};
}

Result<void> CapturePipeline::run(const std::function<Result<std::optional<CaptureTask>>()>& next) {
  const auto next_task = [&]() -> Result<std::optional<CaptureTask>> {
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the capture was stopped");
    return next();
  };
  const auto work_one = [&](CaptureTask& task) { return work(task); };
  const auto sink = [&](Outcome outcome) -> Result<void> {
    world_.progress.bytes_done += outcome.planned_bytes;
    waiting_.push_back(std::move(outcome));
    return drain(false);
  };
  // A slow region holds up those behind it; a few more than threads are under way.
  const size_t window = std::max<size_t>(kTasksUnderWay, 2 * world_.threads);
  TRY((ordered_pipeline<CaptureTask, Outcome>(world_.threads, window, next_task, work_one, sink)));
  return drain(true);
}

}  // namespace holdfast::postgres
