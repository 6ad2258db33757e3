#include "source/files/content_store.h"

#include <algorithm>

namespace holdfast::files {
namespace {

// Room for the longest block and enough behind it that bytes are seldom moved.
constexpr size_t kBufferBytes = Chunker::kMaximumBytes + (2u << 20);

// Adds a run, with the hole (if any) between it and the end of what is there.
void place_run(std::vector<repo::Extent>& extents, uint64_t& end, const Range& where, const repo::BlockId& id,
               uint32_t block_offset) {
  if (where.offset > end) extents.push_back({.length_bytes = where.offset - end, .block = std::nullopt});
  extents.push_back({.length_bytes = where.length, .block = id, .block_offset = block_offset});
  end = where.end();
}

}  // namespace

// How far one range has come.
struct ContentStore::Cursor {
  Chunker chunker;
  std::span<const PlacedExtent> previous;
  std::vector<repo::Extent> extents;
  uint64_t end = 0;  // offset in the file up to which `extents` reach

  // Takes `length` bytes off the stream as block `id`.
  void take(DataStream& stream, size_t length, const repo::BlockId& id) {
    uint32_t block_offset = 0;
    stream.take(length, [&](const Range& where) {
      place_run(extents, end, where, id, block_offset);
      block_offset += static_cast<uint32_t>(where.length);
    });
  }
};

Result<ContentStore::Stored> ContentStore::store(File& file, const Range& range, bool may_have_holes,
                                                 std::span<const PlacedExtent> previous) {
  static thread_local Bytes buffer;
  if (buffer.size() < kBufferBytes) buffer.resize(kBufferBytes);
  DataStream stream(file, data_ranges(file, range, may_have_holes), buffer);
  Cursor cursor{.chunker = Chunker(table_), .previous = previous, .extents = {}, .end = range.offset};
  while (true) {
    stream.ensure(1);
    if (stream.available().empty()) break;
    if (!TRY(take_known(stream, cursor))) TRY(take_cut(stream, cursor));
  }
  Stored stored{
      .extents = std::move(cursor.extents), .truncated = stream.truncated(), .failure = stream.take_failure()};
  if (cursor.end < range.end() && !stored.truncated)
    stored.extents.push_back({.length_bytes = range.end() - cursor.end, .block = std::nullopt});
  return stored;
}

Result<bool> ContentStore::take_known(DataStream& stream, Cursor& cursor) {
  const Range here = stream.current();
  while (!cursor.previous.empty() && cursor.previous.front().offset < here.offset)
    cursor.previous = cursor.previous.subspan(1);
  if (cursor.previous.empty() || cursor.previous.front().offset != here.offset) return false;
  const repo::Extent& known = cursor.previous.front().extent;
  // A block that the extent holds only a part of will not match; one this small
  // is cheaper to store again than to look for.
  if (known.block_offset != 0 || known.length_bytes > here.length || known.length_bytes > Chunker::kMaximumBytes)
    return false;
  stream.ensure(known.length_bytes);
  if (stream.available().size() < known.length_bytes) return false;
  const ByteView bytes = stream.available().first(known.length_bytes);
  const repo::BlockId id = session_.repository().id_of(repo::BlockKind::kData, bytes);
  if (id != known.block) return false;
  if (!TRY(session_.reuse(id))) TRY(session_.put_known(id, repo::BlockKind::kData, bytes));
  bytes_read_ += bytes.size();
  cursor.take(stream, bytes.size(), id);
  return true;
}

Result<void> ContentStore::take_cut(DataStream& stream, Cursor& cursor) {
  cursor.chunker.restart();
  size_t length = 0;
  while (true) {
    const ByteView fresh = stream.available().subspan(length);
    const size_t cut = cursor.chunker.feed(fresh);
    length += cut == Chunker::kNoCut ? fresh.size() : cut;
    if (cut != Chunker::kNoCut) break;
    stream.ensure(length + 1);
    if (stream.available().size() == length) break;  // the end of the range ends the block
  }
  const repo::BlockId id = TRY(session_.put(repo::BlockKind::kData, stream.available().first(length)));
  bytes_read_ += length;
  cursor.take(stream, length, id);
  return {};
}

uint64_t ContentStore::hole_bytes(File& file, uint64_t offset, uint64_t size_bytes) {
  const uint64_t data = next_data(file, offset, size_bytes);
  return (data == size_bytes ? data : data / kRegionBytes * kRegionBytes) - offset;
}

Result<void> ContentStore::add_hole(repo::ContentBuilder& builder, uint64_t length_bytes) {
  const repo::Extent hole{.length_bytes = length_bytes, .block = std::nullopt};
  if (length_bytes <= kRegionBytes) return builder.add(hole);
  const repo::BlockId id = TRY(session_.put(repo::BlockKind::kRegion, repo::encode_region({hole})));
  return builder.add_region({length_bytes, id});
}

Result<ContentStore::Whole> ContentStore::store_whole(File& file, uint64_t size_bytes, bool may_have_holes,
                                                      const repo::Content* previous) {
  Whole whole;
  repo::ContentBuilder builder(session_, kRegionBytes);
  while (whole.size_bytes < size_bytes && !whole.truncated) {
    const uint64_t offset = whole.size_bytes;
    if (const uint64_t hole = may_have_holes ? hole_bytes(file, offset, size_bytes) : 0; hole > 0) {
      TRY(add_hole(builder, hole));
      whole.size_bytes += hole;
      continue;
    }
    const Range range{offset, std::min(kRegionBytes, size_bytes - offset)};
    std::vector<PlacedExtent> known;
    if (previous) known = previous_extents(session_.repository(), *previous, range.offset, range.length);
    Stored stored = TRY(store(file, range, may_have_holes, known));
    for (const auto& extent : stored.extents) {
      TRY(builder.add(extent));
      whole.size_bytes += extent.length_bytes;
    }
    whole.truncated = stored.truncated;
    whole.failure = std::move(stored.failure);
  }
  whole.content = TRY(builder.finish());
  return whole;
}

}  // namespace holdfast::files
