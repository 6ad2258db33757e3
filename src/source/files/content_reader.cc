#include "source/files/content_reader.h"

#include <algorithm>

#include "base/log.h"
#include "source/files/data_stream.h"

namespace holdfast::files {
namespace {

constexpr size_t kZeroStepBytes = 1u << 20;
// How much of a file is asked at once for its holes: a map of all of them could be long.
constexpr uint64_t kMapBytes = 1ull << 30;

}  // namespace

Result<size_t> ExistingFile::read_at(uint64_t offset, MutableByteView out) {
  auto read = file_->read_at(offset, out);
  if (read.ok()) return read;
  log_warn("files.target_not_read", {{"error", read.error().text()}});
  return size_t{0};
}

ExtentStream::ExtentStream(repo::Repository& repository, const repo::Content& content)
    : repository_(repository), content_(content), extents_(content.extents) {}

Result<std::optional<PlacedExtent>> ExtentStream::next() {
  while (position_ == extents_.size()) {
    if (region_ == content_.regions.size()) return std::optional<PlacedExtent>();
    extents_ = TRY(repo::read_region(repository_, content_.regions[region_++]));
    position_ = 0;
  }
  const repo::Extent& extent = extents_[position_++];
  std::optional<PlacedExtent> placed = PlacedExtent{offset_, extent};
  offset_ += extent.length_bytes;
  return placed;
}

Result<ByteView> ContentReader::read(const repo::Extent& extent) {
  if (last_id_ != extent.block) {
    last_id_.reset();
    last_ = TRY(repository_.read_block(*extent.block));
    last_id_ = extent.block;
  }
  if (extent.block_offset > last_->size() || extent.length_bytes > last_->size() - extent.block_offset)
    return make_error(ErrorCode::kDamaged, "block {} has {} bytes, but a file refers to {} bytes at {}",
                      extent.block->hex(), last_->size(), extent.length_bytes, extent.block_offset);
  return last_->view(extent.block_offset, extent.length_bytes);
}

Result<void> ContentReader::check_stop() const {
  if (progress_.stop) return make_error(ErrorCode::kInterrupted, "comparison of files was stopped");
  return {};
}

Result<bool> ContentReader::holds_zeros(File& file, uint64_t offset, uint64_t length) {
  const auto size = static_cast<uint64_t>(TRY(file.stat()).st_size);
  if (offset > size || length > size - offset) return false;
  const uint64_t end = offset + length;
  for (uint64_t at = next_data(file, offset, end); at < end;
       at = next_data(file, at + std::min(kMapBytes, end - at), end)) {
    TRY(check_stop());
    for (const Range& data : data_ranges(file, {at, std::min(kMapBytes, end - at)}, true)) {
      if (!TRY(reads_zeros(file, data.offset, data.length))) return false;
    }
  }
  return true;
}

Result<bool> ContentReader::reads_zeros(File& file, uint64_t offset, uint64_t length) {
  while (length > 0) {
    TRY(check_stop());
    const size_t step = std::min<uint64_t>(length, kZeroStepBytes);
    if (buffer_.size() < step) buffer_.resize(step);
    const MutableByteView bytes{buffer_.data(), step};
    const size_t got = TRY(file.read_at(offset, bytes));
    if (got != step || !all_zero(bytes)) return false;
    offset += step;
    length -= step;
  }
  return true;
}

Result<bool> ContentReader::holds(File& file, const PlacedExtent& placed) {
  const repo::Extent& extent = placed.extent;
  TRY(check_stop());
  if (!extent.block) return holds_zeros(file, placed.offset, extent.length_bytes);
  if (extent.length_bytes > repo::WriteSession::kMaxBlockBytes)
    return make_error(ErrorCode::kDamaged, "a file refers to {} bytes of block {}", extent.length_bytes,
                      extent.block->hex());
  if (buffer_.size() < extent.length_bytes) buffer_.resize(extent.length_bytes);
  const MutableByteView bytes{buffer_.data(), extent.length_bytes};
  if (TRY(file.read_at(placed.offset, bytes)) != bytes.size()) return false;
  if (extent.block_offset == 0 && repository_.id_of(repo::BlockKind::kData, bytes) == extent.block) return true;
  return equal(TRY(read(extent)), bytes);
}

Result<std::optional<uint64_t>> ContentReader::first_difference(File& file, const repo::Entry& entry) {
  const auto status = TRY(file.stat());
  ExtentStream extents(repository_, entry.content);
  while (const auto placed = TRY(extents.next())) {
    if (!TRY(holds(file, *placed))) return std::optional(placed->offset);
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size != entry.size_bytes) return std::optional(std::min(size, entry.size_bytes));
  return std::optional<uint64_t>();
}

}  // namespace holdfast::files
