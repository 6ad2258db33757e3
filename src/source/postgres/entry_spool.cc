#include "source/postgres/entry_spool.h"

#include <algorithm>

#include "base/encoding.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

void put_extent(ByteWriter& out, const repo::Extent& extent) {
  out.varint(extent.length_bytes);
  out.u8(extent.block ? 1 : 0);
  if (!extent.block) return;
  out.raw(extent.block->bytes);
  out.varint(extent.block_offset);
}

Result<repo::BlockId> get_id(ByteReader& in) {
  repo::BlockId id;
  const ByteView bytes = TRY(in.raw(id.bytes.size()));
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

Result<repo::Extent> get_extent(ByteReader& in) {
  repo::Extent extent;
  extent.length_bytes = TRY(in.varint());
  if (TRY(in.u8()) == 0) return extent;
  extent.block = TRY(get_id(in));
  extent.block_offset = static_cast<uint32_t>(TRY(in.varint()));
  return extent;
}

void put_entry(ByteWriter& out, const repo::Entry& entry) {
  out.string(entry.path);
  out.u8(static_cast<uint8_t>(entry.kind));
  for (const uint64_t value :
       {entry.size_bytes, uint64_t{entry.mode}, uint64_t{entry.uid}, uint64_t{entry.gid}, entry.inode}) {
    out.varint(value);
  }
  for (const Time time : {entry.modified, entry.changed, entry.captured}) out.svarint(time.ns);
  out.string(entry.link_target);
  out.string(entry.source_data);
  out.varint(entry.content.extents.size());
  for (const repo::Extent& extent : entry.content.extents) put_extent(out, extent);
  out.varint(entry.content.regions.size());
  for (const repo::RegionRef& region : entry.content.regions) {
    out.varint(region.length_bytes);
    out.raw(region.id.bytes);
  }
}

Result<repo::Entry> get_entry(ByteReader& in) {
  repo::Entry entry;
  entry.path = TRY(in.string());
  entry.kind = static_cast<repo::EntryKind>(TRY(in.u8()));
  entry.size_bytes = TRY(in.varint());
  entry.mode = static_cast<uint32_t>(TRY(in.varint()));
  entry.uid = static_cast<uint32_t>(TRY(in.varint()));
  entry.gid = static_cast<uint32_t>(TRY(in.varint()));
  entry.inode = TRY(in.varint());
  for (Time* time : {&entry.modified, &entry.changed, &entry.captured}) time->ns = TRY(in.svarint());
  entry.link_target = TRY(in.string());
  entry.source_data = TRY(in.string());
  const uint64_t extents = TRY(in.varint());
  for (uint64_t i = 0; i < extents; i++) entry.content.extents.push_back(TRY(get_extent(in)));
  const uint64_t regions = TRY(in.varint());
  entry.content.regions.reserve(regions);
  for (uint64_t i = 0; i < regions; i++) {
    const uint64_t length = TRY(in.varint());
    entry.content.regions.push_back({length, TRY(get_id(in))});
  }
  return entry;
}

std::string_view path_at(ByteView bytes) {
  ByteReader in(bytes);
  auto path = in.string();
  CHECK(path.ok());  // we have written it ourselves
  return path.value();
}

}  // namespace

void EntrySpool::add(const repo::Entry& entry) {
  ByteWriter out;
  put_entry(out, entry);
  if (chunks_.empty() || chunks_.back().size() + out.size() > chunks_.back().capacity()) {
    chunks_.emplace_back();
    chunks_.back().reserve(std::max(kChunkBytes, out.size()));
  }
  index_.push_back({static_cast<uint32_t>(chunks_.size() - 1), static_cast<uint32_t>(chunks_.back().size())});
  chunks_.back().append(out.view());
}

Result<void> EntrySpool::drain(const std::function<Result<void>(const repo::Entry&)>& visit) {
  std::sort(index_.begin(), index_.end(),
            [&](Place a, Place b) { return repo::compare_paths(path_at(at(a)), path_at(at(b))) < 0; });
  for (size_t i = 0; i < index_.size(); i++) {
    if (i > 0 && path_at(at(index_[i - 1])) == path_at(at(index_[i]))) {
      return make_error(ErrorCode::kInternal, "two entries of the path '{}'", path_at(at(index_[i])));
    }
    ByteReader in(at(index_[i]));
    const repo::Entry entry = TRY(get_entry(in));
    TRY(visit(entry));
  }
  chunks_.clear();
  index_.clear();
  return {};
}

}  // namespace holdfast::postgres
