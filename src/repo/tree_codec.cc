#include "repo/tree_codec.h"

#include <algorithm>

#include "repo/extent_codec.h"

namespace holdfast::repo {
namespace {

constexpr uint8_t kChunkVersion = 1;
constexpr uint8_t kPageVersion = 1;

// Bits of an entry's flags.
enum Flag : uint64_t {
  kSameOwner = 1,   // uid, gid, user and group are those of the entry before
  kHasChanged = 2,  // ctime differs from mtime
  kHasCaptured = 4,
  kHasXattrs = 8,
  kHasSourceData = 16,
  kHasRegions = 32,  // the content is regions, not extents
  kAllFlags = 63,
};

constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxXattrs = 65536;
constexpr size_t kMaxXattrBytes = 1u << 20;
constexpr size_t kMaxSourceDataBytes = 4u << 20;
constexpr uint64_t kMaxChunkPathBytes = 64u << 20;  // after expansion
constexpr uint64_t kMaxPageRefs = 1u << 20;

bool is_link(EntryKind kind) { return kind == EntryKind::kSymlink || kind == EntryKind::kHardLink; }

// Times differ by anything: differences wrap around, as unsigned numbers do.
int64_t difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
int64_t sum(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

bool path_is_good(std::string_view path) {
  if (path.size() > kMaxPathBytes || path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    if (end + 1 == path.size()) return false;  // ends in '/'
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

size_t shared_prefix(std::string_view a, std::string_view b) {
  const auto [at_a, at_b] =
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<size_t>(at_a - a.begin());
}

bool same_owner(const Entry& a, const Entry& b) {
  return a.uid == b.uid && a.gid == b.gid && a.user == b.user && a.group == b.group;
}

// Adds up lengths; false beyond the largest file.
template <typename List>
bool add_lengths(const List& list, uint64_t& total) {
  for (const auto& item : list) {
    if (item.length_bytes == 0 || item.length_bytes > kMaxFileBytes - total) return false;
    total += item.length_bytes;
  }
  return true;
}

std::string content_fault(const Entry& entry) {
  if (entry.kind != EntryKind::kFile) {
    if (entry.size_bytes || !entry.content.extents.empty() || !entry.content.regions.empty()) {
      return "content of what is not a file";
    }
    return "";
  }
  if (!entry.content.extents.empty() && !entry.content.regions.empty()) return "both extents and regions";
  uint64_t total = 0;
  if (!add_lengths(entry.content.extents, total) || !add_lengths(entry.content.regions, total))
    return "a length out of range";
  if (total != entry.size_bytes) {
    return fmt::format("{} bytes of content in a file of {} bytes", total, entry.size_bytes);
  }
  return "";
}

// Runs of equal references (a long hole) are stored once.
void encode_regions(ByteWriter& out, const std::vector<RegionRef>& regions) {
  out.varint(regions.size());
  for (size_t i = 0; i < regions.size();) {
    size_t end = i + 1;
    while (end < regions.size() && regions[end] == regions[i]) end++;
    out.varint(end - i);
    out.varint(regions[i].length_bytes);
    out.raw(regions[i].id.bytes);
    i = end;
  }
}

Result<BlockId> read_id(ByteReader& in) {
  BlockId id;
  std::memcpy(id.bytes.data(), TRY(in.raw(id.bytes.size())).data(), id.bytes.size());
  return id;
}

Result<std::vector<RegionRef>> decode_regions(ByteReader& in, uint64_t& budget) {
  std::vector<RegionRef> regions;
  const uint64_t count = TRY(in.varint_at_most(budget, "number of regions"));
  budget -= count;
  while (regions.size() < count) {
    const uint64_t run = TRY(in.varint_at_most(count - regions.size(), "run of regions"));
    if (run == 0) return make_error(ErrorCode::kInvalidData, "tree chunk: an empty run of regions");
    RegionRef region;
    region.length_bytes = TRY(in.varint_at_most(kMaxFileBytes, "length of a region"));
    region.id = TRY(read_id(in));
    regions.insert(regions.end(), run, region);
  }
  return regions;
}

// Reads one entry after another; each is expressed against the one before.
class ChunkDecoder {
 public:
  explicit ChunkDecoder(ByteReader& in) : in_(in) {}

  Result<Entry> next(const Entry* last) {
    static const Entry kFirst;
    const Entry& before = last ? *last : kFirst;
    Entry entry;
    entry.kind = static_cast<EntryKind>(TRY(in_.u8()));
    const uint64_t flags = TRY(in_.varint_at_most(kAllFlags, "flags of an entry"));
    if (!last && (flags & kSameOwner))
      return make_error(ErrorCode::kInvalidData, "tree chunk: no entry before the first");
    TRY(read_path(entry, before));
    TRY(read_attributes(entry, before, flags));
    TRY(read_kind_data(entry, flags));
    TRY(read_extras(entry, flags));
    const std::string fault = entry_fault(entry);
    if (!fault.empty())
      return make_error(ErrorCode::kInvalidData, "tree chunk: entry {}: {}", printable(entry.path), fault);
    if (last && compare_paths(before.path, entry.path) >= 0) {
      return make_error(ErrorCode::kInvalidData, "tree chunk: {} is out of order", printable(entry.path));
    }
    return entry;
  }

 private:
  static std::string printable(const std::string& path) { return to_hex(as_bytes(path.substr(0, 64))); }

  Result<void> read_path(Entry& entry, const Entry& before) {
    const size_t shared = TRY(in_.varint_at_most(before.path.size(), "shared part of a path"));
    const std::string_view rest = TRY(in_.string(kMaxPathBytes));
    entry.path.reserve(shared + rest.size());
    entry.path.assign(before.path, 0, shared);
    entry.path.append(rest);
    if (entry.path.size() > path_budget_)
      return make_error(ErrorCode::kInvalidData, "tree chunk: paths are too long together");
    path_budget_ -= entry.path.size();
    return {};
  }

  Result<void> read_attributes(Entry& entry, const Entry& before, uint64_t flags) {
    entry.mode = static_cast<uint32_t>(TRY(in_.varint_at_most(07777, "mode")));
    if (flags & kSameOwner) {
      entry.uid = before.uid;
      entry.gid = before.gid;
      entry.user = before.user;
      entry.group = before.group;
    } else {
      entry.uid = static_cast<uint32_t>(TRY(in_.varint_at_most(UINT32_MAX, "uid")));
      entry.gid = static_cast<uint32_t>(TRY(in_.varint_at_most(UINT32_MAX, "gid")));
      entry.user = TRY(in_.string(kMaxNameBytes));
      entry.group = TRY(in_.string(kMaxNameBytes));
    }
    entry.modified.ns = sum(before.modified.ns, TRY(in_.svarint()));
    entry.changed = entry.modified;
    if (flags & kHasChanged) entry.changed.ns = sum(entry.modified.ns, TRY(in_.svarint()));
    if (flags & kHasCaptured) entry.captured.ns = sum(before.captured.ns, TRY(in_.svarint()));
    entry.inode = static_cast<uint64_t>(sum(static_cast<int64_t>(before.inode), TRY(in_.svarint())));
    return {};
  }

  Result<void> read_kind_data(Entry& entry, uint64_t flags) {
    if (is_link(entry.kind)) entry.link_target = TRY(in_.string(kMaxPathBytes));
    if (is_device(entry.kind)) entry.device_number = TRY(in_.varint());
    if (entry.kind != EntryKind::kFile) return {};
    entry.size_bytes = TRY(in_.varint_at_most(kMaxFileBytes, "size of a file"));
    if (flags & kHasRegions) {
      entry.content.regions = TRY(decode_regions(in_, region_budget_));
    } else {
      entry.content.extents = TRY(decode_extents(in_, kMaxRegionExtents));
    }
    return {};
  }

  Result<void> read_extras(Entry& entry, uint64_t flags) {
    if (flags & kHasXattrs) {
      const uint64_t count =
          TRY(in_.varint_at_most(std::min<uint64_t>(kMaxXattrs, in_.remaining()), "number of attributes"));
      for (uint64_t i = 0; i < count; i++) {
        std::string name(TRY(in_.string(kMaxNameBytes)));
        entry.xattrs.emplace_back(std::move(name), TRY(in_.string(kMaxXattrBytes)));
      }
    }
    if (flags & kHasSourceData) entry.source_data = TRY(in_.string(kMaxSourceDataBytes));
    return {};
  }

  ByteReader& in_;
  uint64_t path_budget_ = kMaxChunkPathBytes;
  uint64_t region_budget_ = kMaxChunkRegions;
};

uint64_t flags_of(const Entry& entry, const Entry* last) {
  uint64_t flags = 0;
  if (last && same_owner(*last, entry)) flags |= kSameOwner;
  if (entry.changed != entry.modified) flags |= kHasChanged;
  if (entry.captured.ns != 0) flags |= kHasCaptured;
  if (!entry.xattrs.empty()) flags |= kHasXattrs;
  if (!entry.source_data.empty()) flags |= kHasSourceData;
  if (!entry.content.regions.empty()) flags |= kHasRegions;
  return flags;
}

}  // namespace

std::string entry_fault(const Entry& entry) {
  const auto kind = static_cast<uint8_t>(entry.kind);
  if (kind < 1 || kind > 8) return fmt::format("unknown kind {}", kind);
  if (!path_is_good(entry.path)) return "not a path inside the tree";
  if (entry.content.regions.size() > kMaxChunkRegions / 2) return "too many regions: larger ones are needed";
  if (entry.mode > 07777) return fmt::format("mode {:o}", entry.mode);
  if (entry.user.size() > kMaxNameBytes || entry.group.size() > kMaxNameBytes) return "an owner's name is too long";
  if (is_link(entry.kind) ? entry.link_target.empty() || entry.link_target.size() > kMaxPathBytes
                          : !entry.link_target.empty()) {
    return "link target";
  }
  if (entry.kind == EntryKind::kHardLink && !path_is_good(entry.link_target)) return "a hard link out of the tree";
  if (!is_device(entry.kind) && entry.device_number != 0) return "device number";
  if (entry.xattrs.size() > kMaxXattrs || entry.source_data.size() > kMaxSourceDataBytes)
    return "too much beside the content";
  for (size_t i = 0; i < entry.xattrs.size(); i++) {
    if (entry.xattrs[i].first.size() > kMaxNameBytes || entry.xattrs[i].second.size() > kMaxXattrBytes)
      return "an attribute is too long";
    if (i > 0 && entry.xattrs[i - 1].first >= entry.xattrs[i].first) return "attributes are out of order";
  }
  return content_fault(entry);
}

void ChunkEncoder::put_times(const Entry& entry) {
  out_.svarint(difference(entry.modified.ns, last_.modified.ns));
  if (entry.changed != entry.modified) out_.svarint(difference(entry.changed.ns, entry.modified.ns));
  if (entry.captured.ns != 0) out_.svarint(difference(entry.captured.ns, last_.captured.ns));
  out_.svarint(difference(static_cast<int64_t>(entry.inode), static_cast<int64_t>(last_.inode)));
}

Result<void> ChunkEncoder::add(const Entry& entry) {
  const std::string fault = entry_fault(entry);
  if (!fault.empty()) return make_error(ErrorCode::kInvalidData, "tree entry '{}': {}", entry.path, fault);
  const Entry* last = entries_ ? &last_ : nullptr;
  if (!last) {
    out_.u8(kChunkVersion);
    first_path_ = entry.path;
  }
  out_.u8(static_cast<uint8_t>(entry.kind));
  out_.varint(flags_of(entry, last));
  const size_t shared = shared_prefix(last_.path, entry.path);
  out_.varint(shared);
  out_.string(std::string_view(entry.path).substr(shared));
  out_.varint(entry.mode);
  if (!last || !same_owner(*last, entry)) {
    out_.varint(entry.uid);
    out_.varint(entry.gid);
    out_.string(entry.user);
    out_.string(entry.group);
  }
  put_times(entry);
  if (is_link(entry.kind)) out_.string(entry.link_target);
  if (is_device(entry.kind)) out_.varint(entry.device_number);
  if (entry.kind == EntryKind::kFile) {
    out_.varint(entry.size_bytes);
    if (entry.content.regions.empty())
      encode_extents(out_, entry.content.extents);
    else
      encode_regions(out_, entry.content.regions);
  }
  if (!entry.xattrs.empty()) {
    out_.varint(entry.xattrs.size());
    for (const auto& [name, value] : entry.xattrs) {
      out_.string(name);
      out_.string(value);
    }
  }
  if (!entry.source_data.empty()) out_.string(entry.source_data);
  entries_++;
  path_bytes_ += entry.path.size();
  file_bytes_ += entry.size_bytes;
  regions_ += entry.content.regions.size();
  last_.path = entry.path;
  last_.uid = entry.uid;
  last_.gid = entry.gid;
  last_.user = entry.user;
  last_.group = entry.group;
  last_.modified = entry.modified;
  last_.captured = entry.captured;
  last_.inode = entry.inode;
  return {};
}

Bytes ChunkEncoder::take() {
  Bytes bytes = out_.take();
  *this = ChunkEncoder();
  return bytes;
}

Result<std::vector<Entry>> decode_chunk(ByteView bytes) {
  ByteReader in(bytes);
  const uint8_t version = TRY(in.u8());
  if (version != kChunkVersion)
    return make_error(ErrorCode::kNewerFormat, "tree chunk: version {} is not known", version);
  std::vector<Entry> entries;
  ChunkDecoder decoder(in);
  while (in.remaining() > 0) {
    if (entries.size() == kMaxChunkEntries) return make_error(ErrorCode::kInvalidData, "tree chunk: too many entries");
    entries.push_back(TRY(decoder.next(entries.empty() ? nullptr : &entries.back())));
  }
  if (entries.empty()) return make_error(ErrorCode::kInvalidData, "tree chunk: no entries");
  return entries;
}

Bytes encode_page(const TreePage& page) {
  ByteWriter out;
  out.u8(kPageVersion);
  out.u8(page.level);
  out.varint(page.refs.size());
  for (const TreeRef& ref : page.refs) {
    out.raw(ref.id.bytes);
    out.varint(ref.entries);
    out.varint(ref.file_bytes);
    out.string(ref.first_path);
  }
  return out.take();
}

Result<TreePage> decode_page(ByteView bytes) {
  ByteReader in(bytes);
  const uint8_t version = TRY(in.u8());
  if (version != kPageVersion)
    return make_error(ErrorCode::kNewerFormat, "tree page: version {} is not known", version);
  TreePage page;
  page.level = TRY(in.u8());
  if (page.level > kMaxTreeLevel)
    return make_error(ErrorCode::kInvalidData, "tree page: level {} is too high", page.level);
  const uint64_t count = TRY(
      in.varint_at_most(std::min<uint64_t>(kMaxPageRefs, in.remaining() / sizeof(BlockId)), "number of references"));
  if (count == 0 && page.level > 0) return make_error(ErrorCode::kInvalidData, "tree page: empty");
  page.refs.resize(count);
  for (size_t i = 0; i < count; i++) {
    TreeRef& ref = page.refs[i];
    ref.id = TRY(read_id(in));
    ref.entries = TRY(in.varint());
    ref.file_bytes = TRY(in.varint());
    ref.first_path = TRY(in.string(kMaxPathBytes));
    if (ref.entries == 0) return make_error(ErrorCode::kInvalidData, "tree page: a reference to no entries");
    if (i > 0 && compare_paths(page.refs[i - 1].first_path, ref.first_path) >= 0) {
      return make_error(ErrorCode::kInvalidData, "tree page: references are out of order");
    }
  }
  TRY(in.end());
  return page;
}

}  // namespace holdfast::repo
