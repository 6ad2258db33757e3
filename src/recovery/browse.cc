#include "recovery/browse.h"

#include <algorithm>

#include "recovery/points.h"

namespace holdfast::recovery {

namespace {

constexpr size_t kOpenTrees = 32;
constexpr Duration kListingLife = Duration::seconds(5);

// What lies below `directory`: "" for the root, else it ends in '/'.
std::string below(const std::string& directory) { return directory.empty() ? "" : directory + "/"; }

repo::Entry implied_directory(const std::string& path, Time instant) {
  repo::Entry entry;
  entry.path = path;
  entry.kind = repo::EntryKind::kDirectory;
  entry.mode = 0555;
  entry.modified = entry.changed = instant;
  return entry;
}

}  // namespace

Result<void> SnapshotFile::seek_region(uint64_t offset) {
  if (offset >= region_begin_ && offset < region_end_) return {};
  if (entry_.content.regions.empty()) {
    extents_ = entry_.content.extents;
    region_begin_ = 0;
    region_end_ = entry_.size_bytes;
    return {};
  }
  uint64_t begin = 0;
  for (const repo::RegionRef& region : entry_.content.regions) {
    if (offset < begin + region.length_bytes) {
      extents_ = TRY(repo::read_region(repository_, region));
      region_begin_ = begin;
      region_end_ = begin + region.length_bytes;
      return {};
    }
    begin += region.length_bytes;
  }
  return make_error(ErrorCode::kDamaged, "{}: its content ends at byte {}", entry_.path, begin);
}

Result<void> SnapshotFile::copy_extents(uint64_t from, uint64_t offset, MutableByteView out, size_t& done) {
  for (const repo::Extent& extent : extents_) {
    const uint64_t end = from + extent.length_bytes;
    const uint64_t wanted = offset + done;
    if (wanted >= from && wanted < end && done < out.size()) {
      const size_t length = std::min<uint64_t>(end - wanted, out.size() - done);
      if (extent.block) {
        const auto block = TRY(repository_.read_block(*extent.block));
        const uint64_t within = extent.block_offset + (wanted - from);
        if (within > block->size() || length > block->size() - within) {
          return make_error(ErrorCode::kDamaged, "{}: block {} is too short", entry_.path, extent.block->hex());
        }
        std::memcpy(out.data() + done, block->data() + within, length);
      } else {
        std::memset(out.data() + done, 0, length);
      }
      done += length;
    }
    from = end;
  }
  return {};
}

Result<size_t> SnapshotFile::read_at(uint64_t offset, MutableByteView out) {
  if (offset >= entry_.size_bytes) return size_t{0};
  if (out.size() > entry_.size_bytes - offset) out = out.first(entry_.size_bytes - offset);
  size_t done = 0;
  while (done < out.size()) {
    const size_t before = done;
    TRY(seek_region(offset + done));
    TRY(copy_extents(region_begin_, offset, out, done));
    if (done == before) return make_error(ErrorCode::kDamaged, "{}: no content at byte {}", entry_.path, offset + done);
  }
  return done;
}

Result<std::unique_ptr<SnapshotTree>> SnapshotTree::open(repo::Repository& repository, const repo::Snapshot& snapshot) {
  auto lookup = TRY(repo::TreeLookup::open(repository, snapshot.root));
  return std::unique_ptr<SnapshotTree>(new SnapshotTree(std::move(lookup), snapshot.instant));
}

Result<repo::Entry> SnapshotTree::find_locked(const std::string& path) {
  const repo::Entry* entry = TRY(lookup_->at_or_after(path));
  if (entry != nullptr && entry->path == path) return *entry;
  if (path.empty() || (entry != nullptr && entry->path.starts_with(below(path))))
    return implied_directory(path, instant_);
  return make_error(ErrorCode::kNotFound, "the snapshot has no '{}'", path);
}

Result<repo::Entry> SnapshotTree::find(const std::string& path) {
  std::lock_guard lock(mutex_);
  repo::Entry entry = TRY(find_locked(path));
  if (entry.kind != repo::EntryKind::kHardLink) return entry;
  repo::Entry first = TRY(find_locked(entry.link_target));
  if (first.kind == repo::EntryKind::kHardLink) return make_error(ErrorCode::kDamaged, "'{}' links to a link", path);
  return first;
}

Result<std::vector<SnapshotTree::Child>> SnapshotTree::list(const std::string& path) {
  std::lock_guard lock(mutex_);
  const std::string prefix = below(path);
  std::vector<Child> children;
  // The least name comes right after the directory itself; after a child come its
  // own children, all before the child's name with another byte appended.
  std::string from = prefix.empty() ? std::string("\x01") : prefix + '\x01';
  while (true) {
    const repo::Entry* entry = TRY(lookup_->at_or_after(from));
    if (entry == nullptr || !entry->path.starts_with(prefix)) return children;
    const size_t slash = entry->path.find('/', prefix.size());
    const bool own = slash == std::string::npos;
    Child child{entry->path.substr(prefix.size(), own ? std::string::npos : slash - prefix.size()),
                own ? entry->kind : repo::EntryKind::kDirectory};
    from = prefix + child.name + '\x01';
    children.push_back(std::move(child));
  }
}

Result<std::vector<PointBrowser::Listed>> PointBrowser::points() {
  std::lock_guard lock(mutex_);
  const Duration now = workspace_.machine().clock.monotonic();
  if (listed_at_ && now - *listed_at_ < kListingLife) return listed_;
  std::vector<Listed> fresh;
  for (repo::Point& point : TRY(stack_points(workspace_))) {
    std::string time = format_rfc3339(point.time).substr(0, 19);
    std::replace(time.begin(), time.end(), ':', '-');
    const std::string name = fmt::format("{}Z-{}", time, point.id.hex().substr(0, 8));
    fresh.push_back({name, std::move(point)});
  }
  listed_ = std::move(fresh);
  listed_at_ = now;
  return listed_;
}

Result<std::shared_ptr<SnapshotTree>> PointBrowser::tree(const std::string& point_name, const std::string& component) {
  for (const Listed& listed : TRY(points())) {
    if (listed.name != point_name) continue;
    const repo::Snapshot* snapshot = find_snapshot(listed.point, component);
    if (snapshot == nullptr) break;
    std::lock_guard lock(mutex_);
    const auto known = trees_.find(snapshot->root);
    if (known != trees_.end()) return known->second;
    std::shared_ptr<SnapshotTree> opened = TRY(SnapshotTree::open(workspace_.repository(), *snapshot));
    if (trees_.size() >= kOpenTrees) trees_.erase(trees_.begin());
    trees_.emplace(snapshot->root, opened);
    return opened;
  }
  return make_error(ErrorCode::kNotFound, "there is no component '{}' in point '{}'", component, point_name);
}

}  // namespace holdfast::recovery
