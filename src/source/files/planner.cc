#include "source/files/planner.h"

#include <algorithm>

#include "repo/extent_codec.h"
#include "source/files/content_store.h"
#include "source/files/file_capture.h"

namespace holdfast::files {
namespace {

// FNV-1a of the last part of a path.
uint64_t name_hash(std::string_view path) {
  const size_t slash = path.rfind('/');
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : path.substr(slash == std::string_view::npos ? 0 : slash + 1)) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return hash ^ (hash >> 32);
}

}  // namespace

bool looks_unchanged(const repo::Entry& now, const repo::Entry& before) {
  const auto well_before = [&](Time time) { return time <= before.captured - kRacyMargin; };
  return now.kind == before.kind && now.size_bytes == before.size_bytes && now.inode == before.inode &&
         now.modified == before.modified && now.changed == before.changed &&
         now.device_number == before.device_number && well_before(now.modified) && well_before(now.changed);
}

Planner::Planner(FileSystem& fs, Walker& walker, PreviousTree& previous, OwnerNames& names, Clock& clock, bool force)
    : fs_(fs), walker_(walker), previous_(previous), names_(names), clock_(clock), force_(force) {}

std::optional<Candidate> Planner::next_candidate() {
  auto found = walker_.next();
  if (!found) return std::nullopt;
  const Time instant = instant_of_looking(*found);
  Candidate candidate{.entry = {}, .status = found->status, .previous = previous_.find(found->path)};
  repo::Entry& entry = candidate.entry = entry_of(std::move(found->path), found->status, names_);
  entry.captured = instant;
  if (found->is_parent) entry.source_data = kParentMark;
  if (candidate.previous && candidate.previous->kind != entry.kind) candidate.previous.reset();
  if (entry.kind != repo::EntryKind::kDirectory && found->status.st_nlink > 1) recognise_link(candidate);
  candidate.unchanged = !force_ && candidate.previous && looks_unchanged(entry, *candidate.previous);
  return candidate;
}

// Comes before that of reading: on the safe side. So it does by the clock of another
// machine that gives the file its times.
Time Planner::instant_of_looking(const Found& found) {
  auto [margin, is_new] = clock_margins_.try_emplace(found.status.st_dev);
  if (is_new) margin->second = clock_margin_of("/" + found.path);
  return clock_.now() - margin->second;
}

void Planner::recognise_link(Candidate& candidate) {
  const auto key = std::pair(candidate.status.st_dev, candidate.status.st_ino);
  const auto known = links_.find(key);
  // A new file may have been given the number of one that is gone.
  const bool is_same =
      known != links_.end() && (same_state(known->second.status, candidate.status) || is_still_there(known->second));
  if (!is_same) {
    links_[key] = {candidate.entry.path, candidate.status, candidate.status.st_nlink - 1};
    candidate.first_name_of = candidate.status.st_ino;
    return;
  }
  candidate.entry.kind = repo::EntryKind::kHardLink;
  candidate.entry.link_target = known->second.first;
  candidate.entry.size_bytes = 0;
  candidate.entry.device_number = 0;
  candidate.entry.captured = {};
  candidate.previous.reset();
  if (--known->second.missing == 0) links_.erase(known);
}

bool Planner::is_still_there(const Link& link) {
  const auto now = fs_.stat("/" + link.first);
  return now.ok() && now->st_dev == link.status.st_dev && now->st_ino == link.status.st_ino;
}

bool Planner::is_natural_end(const Candidate& candidate, uint64_t small_bytes) {
  return small_bytes >= kBundleBytes / 2 && name_hash(candidate.entry.path) % 32 == 0;
}

void Planner::begin_large(Candidate candidate) {
  large_offset_ = 0;
  large_file_.reset();
  if (may_have_holes(candidate.status)) {
    auto file = open_for_capture(fs_, "/" + candidate.entry.path);
    const auto status = file.ok() ? file.value()->stat() : Result<struct stat>(file.error().clone());
    if (status.ok() && same_state(candidate.status, status.value())) large_file_ = std::move(file).value();
  }
  large_ = std::make_shared<const LargeFile>(LargeFile{std::move(candidate)});
}

std::optional<WorkItem> Planner::next_piece() {
  const uint64_t size = large_->candidate.entry.size_bytes;
  WorkItem item{.neighbours = {}, .large = large_, .offset = large_offset_};
  if (large_file_) item.length = ContentStore::hole_bytes(*large_file_, large_offset_, size);
  item.is_hole = item.length > 0;
  if (!item.is_hole) item.length = std::min(ContentStore::kRegionBytes, size - large_offset_);
  large_offset_ += item.length;
  item.last = large_offset_ == size;
  if (item.last) {
    large_.reset();
    large_file_.reset();
  }
  return item;
}

std::optional<WorkItem> Planner::next() {
  if (large_) return next_piece();
  WorkItem item;
  uint64_t small_bytes = 0, bytes = 0;
  while (true) {
    std::optional<Candidate> candidate = ahead_ ? std::exchange(ahead_, std::nullopt) : next_candidate();
    if (!candidate) break;
    const bool to_read = candidate->entry.kind == repo::EntryKind::kFile && !candidate->unchanged;
    const uint64_t size = to_read ? candidate->entry.size_bytes : 0;
    if (size > ContentStore::kRegionBytes && size <= repo::kMaxFileBytes) {
      if (!item.neighbours.empty()) {
        ahead_ = std::move(candidate);
        break;
      }
      begin_large(std::move(*candidate));
      return next_piece();
    }
    bytes += size;
    if (size <= kSmallFileBytes) small_bytes += size;
    const bool ends = size > 0 && is_natural_end(*candidate, small_bytes);
    item.neighbours.push_back(std::move(*candidate));
    if (ends || small_bytes >= kBundleBytes || bytes >= kNeighbourBytes || item.neighbours.size() >= kNeighbours) break;
  }
  if (item.neighbours.empty()) return std::nullopt;
  return item;
}

}  // namespace holdfast::files
