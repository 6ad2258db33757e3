#include "repo/pack_builder.h"

#include <algorithm>

#include "crypto/aead.h"

namespace holdfast::repo {

namespace {

constexpr size_t record_bytes(size_t content_bytes) { return kRecordHeaderBytes + content_bytes + crypto::kTagBytes; }

// What footer and trailer of so many records take.
constexpr size_t end_bytes(size_t records) { return record_bytes(4 + records * 29) + kPackTrailerBytes; }

}  // namespace

PackBuilder::PackBuilder(ObjectType type, const EpochKey& epoch, size_t capacity, Bytes buffer, Random& random)
    : key_(epoch.key, new_object_header(type, epoch.number, random)), capacity_(capacity), buffer_(std::move(buffer)) {
  if (buffer_.capacity() < capacity_) buffer_ = Bytes(capacity_);
  buffer_.resize(std::max(capacity_, kPackHeaderBytes));
  const Bytes header = encode_pack_header(key_.header());
  std::copy(header.begin(), header.end(), buffer_.begin());
  used_ = header.size();
}

bool PackBuilder::fits(size_t content_bytes) const {
  if (records_.empty()) return true;
  return records_.size() < kMaxPackRecords &&
         used_ + record_bytes(content_bytes) + end_bytes(records_.size() + 1) <= capacity_;
}

PackBuilder::Place PackBuilder::reserve(const BlockId& id, BlockKind kind, size_t raw_length, size_t content_bytes) {
  const size_t length = record_bytes(content_bytes);
  if (used_ + length > buffer_.size()) buffer_.resize(used_ + length);
  const Place place{static_cast<uint32_t>(records_.size()), static_cast<uint32_t>(used_)};
  records_.push_back({id, place.offset, static_cast<uint32_t>(length), static_cast<uint32_t>(raw_length), kind});
  used_ += length;
  return place;
}

void PackBuilder::fill(const Place& place, BlockKind kind, size_t raw_length, bool compressed, ByteView content) {
  RecordHeader header;
  header.ordinal = place.ordinal;
  header.sealed_length = static_cast<uint32_t>(content.size() + crypto::kTagBytes);
  header.raw_length = static_cast<uint32_t>(raw_length);
  header.kind = static_cast<uint8_t>(kind);
  header.flags = compressed ? RecordHeader::kCompressed : 0;
  seal_record(key_, header, content, buffer_.mutable_view().subspan(place.offset, record_bytes(content.size())));
}

Bytes PackBuilder::finish() {
  const Bytes directory = encode_directory(records_);
  const size_t footer_length = record_bytes(directory.size());
  buffer_.resize(used_ + footer_length + kPackTrailerBytes);
  RecordHeader header;
  header.ordinal = kFooterOrdinal;
  header.kind = kFooterKind;
  header.sealed_length = static_cast<uint32_t>(directory.size() + crypto::kTagBytes);
  header.raw_length = static_cast<uint32_t>(directory.size());
  seal_record(key_, header, directory.view(), buffer_.mutable_view().subspan(used_, footer_length));
  const Bytes trailer =
      encode_pack_trailer({key_.header(), static_cast<uint32_t>(used_), static_cast<uint32_t>(footer_length)});
  std::copy(trailer.begin(), trailer.end(), buffer_.data() + used_ + footer_length);
  return std::move(buffer_);
}

}  // namespace holdfast::repo
